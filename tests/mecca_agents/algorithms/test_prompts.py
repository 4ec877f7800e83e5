"""Every method reads the prompts of every protocol by itself, or says in a sentence what it cannot take."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch

from mecca_agents.agent import find_method, methods
from mecca_agents.evaluation import evaluate_agent
from mecca_agents.learning.rollout import stack_observation
from mecca_agents.presets import FAST, MECHANISMS
from mecca_agents.runs.loading import load_agent, make_task
from mecca_agents.training import train
from mecca_env.process.config import EnvConfig
from tests.support.envs import make_envs

PRESET = FAST.replace(**MECHANISMS, shape=(12, 12, 10), channels=4, confidence_channels=4, dilations=(1, 2), updates=2)


@pytest.mark.slow
@pytest.mark.parametrize("method", methods())
def test_a_method_learns_and_plays_under_mixed_prompts(method: str, tmp_path: Path) -> None:
    settings = {"protocol": "mixed", "time": True}
    keywords = {"cases": 4, "device": "cpu", "stream": io.StringIO()}
    train(method, "MECCA-Phantom-v0", tmp_path / "run", preset=PRESET, settings=settings, **keywords)
    results = evaluate_agent(*load_agent(tmp_path / "run"), cases=1)
    assert len(results) == 6 and {result.protocol for result in results} == {"mixed"}


@pytest.mark.parametrize("method", ["mecca", "mecca-expected"])
def test_a_guide_wants_somebody_who_follows_it(method: str) -> None:
    preset = PRESET.replace(interaction_guide=True)
    with pytest.raises(ValueError, match=f"{method}: expected a user who follows advice"):
        find_method(method).env_settings(preset, {"protocol": "one-click"})
    find_method(method).env_settings(preset, {"protocol": "mixed"})
    find_method(method).env_settings(preset.replace(interaction_guide=False), {"protocol": "one-click"})


@pytest.mark.parametrize("settings", [{}, {"signed": True}, {"box": "label"}, {"protocol": "mixed", "time": True}])
def test_a_task_counts_the_channels_of_its_observations(settings: dict[str, object]) -> None:
    envs = make_envs(2, **{"clicks": (1, 1, 1), "horizon": 3, **settings})
    observation, _ = envs.reset(seed=0)
    stacked = stack_observation(observation)
    assert stacked.shape[1] == make_task(envs.config, 1).channels
    assert torch.equal(stacked[:, 1], observation["probability"])
    assert make_task(EnvConfig(), 1).channels == 3
