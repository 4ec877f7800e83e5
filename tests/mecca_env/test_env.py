"""The single env: NumPy and Python numbers, its spec, masks on the scan's grid, and what happens without data."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec

import mecca_env
from mecca_env.data.base import DataError
from mecca_env.data.catalog import CATALOG
from mecca_env.env import MeccaEnv
from tests.support.envs import GRID, SETTINGS, Blobs, make_envs
from tests.support.volumes import AFFINE, SHAPE, write_decathlon


def make(**keywords: Any) -> MeccaEnv:
    env = gym.make("MECCA-Phantom-v0", **{"dataset": Blobs(), **SETTINGS, **keywords}).unwrapped
    assert isinstance(env, MeccaEnv)
    return env


@pytest.mark.parametrize("guide", [False, True])
def test_arrays_are_numpy_and_numbers_are_pythons(guide: bool) -> None:
    env = make(guide=guide, supervoxels=(12, 10, 8))
    observation, info = env.reset(seed=0)
    action = env.action_space.sample()
    after, reward, terminated, truncated, later = env.step(action)
    assert (type(reward), type(terminated), type(truncated)) == (float, bool, bool)
    for obs in (observation, after):
        assert env.observation_space.contains(obs)
        assert all(type(array) is np.ndarray and array.dtype == np.float32 for array in obs.values())
    kinds = {
        **dict.fromkeys(("case_index", "step", "n_clicks"), int),
        **dict.fromkeys(("dice", "misunderstanding", "misunderstanding_literal"), float),
        **dict.fromkeys(("clicks", "voxel_reward"), np.ndarray),
        "labelled": bool,
        **({"advice": np.ndarray} if guide else {}),
    }
    for numbers in (info, later):
        assert {key: type(value) for key, value in numbers.items()} == kinds
    assert later["clicks"].shape == (11, 3) and later["voxel_reward"].shape == GRID
    assert reward == pytest.approx(float(later["voxel_reward"].mean()), abs=1e-6)


def test_what_is_handed_out_belongs_to_the_caller() -> None:
    env, twin = make(), make()
    observation, info = env.reset(seed=0)
    twin.reset(seed=0)
    for array in (*observation.values(), info["clicks"], info["voxel_reward"]):
        array[:] = 0
    action = np.full(GRID, 4)
    one, two = env.step(action), twin.step(action)
    assert all(np.array_equal(one[0][key], two[0][key]) for key in one[0])
    assert one[1] == two[1] and one[4]["dice"] == two[4]["dice"]


def test_episode_of_the_horizon_ends_terminated_and_not_truncated() -> None:
    env = make()
    env.reset(seed=0)
    ends = [env.step(np.zeros(GRID, int))[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (True, False)]
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(GRID, int))


@pytest.mark.parametrize(
    "action", [np.zeros(GRID, np.uint8), torch.zeros(GRID, dtype=torch.int64), np.zeros(GRID, int).tolist()], ids=type
)
def test_actions_of_any_library(action: Any) -> None:
    env = make()
    env.reset(seed=0)
    assert env.step(action)[0]["probability"].max() == np.float32(0.1)


def test_bad_actions_are_refused() -> None:
    env = make()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action: expected shape"):
        env.step(np.zeros(GRID[:2], int))
    with pytest.raises(TypeError, match="action: expected an integer dtype"):
        env.step(np.zeros(GRID))
    with pytest.raises(ValueError, match="action: expected integers from 0 to 5, got 6"):
        env.step(np.full(GRID, 6))


GUIDED = {"adjustment": np.zeros(GRID, int), "confidence": np.zeros(GRID)}
ACTIONS: dict[str, tuple[Any, str]] = {
    "flat": (np.zeros(GRID[:2], int), "action: expected shape (16, 14, 12), got (16, 14)"),
    "a batch's": (
        torch.zeros((1, *GRID), dtype=torch.uint8),
        "action: expected shape (16, 14, 12), got (1, 16, 14, 12)",
    ),
    "ragged": ([[0, 1], [0]], "action: expected shape (16, 14, 12), got list"),
    "a dict": ({"up": 0}, "action: expected an array, got a dict; a dict is for guide=True"),
    "guided, flat": (
        GUIDED | {"confidence": np.zeros(GRID[:1])},
        "action['confidence']: expected shape (16, 14, 12), got (16,)",
    ),
    "guided, short of a key": (
        {"adjustment": 0},
        "action: with guide=True expected a dict of adjustment and confidence, got ['adjustment']",
    ),
}


@pytest.mark.parametrize("fault", ACTIONS)
def test_refusals_of_actions_speak_of_one_env(fault: str) -> None:
    action, message = ACTIONS[fault]
    env = make(guide=fault.startswith("guided"), supervoxels=(12, 10, 8))
    env.reset(seed=0)
    with pytest.raises((ValueError, TypeError)) as raised:
        env.step(action)
    assert str(raised.value) == message


ONLY = "options: expected 'case' and 'mask' only"
RESETS: dict[str, tuple[dict[str, Any], str]] = {
    "mask": (
        {"options": {"reset_mask": np.array([True])}},
        "options: expected 'case' and 'mask' only, got ['reset_mask']",
    ),
    "cases": ({"options": {"cases": [1], "case": 2}}, "options: expected 'case' and 'mask' only, got ['cases']"),
    "seeds": ({"seed": [1]}, "seed: expected a non-negative integer, got [1]"),
    "negative seed": ({"seed": -1}, "seed: expected a non-negative integer, got -1"),
    "no number": ({"seed": True}, "seed: expected a non-negative integer, got True"),
}


@pytest.mark.parametrize("fault", RESETS)
def test_refusals_of_resets_speak_of_one_env(fault: str) -> None:
    keywords, message = RESETS[fault]
    env = make()
    env.reset(seed=4)
    with pytest.raises(ValueError) as raised:
        env.reset(**keywords)
    assert str(raised.value) == message
    assert env.np_random_seed == 4


def test_other_refusals_speak_of_one_env() -> None:
    with pytest.raises(TypeError, match="num_envs: gym.make makes one env, gym.make_vec several, got 2"):
        make(num_envs=2)
    env = make(horizon=1, clicks=(3,))
    env.reset(seed=0)
    env.step(np.zeros(GRID, int))
    for over in (env, make_envs(1, horizon=1, clicks=(3,), autoreset_mode="Disabled")):
        if over is not env:
            over.reset(seed=0)
            over.step(np.zeros((1, *GRID), int))
        with pytest.raises(gym.error.ResetNeeded) as raised:
            over.step(np.zeros(GRID if over is env else (1, *GRID), int))
        assert str(raised.value) == "the episode is over: call reset() first"


def test_the_case_is_chosen_by_option() -> None:
    env = make()
    assert env.reset(seed=0, options={"case": "blob_3"})[1]["case_index"] == 3
    assert env.reset(options={"case": 5})[1]["case_index"] == 5
    with pytest.raises(ValueError, match="case: expected one of the 6 cases .* got 'nobody'"):
        env.reset(options={"case": "nobody"})
    with pytest.raises(ValueError, match="options: expected"):
        env.reset(options={"colour": 1})


def test_one_seed_one_trajectory() -> None:
    one, two = make(augment=True), make(augment=True)
    here, there = one.reset(seed=3)[0], two.reset(seed=3)[0]
    assert all(np.array_equal(here[key], there[key]) for key in here)
    assert one.np_random_seed == two.np_random_seed == 3
    assert not np.array_equal(one.reset()[0]["volume"], here["volume"])
    with pytest.raises(ValueError, match="seed"):
        one.reset(seed=-1)


@pytest.mark.parametrize("augment", [False, True])
def test_paste_back_gives_the_scans_own_grid(augment: bool) -> None:
    env = make(dataset=Blobs(1), augment=augment)
    env.reset(seed=0)
    env.step(np.where(env.vector.state.label[0], 5, 0))
    mask, affine = env.paste_back()
    truth = np.zeros(SHAPE, bool)
    case = env.dataset.case(0)
    cut = tuple(slice(a, a + n) for a, n in zip(case.origin, case.label.shape, strict=True))
    truth[cut] = case.label
    assert mask.shape == SHAPE and mask.dtype == bool and np.array_equal(affine, AFFINE)
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.8
    nothing, _ = env.paste_back(torch.zeros(GRID))
    assert not nothing.any()


def test_nothing_works_after_close_and_closing_again_is_harmless() -> None:
    env = make()
    env.reset(seed=0)
    env.close()
    env.close()
    for call in (env.reset, lambda: env.step(np.zeros(GRID, int))):
        with pytest.raises(gym.error.ClosedEnvironmentError):
            call()


@pytest.mark.parametrize("env_id", mecca_env.ENV_IDS)
def test_specs_have_no_time_limit_and_survive_json_and_pickle(env_id: str) -> None:
    spec = gym.spec(env_id)
    assert spec.max_episode_steps is None
    for copy in (EnvSpec.from_json(spec.to_json()), pickle.loads(pickle.dumps(spec))):
        assert (copy.id, copy.entry_point, copy.vector_entry_point) == (
            env_id,
            "mecca_env.env:MeccaEnv",
            "mecca_env.vector_env:MeccaVectorEnv",
        )
        assert copy.kwargs == {"dataset": mecca_env.ENV_IDS[env_id]}


def test_the_spec_of_an_env_makes_it_again() -> None:
    env = gym.make("MECCA-Phantom-v0", cases=3, guide=True, **SETTINGS)
    assert env.spec is not None
    again = EnvSpec.from_json(env.spec.to_json()).make()
    assert json.loads(env.spec.to_json())["kwargs"]["guide"] is True
    assert again.unwrapped.config == env.unwrapped.config
    here, there = (e.reset(seed=1)[0] for e in (env, again))
    assert all(np.array_equal(here[key], there[key]) for key in here)


DATA_IDS = [env_id for env_id, key in mecca_env.ENV_IDS.items() if key in CATALOG]


@pytest.mark.parametrize("env_id", DATA_IDS)
@pytest.mark.parametrize("make_it", [gym.make, gym.make_vec])
def test_without_data_the_phantom_stands_in_with_one_warning(env_id: str, make_it: Any) -> None:
    with pytest.warns(UserWarning, match="THE BUILT-IN PHANTOM IS USED INSTEAD") as caught:
        env = make_it(env_id, **SETTINGS)
    assert len([w for w in caught if "PHANTOM" in str(w.message)]) == 1
    assert env.unwrapped.dataset.name == "phantom"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_it(env_id, **SETTINGS)


@pytest.mark.parametrize("env_id", DATA_IDS)
def test_without_data_and_fallback_it_is_an_error(env_id: str) -> None:
    with pytest.raises(DataError, match="MECCA_DATA|root"):
        gym.make(env_id, fallback=False, **SETTINGS)


@pytest.mark.parametrize("env_id", DATA_IDS)
@pytest.mark.parametrize("fallback", [False, True])
def test_a_root_that_was_named_and_is_missing_is_always_an_error(env_id: str, fallback: bool, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        gym.make(env_id, root=tmp_path / "nowhere", fallback=fallback, **SETTINGS)


def test_a_data_set_is_found_under_mecca_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_decathlon(tmp_path / "Task09_Spleen")
    monkeypatch.setenv("MECCA_DATA", str(tmp_path))
    env = gym.make("MECCA-Spleen-v0", split="all", **SETTINGS).unwrapped
    assert isinstance(env, MeccaEnv) and env.dataset.name == "Task09_Spleen" and len(env.vector.cases) == 3
    assert env.reset(seed=0)[0]["volume"].shape == GRID


def test_real_volumes(real_data: Path) -> None:
    root = real_data / "Task04_Hippocampus"
    if not root.is_dir():
        pytest.skip(f"no {root.name} in the folder of real data")
    env = gym.make("MECCA-Hippocampus-v0", root=root, split="test", **SETTINGS).unwrapped
    assert isinstance(env, MeccaEnv) and env.dataset.name == root.name
    observation, info = env.reset(seed=0)
    assert env.observation_space.contains(observation) and info["n_clicks"] == 6
    env.step(np.where(env.vector.state.label[0], 5, 0))
    mask, affine = env.paste_back()
    case = env.dataset.case(info["case_index"])
    assert mask.shape == case.scan_shape and np.array_equal(affine, case.affine)
    assert mask.sum() == pytest.approx(int(case.label.sum()), rel=0.2)
