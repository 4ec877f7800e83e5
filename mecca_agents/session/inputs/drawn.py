"""Lines and areas that a person draws, as the voxels that they mark."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mecca_agents.session.errors import SessionError

MOST_VOXELS = 1 << 20
"""Of a line or an area; what marks more is a slip of the hand."""


def along(points: ArrayLike) -> NDArray[np.float64]:
    """The voxels that a line passes, (N, 3), in order, each once in a row.

    Args:
        points: (K, 3), one at least; the line is straight between one and the next.

    Raises:
        SessionError: They are no points, or too far apart.
    """
    corners = _read(points, 1)
    parts = [corners[:1]]
    for start, end in zip(corners, corners[1:], strict=False):
        pieces = int(np.ceil(2 * np.abs(end - start).max())) or 1
        _refuse_many(pieces)
        parts.append(start + (end - start) * np.arange(1, pieces + 1)[:, None] / pieces)
    voxels = np.rint(np.concatenate(parts))
    moved = np.r_[True, (np.diff(voxels, axis=0) != 0).any(axis=1)]
    return voxels[moved]


def enclosed(points: ArrayLike) -> NDArray[np.float64]:
    """The voxels of a slice that lie within an outline, or on it, (N, 3).

    Args:
        points: (K, 3), three at least, with one coordinate in common.

    Raises:
        SessionError: They are no points, or lie on no slice.
    """
    corners = _read(points, 3)
    across = np.flatnonzero(np.rint(corners).max(axis=0) == np.rint(corners).min(axis=0))
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
    border = along(np.insert(np.vstack([flat, flat[:1]]), axis, corners[0, axis], axis=1))
    area = np.insert(np.stack([rows, columns], axis=1) + low, axis, corners[0, axis], axis=1)
    return np.unique(np.rint(np.concatenate([border, area])), axis=0)


def _read(points: ArrayLike, least: int) -> NDArray[np.float64]:
    try:
        array = np.array(points, np.float64)
    except (ValueError, TypeError) as error:
        raise SessionError(f"points: expected numbers (K, 3), got {points!r:.80}") from error
    if array.ndim != 2 or array.shape[1] != 3 or len(array) < least or not np.isfinite(array).all():
        raise SessionError(f"points: expected finite numbers (K, 3), {least} points at least, got shape {array.shape}")
    if np.abs(array).max() > MOST_VOXELS:
        raise SessionError(f"points: expected voxels of a scan, got {np.abs(array).max():g}")
    return array


def _refuse_many(count: int) -> None:
    if count > MOST_VOXELS:
        raise SessionError(f"points: expected a mark of at most {MOST_VOXELS} voxels, got one of {count}")
