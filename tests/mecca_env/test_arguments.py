"""Arguments of an env: refused by name where they do not fit; and what an env is without any."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import mecca_env
from mecca_env.data.base import DataError
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.envs import SETTINGS, make_envs

BAD_ARGUMENTS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "keyword": ({"colour": 1}, TypeError, "unexpected keyword argument .colour.; the settings are shape, horizon"),
    "num_envs": ({"num_envs": 0}, ValueError, "num_envs: expected an integer of at least 1, got 0"),
    "user": ({"user": "intern"}, ValueError, "user: expected one of .* got 'intern'"),
    "guided": ({"user": "guided"}, ValueError, "user: 'guided' .* needs guide=True"),
    "hint": ({"hint": "fuzzy"}, ValueError, "hint: expected .* got 'fuzzy'"),
    "reward": ({"reward": "bonus"}, ValueError, "reward: expected .* got 'bonus'"),
    "action": ({"action": "jump"}, ValueError, "action: expected .* got 'jump'"),
    "autoreset_mode": ({"autoreset_mode": "never"}, ValueError, "autoreset_mode: expected one of .* got 'never'"),
    "render_mode": ({"render_mode": "ansi"}, ValueError, "render_mode: expected .* got 'ansi'"),
    "split": ({"split": "dev"}, ValueError, "split: expected one of train, test, all, got 'dev'"),
    "dataset": ({"dataset": "Knee"}, ValueError, "dataset: expected one of BraTS, .*Shapes, got 'Knee'"),
    "source": ({"dataset": 3}, TypeError, "dataset: expected a key or a VolumeSource, got 3"),
    "cases": ({"cases": "blob_1"}, TypeError, "cases: expected a number or a sequence"),
    "number of cases": ({"cases": 2.5}, TypeError, "cases: expected a number or a sequence of .* got 2.5"),
    "path": ({"root": 3}, TypeError, "root: expected a path, got 3"),
    "prompts": ({"prompts": 3}, TypeError, "prompts: expected a path, got 3"),
    "prompted": ({"prompted": 7}, ValueError, "prompted: expected a number in .0, 1., got 7"),
    "weight": ({"weight": -1}, ValueError, "weight: expected a weight above 0, got -1"),
    "sources": ({"sources": 3}, TypeError, "sources: expected a sequence of mappings, got 3"),
    "drift": ({"dataset": "Stream", "drift": ["organ"]}, ValueError, "drift: expected one of .* got .'organ'."),
    "tolerance": ({"tolerance": "1"}, DataError, "tolerance: expected millimetres, 0 or more, found '1'"),
    "root": ({"root": "here"}, ValueError, "root, label and modalities belong to data sets of files"),
    "shape": ({"shape": (16, 14, 4)}, ValueError, "shape: expected integers of at least 8"),
    "horizon": ({"horizon": 0, "clicks": None}, ValueError, "horizon: expected an integer of at least 1, got 0"),
    "clicks": ({"clicks": (5, -1, 0)}, ValueError, "clicks: expected integers of at least 0"),
    "device": ({"device": "abacus"}, (ValueError, RuntimeError), "abacus|device"),
}


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
def test_bad_arguments_are_refused_by_name(name: str) -> None:
    keywords, error, complaint = BAD_ARGUMENTS[name]
    with pytest.raises(error, match=complaint):
        make_envs(**{"num_envs": 2, **keywords})


def test_options_that_are_no_mapping_are_refused() -> None:
    for env in (make_envs(1), gym.make("MECCA-Phantom-v0", cases=1, **SETTINGS).unwrapped):
        with pytest.raises(ValueError, match="^options: expected a mapping, got 5$"):
            env.reset(options=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
@pytest.mark.parametrize("env_id", ["MECCA-Foo-v0", "MECCA-BraTS-v9"])
def test_unknown_ids_get_gymnasiums_own_error(make: Any, env_id: str) -> None:
    with pytest.raises(gym.error.Error, match="MECCA-"):
        make(env_id)


def test_metadata_and_attribute_name_the_mode() -> None:
    for mode in AutoresetMode:
        for given in (mode, mode.value):
            envs = make_envs(2, autoreset_mode=given)
            assert envs.autoreset_mode is mode and envs.metadata["autoreset_mode"] is mode
    assert MeccaVectorEnv.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert make_envs(2).autoreset_mode is AutoresetMode.SAME_STEP


def test_made_through_gymnasium_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        envs = gym.make_vec("MECCA-Phantom-v0", num_envs=2, **SETTINGS)
    assert isinstance(envs.unwrapped, MeccaVectorEnv) and envs.unwrapped.dataset.name == "phantom"
    assert mecca_env.DataError is DataError


def test_the_default_env_has_the_spaces_of_the_paper() -> None:
    envs = gym.make_vec("MECCA-Phantom-v0", num_envs=1)
    space, actions = envs.single_observation_space, envs.single_action_space
    assert {key: (box.shape, box.dtype) for key, box in space.items()} == {
        key: ((55, 55, 30), np.dtype("float32")) for key in ("volume", "probability", "hint")
    }
    assert isinstance(actions, gym.spaces.MultiDiscrete) and actions.shape == (55, 55, 30)
    assert (actions.nvec == 6).all()
    observation, info = envs.reset(seed=0)
    assert (observation["probability"] == 0.5).all()
    assert observation["hint"].min() >= 0 and observation["hint"].max() == 1
    assert info["n_clicks"].tolist() == [25] and info["clicks"].shape == (1, 45, 3)


@pytest.mark.parametrize("device", ["foo", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(ValueError, match=f"device: expected one that this machine has, got '{device}'"):
        make_envs(1, device=device)
