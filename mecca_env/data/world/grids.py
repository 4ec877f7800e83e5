"""Whether two grids are one: how far apart they put the same voxel."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from mecca_env.data.base import DataError, Triple
from mecca_env.data.world.nifti import rounding

TOLERANCE = 1e-3
"""Millimetres that image and label may lie apart unless told otherwise: what headers of single precision lose."""

_TOLERANCE_OF_VOXEL = 0.1
_LEAST_VOLUME = 1e-6  # of the box with a voxel's sides, that its axes span


def checked_tolerance(tolerance: float | None) -> float | None:
    """A tolerance that was given, or None. Raises `DataError`."""
    numbers = (int, float, np.integer, np.floating)
    if tolerance is not None and not (isinstance(tolerance, numbers) and 0 <= tolerance < np.inf):  # nor NaN
        raise DataError(f"tolerance: expected millimetres, 0 or more, found {tolerance!r}")
    return tolerance


def is_invertible(affine: NDArray[np.float64]) -> bool:
    """Whether an affine, (4, 4), gives every voxel a place of its own, however small voxels are."""
    if not np.isfinite(affine).all():
        return False
    sides = np.linalg.norm(affine[:3, :3], axis=0)
    return bool((sides > 0).all() and abs(np.linalg.det(affine[:3, :3] / sides)) > _LEAST_VOLUME)


def distance(one: NDArray[np.float64], other: NDArray[np.float64], shape: Triple) -> float:
    """The largest distance between the places that two affines give to a voxel of a grid, in their unit."""
    return float(_apart(one, other, shape).max())


def same_grid(
    one: NDArray[np.float64], other: NDArray[np.float64], shape: Triple, tolerance: float | None = None
) -> bool:
    """Whether two affines give the voxels of a grid the same places.

    Args:
        one: (4, 4), voxel index to millimetres; both can be inverted.
        other: Likewise.
        shape: (X, Y, Z).
        tolerance: Millimetres that the first voxel may lie apart, beside what single precision cannot tell. The others,
            which the rounding of a rotation moves more, may lie as far apart, or a tenth of a voxel. None: `TOLERANCE`,
            or a tenth of a voxel where that is less.
    """
    sides = [np.linalg.norm(affine[:3, :3], axis=0).min() for affine in (one, other)]
    part = _TOLERANCE_OF_VOXEL * float(min(sides))
    first = min(TOLERANCE, part) if tolerance is None else tolerance
    lost = rounding(one)[:3]
    unclear = float(np.linalg.norm(lost[:, 3] + lost[:, :3] @ (np.array(shape) - 1)))
    apart = _apart(one, other, shape)
    return bool(apart[0] <= first + unclear and apart.max() <= max(first, part) + unclear)


def _apart(one: NDArray[np.float64], other: NDArray[np.float64], shape: Triple) -> NDArray[np.float64]:
    """The distances at the eight corners, (8,), the first voxel's first: none inside is larger."""
    corners = np.array([(*corner, 1) for corner in itertools.product(*((0, n - 1) for n in shape))], float)
    found: NDArray[np.float64] = np.linalg.norm((corners @ (one - other).T)[:, :3], axis=1)
    return found
