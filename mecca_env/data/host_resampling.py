"""The loops of a reset, compiled by Numba for the CPU: a case cut, turned, resized and z-scored in one pass.

Imported only where `mecca_env.compiled` says that Numba is there. Every loop gives bit for bit what the torch code
beside its caller gives: the same operations in double precision, in the same order, none of them contracted.
"""

from __future__ import annotations

from collections.abc import Callable
from math import floor
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
_Loop = TypeVar("_Loop", bound=Callable[..., Any])


def _compiled(loop: _Loop) -> _Loop:
    """Compiled when first called, for the types it is called with, and kept on disk for the next process."""
    compiled: _Loop = njit(nogil=True, cache=True)(loop)
    return compiled


@_compiled
def resample(
    image: Array,
    label: Array,
    first: Array,
    second: Array,
    third: Array,
    mean: Array,
    std: Array,
    clip: float,
    threshold: float,
    volume: Array,
    mask: Array,
) -> None:
    """Interpolate image and label (`resampling.interpolate`), z-score and clip the one, threshold the other.

    Args:
        image: (M, X, Y, Z) of any real type.
        label: (X, Y, Z) uint8, zeros and ones.
        first: Where to read along the first axis, (D, H) float64, voxel indices.
        second: Along the second axis, (D, H) float64.
        third: Along the third axis, (W,) float64.
        mean: Of each modality, (M,) float64.
        std: Likewise.
        clip: z-scored intensities are clipped to plus and minus this.
        threshold: Foreground is what exceeds it.
        volume: Written: (M, D, H, W) float32.
        mask: Written: (D, H, W) bool.
    """
    column = np.empty(image.shape[3], np.float64)
    low, high, low_weight, high_weight = _along(third, image.shape[3], True)
    label_low, label_high, label_low_weight, label_high_weight = _along(third, image.shape[3], False)
    start, stop = min(low.min(), label_low.min()), max(high.max(), label_high.max()) + 1
    occupied = _occupied(label)
    for d in range(mask.shape[0]):
        for h in range(mask.shape[1]):
            i, j = first[d, h], second[d, h]
            for m in range(image.shape[0]):
                _read(image[m], i, j, True, start, stop, column)
                _score(column, low, high, low_weight, high_weight, mean[m], std[m], clip, volume[m, d, h])
            if _near(occupied, i, j):
                _read(label, i, j, False, start, stop, column)
                _exceed(column, label_low, label_high, label_low_weight, label_high_weight, threshold, mask[d, h])
            else:
                mask[d, h, :] = False


@_compiled
def mark_surface(label: Array, edge: Array, counts: Array) -> None:
    """Which voxels are surface voxels of their label, and how many.

    Args:
        label: (B, D, H, W) uint8, zeros and ones.
        edge: Written: the same with the surface only.
        counts: Written: (B,) int64.
    """
    _, depth, height, width = label.shape
    outside = np.zeros(width, np.uint8)
    for row in range(label.shape[0]):
        count = 0
        for d in range(depth):
            for h in range(height):
                own, out = label[row, d, h], edge[row, d, h]
                above = label[row, d - 1, h] if d > 0 else outside
                below = label[row, d + 1, h] if d + 1 < depth else outside
                before = label[row, d, h - 1] if h > 0 else outside
                after = label[row, d, h + 1] if h + 1 < height else outside
                out[0], out[width - 1] = own[0], own[width - 1]
                for w in range(1, width - 1):
                    enclosed = above[w] & below[w] & before[w] & after[w] & own[w - 1] & own[w + 1]
                    out[w] = own[w] & ~enclosed
                for w in range(width):
                    count += out[w]
        counts[row] = count


@_compiled
def list_surface(edge: Array, surface: Array) -> None:
    """Where the marked voxels are.

    Args:
        edge: (B, D, H, W) uint8, zeros and ones.
        surface: Written: flat indices, ascending, then -1, (B, S) int64.
    """
    _, depth, height, width = edge.shape
    for row in range(edge.shape[0]):
        place = 0
        for d in range(depth):
            for h in range(height):
                found = np.uint8(0)
                for w in range(width):
                    found |= edge[row, d, h, w]
                if found:
                    for w in range(width):
                        if edge[row, d, h, w]:
                            surface[row, place] = (d * height + h) * width + w
                            place += 1
        surface[row, place:] = -1


