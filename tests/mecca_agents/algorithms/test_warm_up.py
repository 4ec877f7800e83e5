"""The learning rate of methods with large first gradients rises at the start; that of all others does not."""

from __future__ import annotations

import pytest
import torch

from mecca_agents.agent import METHODS, find_method, make_agent
from mecca_agents.learning.network_agent import NetworkAgent
from mecca_agents.presets import FAST
from mecca_agents.runs.loading import make_task
from mecca_env.process.config import EnvConfig

PRESET = FAST.replace(shape=(12, 12, 10), channels=4, confidence_channels=4, dilations=(1, 2), updates=40)


def rate_at(method: str, update: int) -> float:
    """Share of the schedule's learning rate with which a method takes the optimiser step of an update."""
    config = EnvConfig(shape=PRESET.shape, guide="mecca" in method)
    agent = make_agent(method, PRESET, make_task(config, 1), device=torch.device("cpu"), seed=0)
    assert isinstance(agent, NetworkAgent)
    agent.backward(agent.networks["segmentation"](torch.zeros(1, agent.task.channels, *PRESET.shape))["policy"].sum())
    progress = update / PRESET.updates
    agent.descend(progress, ["segmentation"])
    schedule = PRESET.learning_rate * (1 + (PRESET.final_learning_rate - 1) * progress)
    return float(agent.optimizers["segmentation"].param_groups[0]["lr"]) / schedule


@pytest.mark.parametrize("method", ["iter-mrl-expected", "mecca-expected"])
def test_the_rate_rises_over_the_first_twentieth(method: str) -> None:
    rates = [rate_at(method, update) for update in range(4)]
    assert rates == pytest.approx([1 / 3, 2 / 3, 1, 1])


@pytest.mark.parametrize("method", ["iter-mrl", "mecca"])
def test_others_begin_with_all_of_it(method: str) -> None:
    assert rate_at(method, 0) == pytest.approx(1)
    warm = {name for name in METHODS if getattr(find_method(name), "warm_up", 0)}
    assert warm == {"iter-mrl-expected", "mecca-expected"}
