"""How far voxels are from others along a scan: shortest paths for which edges of intensity are long.

Such geodesic distances carry a click through what looks alike and stop at what does not, as in GrowCut (Vezhnevets and
Konushin, 2005) and DeepIGeoS (Wang et al., 2019). A network that is told them need not learn to follow a prompt across
the grid. On batches and on every device: one sweep finds the shortest way along a line, forth and back, for all lines
of an axis at once, as in the raster scans of Criminisi et al. (2008).
"""

from __future__ import annotations

import torch
from torch import Tensor

STEP = 0.005
"""Length of a step between voxels of the same intensity; across a difference of z-scores it is longer by as much."""

FAR = 64.0
"""No distance is longer."""

ROUNDS = 4
"""Sweeps along each of the three axes, one after another: so many bends of a path of every direction are found."""


def distances(volume: Tensor, seeds: Tensor, rounds: int = ROUNDS) -> Tensor:
    """Length of the shortest path of face neighbours to a seed, among those that bend only so often.

    Args:
        volume: z-scored, (B, M, D, H, W); differences are the mean over modalities.
        seeds: For each of K sets, which voxels are in it, (B, K, D, H, W) bool.
        rounds: Sweeps along each axis.

    Returns:
        (B, K, D, H, W), from 0 to `FAR`, which it is everywhere where a set is empty.
    """
    found = torch.where(seeds, 0.0, FAR).to(volume)
    ways = {axis: _ways(volume, axis) for axis in (2, 3, 4)}
    for _ in range(rounds):
        for axis, way in ways.items():
            ahead = _least_so_far(found - way, axis) + way
            back = _least_so_far((found + way).flip(axis), axis).flip(axis) - way
            found = torch.minimum(ahead, back)
    return found.clamp(0.0, FAR)  # sums of rounded lengths may fall a little below 0


def nearer(to: Tensor, than: Tensor) -> Tensor:
    """1 at what the first distances lead to, -1 at what the second lead to, 0 where both are as long; any shape."""
    return (than - to) / (than + to).clamp_min(STEP)


def _ways(volume: Tensor, axis: int) -> Tensor:
    """Length of the way from the first voxel of a line along an axis to each of its voxels, (B, 1, D, H, W)."""
    lengths = volume.diff(dim=axis).abs().mean(1, keepdim=True) + STEP
    return torch.cat((torch.zeros_like(volume[:, :1].narrow(axis, 0, 1)), lengths), axis).cumsum(axis)


def _least_so_far(values: Tensor, axis: int) -> Tensor:
    """The minimum of each voxel and all before it on its line, as `cummin`, which takes several times as long."""
    reach, size = 1, values.shape[axis]
    while reach < size:
        rest = size - reach
        least = torch.minimum(values.narrow(axis, reach, rest), values.narrow(axis, 0, rest))
        values = torch.cat((values.narrow(axis, 0, reach), least), axis)
        reach *= 2
    return values
