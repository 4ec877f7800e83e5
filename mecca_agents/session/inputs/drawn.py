"""Points, lines and areas that a person draws, as the voxels that they mark."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mecca_agents.session.errors import SessionError
from mecca_env.data.base import Box
from mecca_env.data.grid.placement import ROUNDING

MOST_VOXELS = 1 << 20
"""Of a line or an area; what marks more is a slip of the hand."""


def read_points(points: ArrayLike, box: Box, least: int = 1) -> NDArray[np.float64]:
    """Points as numbers, (K, 3), all of them inside a box of the scan.

    Args:
        points: (K, 3), or (3,) for one.
        box: High exclusive.
        least: Of K.

    Raises:
        SessionError: They are no points, too few, or one of them lies outside.
    """
    try:
        array = np.array(points, np.float64)
    except (ValueError, TypeError) as error:
        raise SessionError(f"points: expected numbers (K, 3), got {points!r:.80}") from error
    array = array[None] if array.shape == (3,) else array
    if array.ndim != 2 or array.shape[1] != 3 or len(array) < least:
        raise SessionError(
            f"points: expected (K, 3), {'one' if least == 1 else least} at least, got shape {array.shape}"
        )
    low, high = (np.array(corner) for corner in box)
    inside = ((array >= low - 0.5 - ROUNDING) & (array <= high - 0.5 + ROUNDING)).all(axis=1)  # False for NaN
    if not inside.all():
        raise SessionError(
            f"points: expected voxels of what the agent sees, {box[0]} to {box[1]} (exclusive), "
            f"got {array[~inside][0].tolist()}"
        )
    return array


def voxels_of(points: NDArray[np.float64], box: Box) -> NDArray[np.float64]:
    """The voxels that hold points of a box of the scan, (K, 3), whole numbers; none beyond its border."""
    low, high = (np.array(corner) for corner in box)
    return np.clip(np.rint(points), low, high - 1)


def along(points: ArrayLike, box: Box) -> NDArray[np.float64]:
    """The voxels that a line passes, (N, 3), in order, each once in a row.

    Args:
        points: (K, 3), one at least; the line is straight between one and the next.
        box: Of the scan, high exclusive, in which all of them lie.

    Raises:
        SessionError: As `read_points`, or the line is too long.
    """
    corners = read_points(points, box)
    ways = np.diff(corners, axis=0)
    pieces = np.maximum(np.ceil(2 * np.abs(ways).max(axis=1)), 1).astype(int)  # two a voxel
    _refuse_many(int(pieces.sum()) // 2)
    parts = [
        start + way * np.arange(1, count + 1)[:, None] / count
        for start, way, count in zip(corners, ways, pieces, strict=False)
    ]
    voxels = voxels_of(np.concatenate([corners[:1], *parts]), box)
    moved = np.r_[True, (np.diff(voxels, axis=0) != 0).any(axis=1)]
    return voxels[moved]


def enclosed(points: ArrayLike, box: Box) -> NDArray[np.float64]:
    """The voxels of a slice that lie within an outline, or on it, (N, 3).

    Args:
        points: (K, 3), three at least, with one coordinate in common.
        box: Of the scan, high exclusive, in which all of them lie.

    Raises:
        SessionError: As `read_points`, they lie on no slice, or the area is too large.
    """
    corners = read_points(points, box, 3)
    rounded = voxels_of(corners, box)
    across = np.flatnonzero(rounded.max(axis=0) == rounded.min(axis=0))
    if not len(across):
        raise SessionError(
            f"points: expected an outline on one slice, got points from {corners.min(0)} to {corners.max(0)}"
        )
    axis = int(across[-1])
    others = [other for other in range(3) if other != axis]
    from skimage.draw import polygon  # takes a while to import

    flat = corners[:, others]
    low = np.floor(flat.min(axis=0)) - 1
    sides = np.ceil(flat.max(axis=0)) - low + 2
    _refuse_many(int(np.prod(sides)))
    rows, columns = polygon(*(flat - low).T, shape=sides.astype(int))
    border = along(np.insert(np.vstack([flat, flat[:1]]), axis, corners[0, axis], axis=1), box)
    area = np.insert(np.stack([rows, columns], axis=1) + low, axis, corners[0, axis], axis=1)
    return np.unique(np.concatenate([border, voxels_of(area, box)]), axis=0)


def _refuse_many(count: int) -> None:
    if count > MOST_VOXELS:
        raise SessionError(f"points: expected a mark of at most {MOST_VOXELS} voxels, got one of {count}")
