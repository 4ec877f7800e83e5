"""What an agent sees of a scan where nobody drew a box: around the first click, then as far as the mask reaches."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mecca_env.data.base import Box, Triple
from mecca_env.data.grid.cutting import bounding_box
from mecca_env.data.grid.placement import Placement

SIDES = (64.0, 96.0, 144.0, 216.0, 324.0)
"""Sides of the cubes around a first click that a first step looks at, millimetres."""

DOUBT = 0.3
"""A probability that is nearer to a half than this is in doubt."""

MOST_DOUBT = 0.9
"""Voxels in doubt for each one found, from which on a first step looks in a larger view as well."""

GROWTH = 0.4
"""Share of its side by which a view grows where the mask touches its border."""

MARGIN = 0.15
"""Share of the mask's extent that a view shows around it."""

LEAST_MARGIN = 4
"""The same in voxels of the scan, at least."""

LOOSE = 1.6
"""A view is drawn closer where, along some axis, it is as many times as long as what it should show."""

MOST_CHANGES = 6
"""How often a step looks again in another view."""


def opening(point: Sequence[float], spacing: Sequence[float], shape: Triple, side: float) -> Box:
    """A cube around a click, cut off at the scan's border.

    Args:
        point: Of the scan, voxels.
        spacing: Size of a voxel, millimetres.
        shape: Of the scan.
        side: Of the cube, millimetres.
    """
    reach = [max(round(side / 2 / size), 1) for size in spacing]
    low = [max(round(p) - r, 0) for p, r in zip(point, reach, strict=True)]
    high = [min(round(p) + r + 1, n) for p, r, n in zip(point, reach, shape, strict=True)]
    return _triple(low), _triple(high)


def around(view: Box, points: NDArray[np.float64], shape: Triple) -> Box:
    """The view, as far as points need that lie outside of it, and a margin around them.

    Args:
        view: Before.
        points: (K, 3), voxels of the scan.
        shape: Of the scan.
    """
    low, high = (np.array(corner, float) for corner in view)
    margin = np.maximum(MARGIN * (high - low), LEAST_MARGIN)
    first, last = points.min(0), points.max(0)
    low = np.where(first < low - 0.5, np.minimum(low, first - margin), low)
    high = np.where(last > high - 0.5, np.maximum(high, last + margin + 1), high)
    return _within(low, high, shape)


def with_margin(box: Box, shape: Triple) -> Box:
    """A box and a margin around it, within the scan.

    Args:
        box: Of the scan.
        shape: Of the scan.
    """
    low, high = (np.array(corner, float) for corner in box)
    margin = np.maximum(MARGIN * (high - low), LEAST_MARGIN)
    return _within(low - margin, high + margin, shape)


def grown(mask: NDArray[np.bool_], placement: Placement, shape: Triple) -> Box:
    """The view, larger wherever the mask touches a border of it that is not the scan's.

    Args:
        mask: On the view's grid, (D, H, W).
        placement: Where that lies.
        shape: Of the scan.
    """
    low, high = np.array(placement.low, float), np.array(placement.high, float)
    reach = GROWTH * (high - low)
    for axis in range(3):
        ends = mask.take([0, -1], axis=axis)
        if ends.take(0, axis=axis).any():
            low[axis] -= reach[axis]
        if ends.take(1, axis=axis).any():
            high[axis] += reach[axis]
    return _within(low, high, shape)


def drawn_closer(
    mask: NDArray[np.bool_],
    placement: Placement,
    shape: Triple,
    inside: NDArray[np.float64],
    outside: NDArray[np.float64],
) -> Box:
    """The view, smaller where it is much larger than the mask, what was clicked inside, and what outside near that.

    Args:
        mask: On the view's grid, (D, H, W).
        placement: Where that lies.
        shape: Of the scan.
        inside: Points inside the target, (K, 3), voxels of the scan.
        outside: Points outside the target, likewise.
    """
    view = (placement.low, placement.high)
    if not mask.any():
        return view
    low, high = (np.array(corner, float) for corner in view)
    first, last = (np.array(corner) for corner in bounding_box(mask))
    scale = (high - low) / np.array(placement.shape)
    wanted_low, wanted_high = low + first * scale, low + last * scale
    reach = GROWTH * (wanted_high - wanted_low)
    near = ((outside >= wanted_low - reach) & (outside < wanted_high + reach)).all(axis=1)
    points = np.concatenate((inside, outside[near]))
    if len(points):
        wanted_low, wanted_high = np.minimum(wanted_low, points.min(0)), np.maximum(wanted_high, points.max(0) + 1)
    margin = np.maximum(MARGIN * (wanted_high - wanted_low), LEAST_MARGIN)
    wanted = _within(np.maximum(wanted_low - margin, low), np.minimum(wanted_high + margin, high), shape)
    sides = np.array(wanted[1]) - np.array(wanted[0])
    return wanted if ((high - low) > LOOSE * sides).any() else view


def _within(low: NDArray[np.float64], high: NDArray[np.float64], shape: Triple) -> Box:
    """A box of whole voxels inside the scan."""
    a = [max(math.floor(v), 0) for v in low]
    b = [min(math.ceil(v), n) for v, n in zip(high, shape, strict=True)]
    return _triple(a), _triple(b)


def _triple(values: Sequence[int]) -> Triple:
    a, b, c = values
    return a, b, c
