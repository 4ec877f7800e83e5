"""Measures of a stream, in numbers that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mecca_agents.algorithms.bounds.oracle import Oracle
from mecca_agents.presets import PRESETS
from mecca_agents.report.evaluated.continual import Met, forgetting, meet, prompts_to, regret
from mecca_agents.runs.loading import make_task
from tests.support.envs import make_envs


def test_regret_is_summed_over_the_stream() -> None:
    assert regret([0.5, 0.75, 1.0]).tolist() == [0.5, 0.75, 0.75]
    assert regret([0.5, 0.75, 1.0], [0.75, 0.5, 1.0]).tolist() == [0.25, 0.0, 0.0]


def test_forgetting_is_what_is_lost_since_the_best_before() -> None:
    table = [[0.75, 0.25, 0.0], [0.5, 0.875, 0.25], [0.25, 0.5, 1.0]]
    assert forgetting(table).tolist() == [0.5, 0.375]
    assert forgetting([[0.5, 0.0], [0.75, 1.0]]).tolist() == [-0.25]
    for wrong in ([[1.0]], [[1.0, 0.0]], [1.0, 0.0]):
        with pytest.raises(ValueError, match=r"^table: expected \(S, S\) with two segments at least, got"):
            forgetting(wrong)


def test_prompts_are_counted_until_the_target() -> None:
    met = [Met((0.5, 0.85, 0.5), (1, 2, 3)), Met((0.9, 0.5, 0.5), (1, 2, 3)), Met((0.5, 0.5, 0.8), (1, 2, 3))]
    assert prompts_to(met, 0.85) == (pytest.approx((2 + 1 + 3) / 3), pytest.approx(1 / 3))


def test_an_episode_is_played_to_its_end() -> None:
    envs = make_envs(1, autoreset_mode="Disabled", target_dice=0.99)
    observation, _ = envs.reset(seed=0)
    oracle = Oracle(PRESETS["demo"], make_task(envs.config, 1), device=torch.device("cpu"), seed=0)
    met = meet(oracle, envs, observation)
    assert len(met.dice) == len(met.clicks) < 3 and met.dice[-1] >= 0.99 and met.clicks[0] == 6
    assert np.all(np.diff(met.clicks) <= 3)
