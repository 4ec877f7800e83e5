"""The floors of a table: the mean label of the training cases, and an ellipsoid in the label's box."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from mecca_agents.agent import find_method, make_agent
from mecca_agents.algorithms.bounds.ellipsoid import inscribed
from mecca_agents.algorithms.bounds.mean_mask import MeanMask, threshold
from mecca_agents.benchmark.cells import Cell
from mecca_agents.evaluation import evaluate_agent
from mecca_agents.presets import FAST, Preset
from mecca_agents.runs import read_config
from mecca_agents.runs.checkpoints import checkpoint_folder
from mecca_agents.runs.loading import load_agent, make_task
from mecca_agents.training import resume, train
from mecca_env.metrics import dice
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.envs import GRID, make_envs
from tests.support.volumes import ellipsoid

PRESET = FAST.replace(shape=GRID, num_envs=3, updates=4)


def _learned(preset: Preset = PRESET, **settings: Any) -> tuple[MeanMask, MeccaVectorEnv, list[int]]:
    """A mean mask after all updates, its environment, and how many cases it knew after each."""
    envs = make_envs(preset.num_envs, **{**MeanMask.env_settings(preset, settings), **settings})
    agent = MeanMask(preset, make_task(envs.config, 1), device=torch.device("cpu"), seed=0)
    observation, _ = envs.reset(seed=0)
    known = []
    for update in range(preset.updates):
        observation, numbers = agent.learn(envs, observation, update / preset.updates)
        assert torch.equal(observation["volume"], envs.state.volume[:, 0])
        assert numbers["labelled_episodes"] == numbers["cases"] - (known[-1] if known else 0)
        known.append(int(numbers["cases"]))
    return agent, envs, known


def _labels(envs: MeccaVectorEnv) -> Tensor:
    """The label of every case in the crop of an evaluation, (N, D, H, W) bool."""
    alone = make_envs(1, augment=False)
    rows = [alone.reset(options={"cases": [int(case)]}) and alone.state.label[0] for case in envs.cases.indices]
    return torch.stack(rows)


@pytest.mark.parametrize(("updates", "known"), [(1, [6]), (4, [2, 3, 5, 6]), (8, [1, 2, 3, 3, 4, 5, 6, 6])])
def test_the_mean_is_that_of_every_case_once_as_evaluations_crop_them(updates: int, known: list[int]) -> None:
    agent, envs, counted = _learned(PRESET.replace(updates=updates, num_envs=4))
    assert counted == known
    torch.testing.assert_close(agent.weights()["label.mean"], _labels(envs).float().mean(0))


def test_the_mean_is_of_labelled_cases_alone() -> None:
    agent, envs, known = _learned(labelled_fraction=0.5)
    rows = [envs.cases.is_labelled(int(case)) for case in envs.cases.indices]
    assert known[-1] == sum(rows) == 3
    torch.testing.assert_close(agent.weights()["label.mean"], _labels(envs)[rows].float().mean(0))


def test_of_an_endless_source_it_sees_as_many_cases_as_a_training_has_episodes() -> None:
    _, _, known = _learned(PRESET.replace(shape=(8, 8, 8), num_envs=2, updates=3), dataset="Phantom", shape=(8, 8, 8))
    assert known == [2, 4, 6]


def test_the_threshold_is_the_one_with_the_best_dice_on_all_training_labels_together() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.rand(7, 6, 5, 4, generator=generator) < torch.rand(6, 5, 4, generator=generator) ** 2
    mean = labels.float().mean(0)

    def pooled(limit: float) -> float:
        mask = (mean > limit).expand_as(labels)
        return float(dice(mask.reshape(1, -1, 5, 4), labels.reshape(1, -1, 5, 4)))

    best = max(pooled(limit) for limit in np.linspace(-0.01, 0.99, 500))
    assert pooled(threshold(mean)) == best > pooled(0.5)
    assert threshold(mean) == pytest.approx(best / 2)
    assert threshold(torch.zeros(2, 2, 2)) == 0.0


def test_the_mean_mask_is_the_same_for_every_case_from_the_first_step_on() -> None:
    agent, _, _ = _learned()
    envs = make_envs(3, action="continuous")
    observation, _ = envs.reset(seed=1)
    mean = agent.weights()["label.mean"]
    for _ in range(2):
        observation, *_ = envs.step(agent.act(observation))
        assert torch.equal(observation["probability"], (mean > threshold(mean)).float().expand(3, *GRID))


def test_a_run_of_the_mean_mask_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    def begin(out: Path, **more: Any) -> None:
        preset = FAST.replace(shape=(8, 8, 8), updates=5)
        keywords: dict[str, Any] = {"cases": 7, "device": "cpu", "checkpoint_every": 2, "stream": io.StringIO(), **more}
        train("mean-mask", "MECCA-Phantom-v0", out, preset=preset, **keywords)

    def power_cut(tally: Any) -> None:
        if tally.updates == 3:
            raise ConnectionAbortedError

    begin(tmp_path / "whole")
    with pytest.raises(ConnectionAbortedError):
        begin(tmp_path / "run", on_update=power_cut)
    assert int(load_agent(tmp_path / "run")[0].weights()["label.count"]) == 3
    resume(tmp_path / "run", stream=io.StringIO())
    one, two = (load_file(checkpoint_folder(tmp_path / run) / "model.safetensors") for run in ("run", "whole"))
    assert int(one["label.count"]) == 7 and torch.equal(one["label.mean"], two["label.mean"])


def test_the_ellipsoid_touches_the_box_and_fills_its_share_of_it() -> None:
    label = torch.zeros(2, *GRID, dtype=torch.bool)
    label[0, 2:12, 3, 1:9] = True  # one voxel thick
    label[0, 5, 3:9, 4] = True
    label[1, [0, 15], [0, 13], [0, 11]] = True  # two corners: the box is the grid
    drawn = inscribed(label)
    assert not bool(drawn[0, :2].any() or drawn[0, 12:].any() or drawn[0, :, :3].any() or drawn[0, :, 9:].any())
    for mask, box in zip(drawn, ((10, 6, 8), GRID), strict=True):
        assert float(mask.sum()) / np.prod(box) == pytest.approx(np.pi / 6, abs=0.04)
        places = mask.nonzero()
        assert (places.amax(0) - places.amin(0) + 1).tolist() == list(box)


def test_the_ellipsoid_of_an_ellipsoid_is_itself() -> None:
    whole = ellipsoid(GRID, radii=(6, 5, 4))
    (drawn,) = inscribed(torch.from_numpy(whole)[None])
    assert np.array_equal(drawn.numpy(), whole)


def test_the_ellipsoid_is_the_mask_after_every_step() -> None:
    envs = make_envs(2)
    agent = make_agent("ellipsoid", PRESET, make_task(envs.config, 1), device=torch.device("cpu"), seed=0)
    observation, _ = envs.reset(seed=0)
    agent.enter(envs)
    for _ in range(2):
        observation, *_ = envs.step(agent.act(observation))
        assert torch.equal(envs.state.prediction, inscribed(envs.state.label))


def test_in_a_benchmark_the_mean_mask_has_the_updates_of_a_learner() -> None:
    assert Cell("mean-mask").preset(PRESET).updates == PRESET.updates
    assert Cell("ellipsoid").preset(PRESET).updates == 1
    assert not any(find_method(name).sees_hints for name in ("mean-mask", "ellipsoid"))


@pytest.mark.slow
def test_the_floors_know_what_the_crop_says(tmp_path: Path) -> None:
    """Measured: 82 and 84 per cent on these phantoms, where random actions reach 17."""
    for method in ("mean-mask", "ellipsoid"):
        preset = FAST.replace(shape=(12, 12, 10), updates=1)
        agent = train(method, "MECCA-Phantom-v0", tmp_path / method, preset=preset, cases=24, seed=0, device="cpu")
        results = evaluate_agent(agent, read_config(tmp_path / method), cases=6)
        assert 0.7 < np.mean([result.dice for result in results]) < 0.9
