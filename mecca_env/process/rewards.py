"""Rewards of each voxel for a step: Eq. 9, 12-13 and 14, more at the boundary, or any function of the same form."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from mecca_env.kernels.dispatch import loops
from mecca_env.process.boundary import boundary_weights
from mecca_env.process.config import EnvConfig
from mecca_env.process.contracts import Reward


def voxel_cross_entropy(probability: Tensor, label: Tensor, epsilon: float) -> Tensor:
    """Chi of Eq. 9, (B, D, H, W) float32 in nats: minus the log of the probability given to each voxel's own class.

    Args:
        probability: Of foreground, (B, D, H, W) float32.
        label: (B, D, H, W) bool.
        epsilon: The probability is clamped to [epsilon, 1 - epsilon], where Eq. 9 as printed is infinite.
    """
    return _own_class(probability, label, epsilon).log_().neg_()


def gain(before: Tensor, after: Tensor, label: Tensor, epsilon: float) -> Tensor:
    """The relative gain of cross-entropy (Eq. 9): positive where a voxel moved towards its label.

    Computed as the log of a ratio, one logarithm for each voxel in place of two.
    """
    return _own_class(after, label, epsilon).div_(_own_class(before, label, epsilon)).log_()


def _own_class(probability: Tensor, label: Tensor, epsilon: float) -> Tensor:
    """The probability given to each voxel's own class, clamped. Arithmetic: `torch.where` takes ten times longer."""
    return (probability - _as_float(label)).abs_().neg_().add_(1.0).clamp_(epsilon, 1.0 - epsilon)


def focal(before: Tensor, after: Tensor, label: Tensor, epsilon: float) -> Tensor:
    """The gain of the focal cross-entropy (Eq. 12-13): each term is weighted by how wrong its probability is."""

    def weighted(probability: Tensor) -> Tensor:
        wrong = (probability - _as_float(label)).abs_()
        return voxel_cross_entropy(probability, label, epsilon).mul_(wrong)

    return weighted(before).sub_(weighted(after))


def error(before: Tensor, after: Tensor, label: Tensor, epsilon: float, weight: float) -> Tensor:
    """The gain, times 1 + weight where the voxel was misclassified before the action (Eq. 14)."""
    misclassified = (before > 0.5) != label
    return gain(before, after, label, epsilon).mul_(_as_float(misclassified).mul_(weight).add_(1.0))


def boundary(before: Tensor, after: Tensor, label: Tensor, epsilon: float, weight: float, sigma: float) -> Tensor:
    """The gain, weighted more near the label's surface (`boundary.boundary_weights`, which the env keeps instead)."""
    shape = (label.shape[1], label.shape[2], label.shape[3])
    surface = loops(label.device).label_surface(label)
    return gain(before, after, label, epsilon).mul_(boundary_weights(surface, shape, weight, sigma))


def _as_float(mask: Tensor) -> Tensor:
    return mask.view(torch.uint8).to(torch.float32)  # ten times as fast as from bool


def make_reward(reward: str | Reward, config: EnvConfig) -> Reward:
    """The reward named "gain", "focal", "error" or "boundary", or the function given.

    Raises:
        ValueError: The name is unknown.
        TypeError: Neither a name nor a function.
    """
    known: dict[str, Reward] = {
        "gain": partial(gain, epsilon=config.epsilon),
        "focal": partial(focal, epsilon=config.epsilon),
        "error": partial(error, epsilon=config.epsilon, weight=config.error_weight),
        "boundary": partial(
            boundary, epsilon=config.epsilon, weight=config.boundary_weight, sigma=config.boundary_sigma
        ),
    }
    if isinstance(reward, str):
        if reward not in known:
            raise ValueError(f"reward: expected one of {sorted(known)} or a function, got {reward!r}")
        return known[reward]
    if not callable(reward):
        raise TypeError(f"reward: expected a name or a function (before, after, label) -> gain, got {reward!r}")
    return partial(_checked, reward)


def _checked(reward: Reward, before: Tensor, after: Tensor, label: Tensor) -> Tensor:
    """Somebody's own reward, refused where it would poison a mean in silence."""
    values = reward(before, after, label)
    if values.shape != label.shape or not bool(torch.isfinite(values).all()):
        raise ValueError(
            f"reward {reward!r}: expected finite values of shape {tuple(label.shape)}, "
            f"got shape {tuple(values.shape)}, finite: {bool(torch.isfinite(values).all())}"
        )
    return values.to(torch.float32)
