"""Linear and nearest interpolation on grids that are rotated about their third axis at most.

Written with gathers and element-wise arithmetic in double precision, each operation of which is rounded alike on every
device: the same case and placement give the same bits on a CPU and on a GPU, which `grid_sample` does not promise. The
third axis is separable, so the first two are interpolated for whole columns and the third afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Points of a rotated grid in fractional voxel indices, where an index is the centre of a voxel.

    Attributes:
        first: Along the first axis, (A, B) float64.
        second: Along the second axis, (A, B) float64.
        third: Along the third axis, (C,) float64.
    """

    first: Tensor
    second: Tensor
    third: Tensor

    @classmethod
    def of_axes(cls, first: Tensor, second: Tensor, third: Tensor) -> Coordinates:
        """The points of a grid whose axes have coordinates (A,), (B,) and (C,)."""
        shape = (len(first), len(second))
        return cls(first[:, None].expand(shape), second[None, :].expand(shape), third)

    def moved(self, by: Sequence[float]) -> Coordinates:
        """The points shifted along each axis."""
        return Coordinates(self.first + by[0], self.second + by[1], self.third + by[2])

    def rotated(self, angle: float) -> Coordinates:
        """The points rotated about the third axis through the origin, first axis towards second, radians."""
        cos, sin = math.cos(angle), math.sin(angle)
        return Coordinates(cos * self.first - sin * self.second, sin * self.first + cos * self.second, self.third)


def interpolate(volume: Tensor, at: Coordinates, border: bool) -> Tensor:
    """Trilinear interpolation of a volume (M, X, Y, Z) of any type at points (A, B, C).

    Args:
        volume: Values at the voxel centres.
        at: Where to read, in voxel indices of `volume`.
        border: Outside the volume lies its nearest voxel (True) or 0 (False).

    Returns:
        (M, A, B, C) float64 on the volume's device.
    """
    m, x, y, z = volume.shape
    columns = volume.reshape(m, x * y, z)
    plane = torch.zeros(m, at.first.numel(), z, dtype=torch.float64, device=volume.device)
    for i, weight_i in _neighbours(at.first.flatten(), x, border):
        for j, weight_j in _neighbours(at.second.flatten(), y, border):
            plane += columns.index_select(1, i * y + j).double().mul_((weight_i * weight_j)[:, None])
    (low, weight_low), (high, weight_high) = _neighbours(at.third, z, border)
    result = plane.index_select(2, low).mul_(weight_low)
    result += plane.index_select(2, high).mul_(weight_high)
    return result.reshape(m, *at.first.shape, len(at.third))


def nearest(volume: Tensor, at: Coordinates) -> Tensor:
    """The value of the nearest voxel of a volume (X, Y, Z) at points (A, B, C), also from outside; type kept."""
    i, j, k = (
        torch.floor(c + 0.5).long().clamp(0, n - 1)
        for c, n in zip((at.first, at.second, at.third), volume.shape, strict=True)
    )
    return volume[i[:, :, None], j[:, :, None], k]


def _neighbours(at: Tensor, size: int, border: bool) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The voxel below and the voxel above each coordinate: index inside the volume, and weight."""
    at = at.clamp(0, size - 1) if border else at
    below = torch.floor(at)
    share = at - below
    return _inside(below, 1 - share, size), _inside(below + 1, share, size)


def _inside(index: Tensor, weight: Tensor, size: int) -> tuple[Tensor, Tensor]:
    exists = (index >= 0) & (index < size)
    return index.clamp(0, size - 1).long(), weight * exists
