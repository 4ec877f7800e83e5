"""Every method by name: it trains on the phantom, beats random actions, can be kept and found again."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from mecca_agents.agent import Agent, find_method, make_agent, methods
from mecca_agents.evaluation import evaluate_agent
from mecca_agents.presets import FAST, MECHANISMS, Preset
from mecca_agents.runs import RunConfig, read_config
from mecca_agents.runs.loading import load_agent, task_of
from mecca_agents.training import train

pytestmark = pytest.mark.slow  # trainings

TINY = FAST.replace(
    **MECHANISMS, shape=(12, 12, 10), num_envs=4, updates=80, channels=8, dilations=(1, 2), learning_rate=5e-3
)
BOUNDS = ("random", "oracle", "ellipsoid")
LEARNERS = tuple(name for name in methods() if name not in BOUNDS)
WITHOUT_HINTS = ("mean-mask", "ellipsoid", "pnet", "unet", "ua-mt")


def _preset(method: str) -> Preset:
    return TINY if find_method(method).learns else TINY.replace(updates=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@cache
def _trained(method: str, folder: Path) -> tuple[Agent, RunConfig]:
    run = folder / method
    agent = train(method, "MECCA-Phantom-v0", run, preset=_preset(method), cases=12, seed=0, device="cpu")
    return agent, read_config(run)


def _dice(agent: Agent, config: RunConfig) -> list[float]:
    """Mean Dice after each step, on phantoms that were not trained on."""
    results = evaluate_agent(agent, config, cases=6)
    return [float(np.mean([r.dice for r in results if r.step == step])) for step in range(1, 6)]


def test_the_names_are_those_of_the_paper_four_bounds_and_what_is_no_method_of_it() -> None:
    assert set(methods()) == {
        *("random", "oracle", "pnet", "unet", "deepigeos", "intercnn", "iter-mrl", "focal-iter-mrl", "err-iter-mrl"),
        *("bs-iris", "ua-mt", "mecca", "mean-mask", "ellipsoid"),
        *("ppo", "iter-mrl-expected", "mecca-expected"),
    }
    assert all(getattr(find_method(name), "name", None) == name for name in methods())


@pytest.mark.parametrize("method", LEARNERS)
def test_it_beats_random_actions_and_its_untrained_self(method: str, folder: Path) -> None:
    agent, config = _trained(method, folder)
    trained = _dice(agent, config)[-1]
    untrained = make_agent(method, config.preset, task_of(config), device=torch.device("cpu"), seed=0)
    assert trained > _dice(*_trained("random", folder))[-1] + 0.3
    assert trained > _dice(untrained, config)[-1] + 0.2


@pytest.mark.parametrize("method", methods())
def test_what_was_kept_acts_as_what_was_trained(method: str, folder: Path) -> None:
    agent, config = _trained(method, folder)
    kept, _ = load_agent(folder / method)
    if method == "random":  # draws on
        agent = make_agent(method, config.preset, task_of(config), device=torch.device("cpu"), seed=0)
    assert _dice(kept, config) == _dice(agent, config)


@pytest.mark.parametrize("method", LEARNERS)
def test_two_trainings_with_one_seed_give_the_same_weights(method: str, tmp_path: Path) -> None:
    preset = TINY.replace(updates=4)
    one, two = (
        train(method, "MECCA-Phantom-v0", tmp_path / name, preset=preset, cases=4, seed=3, device="cpu").weights()
        for name in ("one", "two")
    )
    assert one and all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("method", WITHOUT_HINTS)
def test_without_hints_the_mask_is_the_same_at_every_step(method: str, folder: Path) -> None:
    dice = _dice(*_trained(method, folder))
    assert np.ptp(dice) < 1e-6


def test_the_oracle_needs_one_step_and_random_actions_go_nowhere(folder: Path) -> None:
    assert _dice(*_trained("oracle", folder)) == [1.0] * 5
    assert max(_dice(*_trained("random", folder))) < 0.4


@pytest.mark.parametrize("method", ["oracle", "ellipsoid"])
def test_who_looks_at_labels_says_what_it_needs(method: str, folder: Path) -> None:
    _, config = _trained(method, folder)
    agent = make_agent(method, config.preset, task_of(config), device=torch.device("cpu"), seed=0)
    with pytest.raises(RuntimeError, match=f"{method}: expected enter"):
        agent.act({"probability": torch.zeros(1, 12, 12, 10)})


@pytest.mark.parametrize("method", ("mean-mask", "pnet", "intercnn", "deepigeos", "ua-mt", "unet"))
def test_a_mask_predictor_refuses_discrete_actions(method: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{method}: expected continuous actions"):
        train(method, "MECCA-Phantom-v0", tmp_path / "run", preset=TINY, cases=4, settings={"action": "discrete"})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("method", "setting", "value"),
    [
        ("focal-iter-mrl", "reward", "focal"),
        ("err-iter-mrl", "reward", "error"),
        ("bs-iris", "reward", "boundary"),
        ("bs-iris", "hint", "supervoxel"),
        ("deepigeos", "hint", "geodesic"),
        ("intercnn", "action", "continuous"),
        ("mean-mask", "augment", False),
    ],
)
def test_it_plays_in_the_environment_that_it_is_defined_in(
    method: str, setting: str, value: object, folder: Path
) -> None:
    _, config = _trained(method, folder)
    assert config.environment[setting] == value


def test_bs_iris_has_many_supervoxels_at_every_step() -> None:
    settings = find_method("bs-iris").env_settings
    assert settings(TINY, {})["supervoxels"] == [400] * 5
    assert settings(TINY, {"horizon": 3})["supervoxels"] == [400] * 3


@pytest.mark.parametrize("method", [name for name in LEARNERS if name not in ("mecca", "mecca-expected", "ua-mt")])
def test_unlabelled_cases_are_not_played_by_a_method_that_cannot_learn_from_them(method: str) -> None:
    for asked in ({"labelled_fraction": 0.25}, {"labelled_cases": 2}):
        assert find_method(method).env_settings(TINY, asked)["labelled_share"] == 1.0
    assert "labelled_share" not in find_method(method).env_settings(TINY, {})
