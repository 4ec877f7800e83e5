"""What a brush covers of a slice while it goes along a line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mecca_agents.session import SessionError
from mecca_env.data.base import Triple

MOST_RADIUS = 64
"""Voxels."""


def covered(
    points: Sequence[Sequence[float]], axis: int, radius: float, shape: Triple
) -> tuple[int, NDArray[np.bool_]]:
    """The voxels of a slice whose middle is no farther from a line than the radius, and those that it passes.

    Args:
        points: (K, 3), voxels of the scan, one after another along the line, one at least; all on one slice.
        axis: That the slices are stacked along.
        radius: In voxels, 0 or more; 0 is one voxel wide.
        shape: Of the scan.

    Returns:
        The slice's index, and which of its voxels, along the two other axes in their order.

    Raises:
        SessionError: The points lie on no slice of the scan.
    """
    line = np.asarray(points, np.float64)
    indices = np.rint(line[:, axis])
    if indices.min() != indices.max() or not 0 <= indices[0] < shape[axis]:
        lowest, highest = indices.min(), indices.max()
        raise SessionError(f"brush: expected points on one slice of the scan, got slices {lowest:g} to {highest:g}")
    others = [other for other in range(3) if other != axis]
    plane = np.zeros([shape[other] for other in others], bool)
    flat = line[:, others]
    for start, end in zip(flat, flat[1:] if len(flat) > 1 else flat, strict=False):
        _cover(plane, start, end, radius)
    return int(indices[0]), plane


def _cover(plane: NDArray[np.bool_], start: NDArray[np.float64], end: NDArray[np.float64], radius: float) -> None:
    """The same of one straight piece."""
    reach = max(radius, 0.5) + 1
    low = np.clip(np.floor(np.minimum(start, end) - reach), 0, plane.shape).astype(int)
    high = np.clip(np.ceil(np.maximum(start, end) + reach) + 1, 0, plane.shape).astype(int)
    if (low >= high).any():
        return
    first, second = np.ogrid[low[0] : high[0], low[1] : high[1]]
    along = end - start
    length = float(along @ along)
    ahead = (first - start[0]) * along[0] + (second - start[1]) * along[1]
    share = np.clip(ahead / length, 0, 1) if length else 0.0
    away = np.hypot(first - start[0] - share * along[0], second - start[1] - share * along[1])
    plane[low[0] : high[0], low[1] : high[1]] |= away <= radius + 1e-9
    pieces = int(np.ceil(2 * np.abs(along).max())) or 1  # what it passes, however thin it is
    passed = np.rint(start + along * np.arange(pieces + 1)[:, None] / pieces).astype(int)
    passed = passed[((passed >= 0) & (passed < plane.shape)).all(axis=1)]
    plane[passed[:, 0], passed[:, 1]] = True