@_compiled
def list_neighbours(index: Array, beside: Array, depth: int, height: int, width: int) -> None:
    """The face neighbours of voxels (`voxels.face_neighbours`).

    Args:
        index: Flat indices, -1 for none, (B, S) int64.
        beside: Written: (B, 6, S) int64, -1 outside the grid.
        depth: First side of the grid,
        height: second,
        width: third.
    """
    area = height * width
    for row in range(index.shape[0]):
        for place in range(index.shape[1]):
            voxel = index[row, place]
            if voxel < 0:
                beside[row, :, place] = -1
                continue
            d, h, w = voxel // area, voxel // width % height, voxel % width
            beside[row, 0, place] = voxel - area if d > 0 else -1
            beside[row, 1, place] = voxel + area if d + 1 < depth else -1
            beside[row, 2, place] = voxel - width if h > 0 else -1
            beside[row, 3, place] = voxel + width if h + 1 < height else -1
            beside[row, 4, place] = voxel - 1 if w > 0 else -1
            beside[row, 5, place] = voxel + 1 if w + 1 < width else -1


@_compiled
def _weights(at: float, size: int, border: bool) -> tuple[int, int, float, float]:
    """The voxels below and above a coordinate, inside the volume, and their weights (`resampling._neighbours`)."""
    if border:
        at = min(max(at, 0.0), size - 1.0)
    below = floor(at)
    share = at - below
    low = int(below)
    high = low + 1
    low_weight = 1.0 - share if 0 <= low < size else 0.0
    high_weight = share if 0 <= high < size else 0.0
    return min(max(low, 0), size - 1), min(max(high, 0), size - 1), low_weight, high_weight


@_compiled
def _along(at: Array, size: int, border: bool) -> tuple[Array, Array, Array, Array]:
    """`_weights` of (W,) coordinates."""
    low, high = np.empty(len(at), np.int64), np.empty(len(at), np.int64)
    low_weight, high_weight = np.empty(len(at), np.float64), np.empty(len(at), np.float64)
    for k in range(len(at)):
        low[k], high[k], low_weight[k], high_weight[k] = _weights(at[k], size, border)
    return low, high, low_weight, high_weight


@_compiled
def _read(volume: Array, i: float, j: float, border: bool, start: int, stop: int, column: Array) -> None:
    """The column of (X, Y, Z) `volume` at (i, j), from `start` to `stop`, into `column` (Z,) float64."""
    i_low, i_high, i_below, i_above = _weights(i, volume.shape[0], border)
    j_low, j_high, j_below, j_above = _weights(j, volume.shape[1], border)
    one, two = volume[i_low, j_low], volume[i_low, j_high]
    three, four = volume[i_high, j_low], volume[i_high, j_high]
    a, b, c, d = i_below * j_below, i_below * j_above, i_above * j_below, i_above * j_above
    for z in range(start, stop):  # from 0.0 on, as torch adds to zeros: it makes -0.0 a 0.0
        column[z] = (((0.0 + one[z] * a) + two[z] * b) + three[z] * c) + four[z] * d


@_compiled
def _score(
    column: Array,
    low: Array,
    high: Array,
    low_weight: Array,
    high_weight: Array,
    mean: float,
    std: float,
    clip: float,
    written: Array,
) -> None:
    for k in range(len(written)):
        value = (column[low[k]] * low_weight[k] + column[high[k]] * high_weight[k] - mean) / std
        value = -clip if value < -clip else value
        written[k] = clip if value > clip else value


@_compiled
def _exceed(
    column: Array, low: Array, high: Array, low_weight: Array, high_weight: Array, threshold: float, written: Array
) -> None:
    for k in range(len(written)):
        written[k] = column[low[k]] * low_weight[k] + column[high[k]] * high_weight[k] > threshold


@_compiled
def _occupied(label: Array) -> Array:
    """Which columns of (X, Y, Z) `label` hold any foreground, (X, Y) uint8."""
    occupied = np.empty(label.shape[:2], np.uint8)
    for x in range(label.shape[0]):
        for y in range(label.shape[1]):
            found = np.uint8(0)
            for z in range(label.shape[2]):
                found |= label[x, y, z]
            occupied[x, y] = found
    return occupied


@_compiled
def _near(occupied: Array, i: float, j: float) -> bool:
    """Whether any of the four columns around (i, j) holds foreground."""
    i_low, i_high, _, _ = _weights(i, occupied.shape[0], False)
    j_low, j_high, _, _ = _weights(j, occupied.shape[1], False)
    found = occupied[i_low, j_low] | occupied[i_low, j_high] | occupied[i_high, j_low] | occupied[i_high, j_high]
    return bool(found)
