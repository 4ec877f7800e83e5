"""Placements of an episode's grid in a scan: drawn here, applied elsewhere, so as to be repeated and inverted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.data.base import Box, PreparedCase, Triple
from mecca_env.kernels.interpolation import Coordinates

ROUNDING = 1e-6
"""Voxels that a point on the border of a grid may lie outside of it."""


@dataclass(frozen=True)
class Placement:
    """A grid laid over a box of the scan: scaled to it, mirrored, then rotated about the box's centre.

    Attributes:
        low: First corner of the crop on the scan's grid, voxels.
        high: Opposite corner, exclusive.
        shape: Grid, (D, H, W) voxels.
        flip: Axes along which the grid runs against the scan.
        angle: Rotation about the third axis in radians, in scan voxels, first axis towards second.
    """

    low: Triple
    high: Triple
    shape: Triple
    flip: tuple[bool, bool, bool] = (False, False, False)
    angle: float = 0.0

    def in_scan(self, device: torch.device | str = "cpu") -> Coordinates:
        """The centre of each grid voxel, in (fractional) voxel indices of the scan."""
        first, second, third = (self._steps(axis, device) for axis in range(3))
        return Coordinates.of_axes(first, second, third).rotated(self.angle).moved(self._centre)

    def in_grid(self, scan: Coordinates) -> Coordinates:
        """The inverse: points of the scan, in (fractional) voxel indices of the grid."""
        box = scan.moved([-c for c in self._centre]).rotated(-self.angle)
        first, second, third = (
            offset * (self.shape[axis] / self._extent(axis)) * (-1.0 if self.flip[axis] else 1.0)
            + (self.shape[axis] - 1) / 2
            for axis, offset in enumerate((box.first, box.second, box.third))
        )
        return Coordinates(first, second, third)

    def voxels(self, points: NDArray[np.float64]) -> NDArray[np.int64]:
        """The grid's voxels that hold points of the scan.

        Args:
            points: (K, 3), voxels of the scan, fractions included.

        Returns:
            (K, 3), -1s for those that lie beyond the grid.
        """
        given = torch.from_numpy(points)
        at = self.in_grid(Coordinates(given[:, 0, None], given[:, 1, None], given[:, 2]))
        found = torch.stack((at.first[:, 0], at.second[:, 0], at.third), dim=1).numpy()
        last = np.array(self.shape) - 1
        there = ((found >= -0.5 - ROUNDING) & (found <= last + 0.5 + ROUNDING)).all(axis=1, keepdims=True)
        voxels: NDArray[np.int64] = np.where(there, np.clip(np.floor(found + 0.5), 0, last), -1).astype(np.int64)
        return voxels

    def bounds(self, scan_shape: Triple) -> tuple[Triple, Triple]:
        """The smallest box of scan voxels that holds the rotated crop, clamped to the scan; high exclusive."""
        half = [self._extent(axis) / 2 for axis in range(3)]
        cos, sin = abs(math.cos(self.angle)), abs(math.sin(self.angle))
        reach = (half[0] * cos + half[1] * sin, half[0] * sin + half[1] * cos, half[2])
        middle = [(a + b) / 2 for a, b in zip(self.low, self.high, strict=True)]
        low = [max(math.floor(c - r), 0) for c, r in zip(middle, reach, strict=True)]
        high = [min(math.ceil(c + r), size) for c, r, size in zip(middle, reach, scan_shape, strict=True)]
        return (low[0], low[1], low[2]), (high[0], high[1], high[2])

    @property
    def _centre(self) -> tuple[float, ...]:
        """Centre of the crop in voxel indices: half a voxel less than in corners."""
        return tuple((a + b - 1) / 2 for a, b in zip(self.low, self.high, strict=True))

    def _extent(self, axis: int) -> int:
        return self.high[axis] - self.low[axis]

    def _steps(self, axis: int, device: torch.device | str) -> Tensor:
        """Offsets of the grid voxels from the crop's centre along one axis, in scan voxels."""
        size = self.shape[axis]
        sign = -1.0 if self.flip[axis] else 1.0
        steps = torch.arange(size, dtype=torch.float64, device=device) - (size - 1) / 2
        return steps * (sign * self._extent(axis) / size)


def draw_placement(
    case: PreparedCase,
    shape: Triple,
    rng: np.random.Generator,
    *,
    extension: tuple[int, int],
    rotation: float,
    box: Box | None = None,
) -> Placement:
    """Draw a training placement (Sec. 4.1): the label's box with each side extended, mirrored and rotated.

    The number of draws from `rng` is always the same, whatever the case and the settings.

    Args:
        case: The case.
        shape: Grid, (D, H, W).
        rng: Source of the ten draws.
        extension: Least and most voxels by which each of the six sides is extended, inclusive; clamped to the scan.
        rotation: Largest angle about the third axis, degrees; drawn uniformly from plus and minus this.
        box: Another box of the scan in place of the label's.
    """
    sides = rng.integers(extension[0], extension[1], size=(2, 3), endpoint=True)
    flips = rng.random(3) < 0.5
    angle = math.radians(rng.uniform(-rotation, rotation))
    low, high = _extended(case, box or case.box, (_triple(sides[0]), _triple(sides[1])))
    return Placement(low, high, shape, (bool(flips[0]), bool(flips[1]), bool(flips[2])), angle)


def fixed_placement(case: PreparedCase, shape: Triple, evaluation_extension: int, box: Box | None = None) -> Placement:
    """The placement for evaluation: every side extended by the same number of voxels, clamped; no flip, no angle.

    Args:
        case: The case.
        shape: Grid, (D, H, W).
        evaluation_extension: That number.
        box: Another box of the scan in place of the label's.
    """
    margin = _triple((evaluation_extension,) * 3)
    return Placement(*_extended(case, box or case.box, (margin, margin)), shape)


def canonical_placement(case: PreparedCase, shape: Triple) -> Placement:
    """The placement over the whole cut, on which a case's supervoxels are computed once."""
    x, y, z = case.label.shape
    a, b, c = case.origin
    return Placement(case.origin, (a + x, b + y, c + z), shape)


def _extended(case: PreparedCase, box: Box, sides: tuple[Triple, Triple]) -> Box:
    low = [max(edge - side, 0) for edge, side in zip(box[0], sides[0], strict=True)]
    high = [min(edge + side, n) for edge, side, n in zip(box[1], sides[1], case.scan_shape, strict=True)]
    return _triple(low), _triple(high)


def _triple(values: object) -> Triple:
    a, b, c = (int(v) for v in np.asarray(values))
    return a, b, c
