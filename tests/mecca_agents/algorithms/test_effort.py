"""What is compared has cost the same: optimizer steps and labelled episodes of an update, method by method."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mecca_agents.agent import METHODS, find_method, make_agent
from mecca_agents.benchmark.cells import Cell
from mecca_agents.presets import PRESETS, Preset
from mecca_agents.runs.envs import envs_of
from mecca_agents.runs.loading import make_task
from tests.support.envs import SETTINGS, make_envs

LEARNERS = [method for method in METHODS if find_method(method).learns and find_method(method).learns_together]
HORIZON = SETTINGS["horizon"]
SMALL = {"shape": SETTINGS["shape"], "channels": 4, "dilations": (1, 2), "num_envs": 2, "chunk": None}


def _counts(method: str, preset: Preset, **asked: Any) -> tuple[float, float]:
    """Optimizer steps and labelled episodes of a whole training of four updates, as a benchmark would make them."""
    preset, asked = Cell(method).preset(preset.replace(updates=4)), {"horizon": HORIZON, **asked}
    settings = {**find_method(method).env_settings(preset, asked), **asked}
    envs = make_envs(envs_of(preset, settings), **settings)
    agent = make_agent(method, preset, make_task(envs.config, 1), device=torch.device("cpu"), seed=0)
    observation, _ = envs.reset(seed=0)
    steps = episodes = 0.0
    for update in range(preset.updates):
        observation, numbers = agent.learn(envs, observation, update / preset.updates)
        steps, episodes = steps + numbers["optimizer_steps"], episodes + numbers["labelled_episodes"]
    return steps, episodes


@pytest.mark.parametrize("asked", [{}, {"labelled_fraction": 0.5}], ids=["all", "half labelled"])
@pytest.mark.parametrize("n_steps", [None, 1])
@pytest.mark.parametrize("method", LEARNERS)
def test_every_method_takes_as_many_optimizer_steps_and_labelled_episodes(
    method: str, n_steps: int | None, asked: dict[str, Any]
) -> None:
    preset = PRESETS["brief"].replace(**SMALL, n_steps=n_steps)
    steps, episodes = _counts(method, preset, **asked)
    assert steps == 4 * (HORIZON if n_steps == 1 else 1)
    looks = 1 if find_method(method).sees_hints else HORIZON  # without clicks an episode is over after a look
    looks = (1 + HORIZON) / 2 if method == "deepigeos" else looks  # half of its updates are P-Net's
    assert episodes == 4 * 2 * looks


@pytest.mark.parametrize("name", sorted(set(PRESETS) - {"paper"}))
def test_presets_ask_the_same_of_all(name: str) -> None:
    """The preset `paper` has PPO's usual four epochs, in a quarter of the updates."""
    assert {Cell(method).preset(PRESETS[name]).updates for method in LEARNERS} == {PRESETS[name].updates}
