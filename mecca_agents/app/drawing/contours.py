"""Outlines of masks as paths that a browser draws sharply at any zoom."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def outline(mask: NDArray[np.bool_]) -> str:
    """The border of a mask, (rows, columns) bool, as the `d` of an SVG path; empty where there is none.

    A pixel at row r and column c reaches from (c, r) to (c + 1, r + 1). The line passes between foreground and
    background, halfway between their middles, with corners cut.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return ""
    from skimage.measure import find_contours  # late, since it takes long to import

    top, left = rows[0], columns[0]
    part = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1], 1)
    lines = find_contours(part.astype(np.float32), 0.5)
    offset = np.array([top, left]) - 0.5  # of the padding, less half a pixel
    return "".join(_path(line + offset) for line in lines)


def _path(line: NDArray[np.float64]) -> str:
    """A closed line, (N, 2) rows and columns, without the points inside straight stretches."""
    points = line[:-1]
    bends = (np.roll(points, -1, axis=0) - points) != (points - np.roll(points, 1, axis=0))
    kept = points[bends.any(axis=1)]
    return "M" + "L".join(f"{column:g} {row:g}" for row, column in kept) + "Z"
