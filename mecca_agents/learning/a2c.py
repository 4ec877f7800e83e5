"""Advantage actor-critic with one actor and one critic for every voxel (Eq. 3-5)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mecca_agents.learning.rollout import Rollout
from mecca_agents.presets import Credit
from mecca_agents.runtime.distributed import total


class Losses(NamedTuple):
    """The terms of the loss, scalars; `total` is what is minimised. Of several processes, each has its summand."""

    total: Tensor
    policy: Tensor
    value: Tensor
    entropy: Tensor


def returns(
    reward: Tensor, done: Tensor, value: Tensor, bootstrap: Tensor, gamma: float, gae_lambda: float = 1.0
) -> Tensor:
    """Lambda-returns; with `gae_lambda` 1 the discounted sum of rewards to the end of each episode (Eq. 3).

    Minus the value they are the generalised advantage estimate (Schulman et al., 2016).

    Args:
        reward: (T, B, D, H, W).
        done: Whether the episode ended with that step, (T, B) bool.
        value: Of the states acted in, (T, B, D, H, W).
        bootstrap: Value of the state after the last step, (B, D, H, W).
        gamma: Discount.
        gae_lambda: How far the rewards that came are believed rather than the value of the next state.

    Returns:
        (T, B, D, H, W).
    """
    following, next_value = bootstrap, bootstrap
    summed = []
    for r, d, v in zip(reward.flip(0), done.flip(0), value.flip(0), strict=True):
        believed = (1.0 - gae_lambda) * next_value + gae_lambda * following
        following, next_value = r + gamma * believed * ~d[:, None, None, None], v
        summed.append(following)
    return torch.stack(summed).flip(0)


def targets(
    rollout: Rollout, value: Tensor, *, gamma: float, gae_lambda: float = 1.0, credit: Credit = "voxel"
) -> Tensor:
    """The return that each voxel should expect from each step on, (T, B, D, H, W) without gradients: its lambda-return.

    Args:
        rollout: Whole episodes, or parts with a bootstrap.
        value: Of the states acted in, (T, B, D, H, W).
        gamma: Discount (Sec. 4.1).
        gae_lambda: Lambda of the returns; 1 is Eq. 3.
        credit: "voxel": each voxel is paid its own reward; "mean": all are paid the mean (Eq. 4 to the letter).
    """
    reward = rollout.reward
    if credit == "mean":
        reward = reward.mean(dim=(2, 3, 4), keepdim=True).expand_as(reward)
    return returns(reward, rollout.done, value.detach(), rollout.bootstrap, gamma, gae_lambda)


RAREST = 0.01
"""A class that fills less of an episode than this is weighted as if it filled this much."""


def class_weights(label: Tensor, mask: Tensor, balance: float) -> Tensor:
    """Weight of each voxel, (..., D, H, W) float32, by how rare its class is among the masked voxels of its volume.

    0 where the mask is; the others have mean 1 in every volume.

    Args:
        label: Foreground, (..., D, H, W) bool.
        mask: Voxels that count, bool, broadcastable to it.
        balance: 0 weighs all voxels alike; 1 makes foreground and background weigh the same in sum; between them the
            weight is the class's share to the power of minus `balance`.
    """
    grid = (-3, -2, -1)
    counted = mask.expand_as(label).float()
    count = counted.sum(grid, keepdim=True).clamp_min(1.0)
    share = ((label * counted).sum(grid, keepdim=True) / count).clamp(RAREST, 1.0 - RAREST)
    weight = torch.where(label, share.pow(-balance), (1.0 - share).pow(-balance)) * counted
    return weight * (count / weight.sum(grid, keepdim=True).clamp_min(1e-12))


def a2c_losses(
    rollout: Rollout,
    *,
    gamma: float,
    entropy_weight: float,
    gae_lambda: float = 1.0,
    value_weight: float = 0.5,
    credit: Credit = "voxel",
    balance: float = 0.0,
) -> Losses:
    """Eq. 4 and 5, with log pi in place of pi, averaged over the voxels of the rollout's mask (Eq. 11).

    The average is over the rollouts of all processes that train together.

    Args:
        rollout: Whole episodes, or parts with a bootstrap, of a policy with a critic.
        gamma: Discount (Sec. 4.1).
        entropy_weight: Weight of the entropy bonus.
        gae_lambda: Lambda of the returns; 1 is Eq. 3.
        value_weight: Weight of the critic's loss (V - R)^2 / 2.
        credit: Who is paid what (`targets`).
        balance: How far the rarer of foreground and background is weighted up (`class_weights`).
    """
    assert rollout.value is not None
    target = targets(rollout, rollout.value, gamma=gamma, gae_lambda=gae_lambda, credit=credit)
    advantage = (target - rollout.value).detach()
    weight = class_weights(rollout.label, rollout.mask, balance)  # Eq. 11: no gradient where M is 0
    terms = {"gain": rollout.log_prob * advantage, "value": rollout.value, "target": target}
    return weighted_losses(
        **terms, entropy=rollout.entropy, weight=weight, entropy_weight=entropy_weight, value_weight=value_weight
    )


def all_actions_losses(rollout: Rollout, *, entropy_weight: float, balance: float = 0.0) -> Losses:
    """Eq. 5 as printed, the gradient of pi, summed over all actions with what each would have earned at once.

    That is cost-sensitive classification of the next step. It has no sampling noise and does not look ahead: which
    state an action leads to, and what that is worth, has no part in it, and there is no critic.

    Args:
        rollout: With `log_probs` and `rewards`.
        entropy_weight: Weight of the entropy bonus.
        balance: How far the rarer of foreground and background is weighted up (`class_weights`).
    """
    assert rollout.log_probs is not None and rollout.rewards is not None
    weight = class_weights(rollout.label, rollout.mask, balance)
    gain = (rollout.log_probs.exp() * rollout.rewards).sum(dim=2)
    nothing = torch.zeros_like(gain)
    terms = {"gain": gain, "entropy": rollout.entropy, "value": nothing, "target": nothing}
    return weighted_losses(**terms, weight=weight, entropy_weight=entropy_weight, value_weight=0.0)


def weighted_losses(
    gain: Tensor,
    entropy: Tensor,
    value: Tensor,
    target: Tensor,
    weight: Tensor,
    *,
    entropy_weight: float,
    value_weight: float = 0.5,
) -> Losses:
    """The losses of actor and critic, averaged over voxels by their weights, over all processes that train together.

    Args:
        gain: What the policy is to make large, with gradients, for each voxel; all tensors have its shape.
        entropy: Of the policy, with gradients.
        value: Of the states, with gradients.
        target: Of the value.
        weight: Of each voxel; 0 where it does not count.
        entropy_weight: Weight of the entropy bonus.
        value_weight: Weight of the critic's loss (V - R)^2 / 2 (Eq. 4).
    """
    count = total(weight.sum()).clamp_min(1.0)

    def mean(values: Tensor) -> Tensor:
        return (values * weight).sum() / count

    policy, critic, bonus = -mean(gain), 0.5 * mean((target - value).square()), mean(entropy)
    return Losses(policy + value_weight * critic - entropy_weight * bonus, policy, critic, bonus)
