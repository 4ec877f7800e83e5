"""Sets of voxels as flat indices, (B, S) int64 padded with -1: draws, masks, and the way to coordinates and back."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from mecca_env.tensors.rng import shuffle_keys

_NEVER = torch.iinfo(torch.int64).max


def mask_surface(mask: Tensor) -> Tensor:
    """The voxels of a mask that have a face neighbour outside it, or outside the grid; both (B, D, H, W) bool."""
    _, _, height, width = mask.shape
    flat = mask.flatten(1)
    enclosed = flat & _interior(mask.shape[1:], mask.device)
    for apart in (height * width, width, 1):  # no neighbours at the grid's border, but nothing is enclosed there
        enclosed[:, apart:] &= flat[:, :-apart]
        enclosed[:, :-apart] &= flat[:, apart:]
    return (flat & ~enclosed).view(mask.shape)


@lru_cache(maxsize=8)
def _interior(shape: torch.Size, device: torch.device) -> Tensor:
    """The voxels that have six neighbours in the grid, (D * H * W,) bool."""
    within = torch.zeros(shape, dtype=torch.bool, device=device)
    within[1:-1, 1:-1, 1:-1] = True
    return within.flatten()


def draw(
    index: Tensor, eligible: Tensor, budget: Tensor, most: int, key: Tensor, counter: Tensor | None = None
) -> Tensor:
    """`budget` of the eligible entries of `index`, uniformly, without replacement.

    Args:
        index: Flat voxels, (B, S) int64.
        eligible: (B, S) bool.
        budget: (B,) int64.
        most: Upper bound of `budget`, known on the host.
        key: Random stream of each row, (B,) int64.
        counter: What is hashed instead of `index`, (B, S) int64.

    Returns:
        (B, min(most, S)) int64, the drawn voxels first, then -1.
    """
    counter = index if counter is None else counter
    keys = torch.where(eligible, shuffle_keys(key, counter.clamp_min(0)), _NEVER)
    first, position = keys.topk(min(most, keys.shape[1]), dim=1, largest=False, sorted=True)
    rank = torch.arange(first.shape[1], device=index.device)
    return torch.where((first != _NEVER) & (rank < budget[:, None]), index.gather(1, position), -1)


def to_voxels(flat: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Flat indices (B, K), -1 for none, to coordinates (B, K, 3), rows of -1 for none."""
    width, area = shape[2], shape[1] * shape[2]
    d = flat.div(area, rounding_mode="floor")
    h = flat.div(width, rounding_mode="floor") % shape[1]
    return torch.where(exists(flat)[..., None], torch.stack((d, h, flat % width), -1), -1)


def flatten(voxels: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Coordinates (..., 3) to flat indices (...); those outside the grid give nonsense."""
    return (voxels[..., 0] * shape[1] + voxels[..., 1]) * shape[2] + voxels[..., 2]


def exists(index: Tensor) -> Tensor:
    """Mark the entries of a padded set that are voxels, bool."""
    return index >= 0


def inside(voxels: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Mark the coordinates (..., 3) that lie inside the grid, (...) bool."""
    lower = (voxels >= 0).all(-1)  # the sides one by one: as a tensor they would have to be copied to the device
    return lower & (voxels[..., 0] < shape[0]) & (voxels[..., 1] < shape[1]) & (voxels[..., 2] < shape[2])


def marked(voxels: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Mark the voxels given, (B, K, 3) int64 with rows of -1 for none, as (B, D * H * W + 1) bool.

    By flat index; the last column means nothing.
    """
    spare = shape[0] * shape[1] * shape[2]
    flat = torch.where(exists(voxels[..., 0]), flatten(voxels, shape), spare)
    return torch.zeros((len(voxels), spare + 1), dtype=torch.bool, device=voxels.device).scatter_(1, flat, True)


def values_at(mask: Tensor, index: Tensor) -> Tensor:
    """Values of a mask, (B, ...) bool, at flat indices (B, S); False at -1."""
    return mask.reshape(len(mask), -1).gather(1, index.clamp_min(0)) & exists(index)
