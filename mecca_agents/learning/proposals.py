"""Two samples of a policy that a person can tell apart.

Voxels that are drawn one by one make a speckled mask, which nobody can judge. Here the noise is smooth in space: each
voxel's action still has the probability that the policy gives it, but neighbours move together. The second sample has
the same noise mirrored, so that what one takes in the other leaves out. Of a policy that is sure of almost every voxel
two samples look the same; so the noise is scaled, up or down, to the least with which the masks visibly differ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

KNOTS = 4
"""Along each axis; between them the noise is interpolated."""

LEAST_APART = 0.12
"""Share of the voxels of either mask that have to be in one of them alone."""

AMOUNTS = tuple(2.0 ** (power / 2) for power in range(-8, 8))
"""What the noise is multiplied with, the first that is enough; 1 draws from the policy as it is."""

Sample: TypeAlias = Callable[[Tensor], tuple[Any, Tensor]]
"""From noise, (D, H, W) with a logistic distribution at every voxel, to an action and the mask that it leads to."""


def smooth_noise(shape: tuple[int, int, int], seed: int, device: torch.device) -> Tensor:
    """Noise with the standard normal distribution at every voxel, (D, H, W) float32, and smooth from one to the next.

    Args:
        shape: (D, H, W).
        seed: The same seed gives the same noise.
        device: Where it goes; it is drawn on the host.
    """
    knots = torch.randn((KNOTS,) * 3, generator=torch.Generator().manual_seed(seed))
    weights = [_hats(size) for size in shape]
    return torch.einsum("abc,da,hb,wc->dhw", knots, *weights).to(device)


def two_samples(sample: Sample, noise: Tensor) -> tuple[Any, Any] | None:
    """Two actions with opposite noise, or None where no amount of it makes two masks that differ.

    Args:
        sample: What noise leads to.
        noise: Standard normal, (D, H, W).
    """
    logistic = torch.special.log_ndtr(noise) - torch.special.log_ndtr(-noise)
    for amount in AMOUNTS:
        (one, mask), (other, opposite) = sample(amount * logistic), sample(-amount * logistic)
        if bool(mask.any()) and bool(opposite.any()) and apart(mask, opposite) >= LEAST_APART:
            return one, other
    return None


def apart(mask: Tensor, other: Tensor) -> float:
    """Share of the voxels of either of two masks, bool, that are in one of them alone; 0 where both are empty."""
    return float((mask ^ other).sum() / (mask | other).sum().clamp_min(1))


def _hats(size: int) -> Tensor:
    """What each knot counts at each voxel of an axis, (size, KNOTS): two of them each, with squares that sum to 1."""
    places = torch.linspace(0, KNOTS - 1, size).unsqueeze(1)
    weights = (1 - (places - torch.arange(KNOTS)).abs()).clamp_min(0)
    return torch.nn.functional.normalize(weights, dim=1)
