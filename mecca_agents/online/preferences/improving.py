"""The policy goes on under a reward model, held near the one before it, as language models do (Ouyang et al., 2022).

Each update draws states in which a person chose, and takes a step along the gradient of

    gain = sum of worth(x) P(x is foreground) / size            the expected score
    loss = -gain + hold * KL(policy, policy before) / size

Nothing is drawn from the policy: it decides voxel by voxel, and the score is a sum over voxels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mecca_agents.learning.network_agent import NetworkAgent
from mecca_agents.online.preferences.policies import policy_of
from mecca_agents.online.preferences.reward import BATCH, RewardModel, Situations, parts_of

UPDATES = 100
"""Steps of the optimiser."""

HOLD = 0.3
"""Weight of the divergence: worth is at most 1, so that a voxel's logit moves by at most the inverse of this."""


@dataclass(frozen=True)
class Improvement:
    """What the updates came to.

    Attributes:
        updates: How many were made.
        gain: Expected score, of the last tenth of them; that of the policy before is among the first.
        divergence: From the policy before, nats for each voxel of a mask, likewise.
    """

    updates: int
    gain: float
    divergence: float


def improve(
    agent: NetworkAgent,
    before: NetworkAgent,
    reward: RewardModel,
    situations: Situations,
    seed: int,
    *,
    updates: int = UPDATES,
    hold: float = HOLD,
    over: Callable[[], bool] = lambda: False,
) -> Improvement:
    """Let an agent, in place, go on under a reward model.

    Args:
        agent: A mask predictor or an actor-critic; its preset has the steps.
        before: The same with the weights that `situations` were made with, which it is held near.
        reward: Of the choices.
        situations: States to learn in.
        seed: Of their order.
        updates: How many.
        hold: Weight of the divergence.
        over: Asked before each update: whether to leave it at that.

    Raises:
        FloatingPointError: A loss or a gradient became NaN or infinite.
        ProjectError: The agent has no policy for every voxel.
    """
    draws = torch.Generator().manual_seed(seed)
    worths = _worths(reward, situations)
    gains, divergences = [0.0], [0.0]
    for update in range(updates):
        if over():
            break
        which = torch.randint(len(situations), (BATCH,), generator=draws).to(worths.device)
        states = situations[which]
        policy = policy_of(agent, states.observation)
        with torch.no_grad():
            earlier = policy_of(before, states.observation)
        gain = ((worths[which] * policy.foreground).flatten(1).sum(1) / states.size).mean()
        divergence = (policy.divergence(earlier).flatten(1).sum(1) / states.size).mean()
        agent.backward(hold * divergence - gain)
        agent.descend(update / updates)
        gains.append(float(gain.detach()))
        divergences.append(float(divergence.detach()))
    last = max((len(gains) - 1) // 10, 1)
    return Improvement(len(gains) - 1, sum(gains[-last:]) / last, sum(divergences[-last:]) / last)


def leaning(agent: NetworkAgent, before: NetworkAgent, situations: Situations) -> int:
    """In how many choices an agent leans more to what was taken than the one before it did.

    That is, by more in its log-likelihood of what was taken, counted by the probability of foreground, than of the
    other.
    """
    found = 0
    for part in parts_of(situations):
        states = situations[part]
        with torch.no_grad():
            moved = policy_of(agent, states.observation).foreground - policy_of(before, states.observation).foreground
        taken, other = states.masks.unbind(dim=1)
        found += int(((moved * (taken.float() - other.float())).flatten(1).sum(1) > 0).sum())
    return found


def _worths(reward: RewardModel, situations: Situations) -> Tensor:
    """The worth of every voxel in every situation, (B, D, H, W), without gradients."""
    with torch.no_grad():
        return torch.cat([reward(situations[part].inputs) for part in parts_of(situations)])
