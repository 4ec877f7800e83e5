"""Two samples of a policy: as probable as it says, smooth in space, mirrored, and apart."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from mecca_agents import PRESETS
from mecca_agents.agent import Agent, TaskSpec, make_agent
from mecca_agents.learning.distributions import VoxelCategorical
from mecca_agents.learning.proposals import LEAST_APART, apart, smooth_noise, two_samples

SHAPE = (12, 10, 9)
CPU = torch.device("cpu")


def test_noise_is_normal_at_every_voxel_and_smooth_between_them() -> None:
    noise = torch.stack([smooth_noise(SHAPE, seed, CPU) for seed in range(600)])
    assert noise.shape == (600, *SHAPE) and torch.equal(noise[3], smooth_noise(SHAPE, 3, CPU))
    assert noise.mean(0).abs().max() < 0.25 and ((noise.std(0) - 1).abs() < 0.2).all()
    neighbours = (noise[:, 1:] * noise[:, :-1]).mean(0)
    assert neighbours.min() > 0.6 and (noise[:, 0] * noise[:, -1]).mean(0).abs().max() < 0.25


def test_voxels_are_drawn_as_the_policy_says() -> None:
    logits = torch.tensor([0.5, -1.0, 0.0]).view(1, 3, 1, 1, 1)
    policy = VoxelCategorical(logits.expand(1, 3, *SHAPE))
    noise = torch.stack([smooth_noise(SHAPE, seed, CPU) for seed in range(400)])
    drawn = torch.cat([policy.at(torch.special.ndtr(each)[None]) for each in noise])
    shares = torch.stack([(drawn == action).float().mean() for action in range(3)])
    torch.testing.assert_close(shares, logits.flatten().softmax(0), atol=0.03, rtol=0)


def _sample(logits: Tensor) -> Any:
    return lambda noise: (logits + noise, logits + noise > 0)


def test_two_samples_are_mirrored_and_no_further_apart_than_they_have_to_be() -> None:
    distance = torch.linspace(-4, 4, SHAPE[0]).view(-1, 1, 1).expand(SHAPE)
    noise = smooth_noise(SHAPE, 1, CPU)
    for certain in (0.5, 4.0):  # a policy that is surer needs more noise
        found = two_samples(_sample(distance * certain), noise)
        assert found is not None
        one, other = found
        torch.testing.assert_close(one + other, 2 * distance * certain)
        assert LEAST_APART <= apart(one > 0, other > 0) < 0.5
    assert two_samples(_sample(torch.full(SHAPE, 1e4)), noise) is None  # in no doubt
    assert two_samples(_sample(torch.full(SHAPE, -1e4)), noise) is None


def test_masks_are_apart_by_what_is_in_one_alone() -> None:
    one, other = torch.tensor([True, True, False, False]), torch.tensor([True, False, True, False])
    assert apart(one, other) == pytest.approx(2 / 3) and apart(one, one) == 0 and apart(one ^ one, one ^ one) == 0


def _agent(method: str, **task: Any) -> Agent:
    preset = PRESETS["fast"].replace(shape=(12, 10, 9), channels=3, dilations=(1, 2))
    adjustments = (-0.4, -0.2, -0.1, 0.1, 0.2, 0.4)
    given = {"shape": preset.shape, "modalities": 1, "adjustments": adjustments, **task}
    return make_agent(method, preset, TaskSpec(**given), device=CPU, seed=0)


@pytest.mark.parametrize(
    ("method", "task"),
    [
        ("intercnn", {"action": "continuous", "guide": False}),
        ("intercnn", {"action": "continuous", "guide": True}),
        ("iter-mrl", {"action": "discrete", "guide": False}),
        ("mecca", {"action": "discrete", "guide": True}),
    ],
)
def test_agents_propose_two_actions(method: str, task: dict[str, Any]) -> None:
    agent = _agent(method, **task)
    half = torch.full((1, *SHAPE), 0.5)
    draws = torch.Generator().manual_seed(0)
    seen = {"volume": torch.randn((1, *SHAPE), generator=draws), "probability": half, "hint": torch.zeros_like(half)}
    found = agent.propose(seen, 1)
    assert found is not None
    again, others = agent.propose(seen, 1), agent.propose(seen, 2)
    moves = []
    for action, same in zip(found, again or (), strict=True):
        assert isinstance(action, dict) == task["guide"]
        plain, repeated = ((each["adjustment"] if task["guide"] else each) for each in (action, same))
        assert torch.equal(plain, repeated) and plain.shape == (1, *SHAPE)
        assert plain.dtype == (torch.float32 if task["action"] == "continuous" else torch.int64)
        moves.append(plain if task["action"] == "continuous" else agent.adjustments[plain])  # type: ignore[attr-defined]
    masks = [half + move > 0.5 for move in moves]
    assert apart(*masks) >= LEAST_APART and others is not None
    first = others[0]["adjustment"] if task["guide"] else others[0]
    assert not torch.equal(first, found[0]["adjustment"] if task["guide"] else found[0])
