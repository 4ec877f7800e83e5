"""One categorical distribution over the actions of every voxel, instead of one object for each of 90,750 voxels."""

from __future__ import annotations

import torch
from torch import Tensor

from mecca_agents.runtime.distributed import part_of, world_size


class VoxelCategorical:
    """A categorical distribution for each voxel, independent given the logits.

    Args:
        logits: (B, A, D, H, W) for A actions; need not be normalised.
    """

    def __init__(self, logits: Tensor) -> None:
        self.log_probs = logits.log_softmax(dim=1)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Actions, (B, D, H, W) int64, by the inverse of the cumulative distribution; one uniform number a voxel.

        Of several processes that train together, each draws the numbers of the whole batch and takes its own, so that
        the actions are those of one process.
        """
        probs = self.log_probs
        part = part_of(len(probs) * world_size())
        shape = (part.total, *probs.shape[2:])
        uniform = torch.rand(shape, generator=generator, device=probs.device, dtype=probs.dtype)
        return self.at(uniform.narrow(0, part.first, part.count))

    def at(self, uniform: Tensor) -> Tensor:
        """The actions at which the cumulative distribution passes these numbers in [0, 1], (B, D, H, W) int64."""
        cumulative = self.log_probs.detach().exp().cumsum(dim=1)
        # The last bound is left out, so that rounding in the sum can never choose an action beyond it.
        return (cumulative[:, :-1] <= uniform.unsqueeze(1)).sum(dim=1)

    def mode(self) -> Tensor:
        """The most probable actions, (B, D, H, W) int64."""
        return self.log_probs.argmax(dim=1)

    def mean(self, values: Tensor) -> Tensor:
        """The expected value of each voxel's action, (B, D, H, W).

        Args:
            values: What each action is worth, (A,), the adjustments say.
        """
        return torch.einsum("badhw,a->bdhw", self.log_probs.exp(), values.to(self.log_probs.dtype))

    def nearest_to_mean(self, values: Tensor) -> Tensor:
        """The actions whose values lie nearest to the expected one, (B, D, H, W) int64.

        Args:
            values: What each action is worth, (A,).
        """
        mean = self.mean(values)
        nearest, least = torch.zeros_like(mean, dtype=torch.int64), (mean - values[0]).abs()
        for action, value in enumerate(values[1:], 1):  # on a CPU several times quicker than argmin over a middle axis
            distance = (mean - value).abs()
            nearest.masked_fill_(distance < least, action)
            least = torch.minimum(least, distance)
        return nearest

    def log_prob(self, action: Tensor) -> Tensor:
        """Log-probability of each voxel's action, (B, D, H, W)."""
        return self.log_probs.gather(1, action.unsqueeze(1).to(torch.int64)).squeeze(1)

    def entropy(self) -> Tensor:
        """Entropy of each voxel's distribution in nats, (B, D, H, W)."""
        return -(self.log_probs.exp() * self.log_probs).sum(dim=1)


LEAST_WIDTH, FIRST_WIDTH, MOST_WIDTH = 0.015, 0.3, 1.5
"""Of `target_policy`: the bounds of the width, and what it is for an output of 0."""

MOST_EXPONENT = 20.0
"""Far above what gives the largest width. Without a bound the exponential overflows, and its gradient of infinity times
the zero of the width's clamp is NaN."""


def target_policy(outputs: Tensor, probability: Tensor, adjustments: Tensor) -> VoxelCategorical:
    """The policy that goes to a probability: an action is the likelier the nearer to that it leads.

    The weight of an action is a Gaussian of the distance between the target and where the action leads, clipping
    included (Eq. 2), so that actions that lead to the same probability are equally likely.

    Args:
        outputs: Of a policy branch, (B, 2, D, H, W): the logit of the target, and the logarithm of the Gaussian's width
            relative to `FIRST_WIDTH`.
        probability: Of foreground at present, (B, D, H, W).
        adjustments: What each action adds to it, (A,).
    """
    target, width = outputs[:, :1].sigmoid(), FIRST_WIDTH * outputs[:, 1:].clamp(max=MOST_EXPONENT).exp()
    reached = (probability.unsqueeze(1) + adjustments.view(1, -1, 1, 1, 1)).clamp(0.0, 1.0)
    return VoxelCategorical(-0.5 * ((reached - target) / width.clamp(LEAST_WIDTH, MOST_WIDTH)).square())
