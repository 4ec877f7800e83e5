"""The loops of a reset, compiled by Numba for the CPU: a case cut, rotated, resized and z-scored in one pass.

Only `numba_step` imports this. Every loop gives bit for bit what the torch code in `interpolation` and in
`torch_step.resample` gives: the same operations in double precision, in the same order, none of them contracted.
"""

from __future__ import annotations

from math import floor

import numpy as np

from mecca_env.kernels.numba_jit import Array, jit


@jit
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
    """Interpolate image and label (`interpolation.interpolate`), z-score and clip the one, threshold the other.

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


@jit
def _weights(at: float, size: int, border: bool) -> tuple[int, int, float, float]:
    """The voxels below and above a coordinate, inside the volume, and their weights (`interpolation._neighbours`)."""
    if border:
        at = min(max(at, 0.0), size - 1.0)
    below = floor(at)
    share = at - below
    low = int(below)
    high = low + 1
    low_weight = 1.0 - share if 0 <= low < size else 0.0
    high_weight = share if 0 <= high < size else 0.0
    return min(max(low, 0), size - 1), min(max(high, 0), size - 1), low_weight, high_weight


@jit
def _along(at: Array, size: int, border: bool) -> tuple[Array, Array, Array, Array]:
    """`_weights` of (W,) coordinates."""
    low, high = np.empty(len(at), np.int64), np.empty(len(at), np.int64)
    low_weight, high_weight = np.empty(len(at), np.float64), np.empty(len(at), np.float64)
    for k in range(len(at)):
        low[k], high[k], low_weight[k], high_weight[k] = _weights(at[k], size, border)
    return low, high, low_weight, high_weight


@jit
def _read(volume: Array, i: float, j: float, border: bool, start: int, stop: int, column: Array) -> None:
    """The column of (X, Y, Z) `volume` at (i, j), from `start` to `stop`, into `column` (Z,) float64."""
    i_low, i_high, i_below, i_above = _weights(i, volume.shape[0], border)
    j_low, j_high, j_below, j_above = _weights(j, volume.shape[1], border)
    one, two = volume[i_low, j_low], volume[i_low, j_high]
    three, four = volume[i_high, j_low], volume[i_high, j_high]
    a, b, c, d = i_below * j_below, i_below * j_above, i_above * j_below, i_above * j_above
    for z in range(start, stop):  # from 0.0 on, as torch adds to zeros: it makes -0.0 a 0.0
        column[z] = (((0.0 + one[z] * a) + two[z] * b) + three[z] * c) + four[z] * d


@jit
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


@jit
def _exceed(
    column: Array, low: Array, high: Array, low_weight: Array, high_weight: Array, threshold: float, written: Array
) -> None:
    for k in range(len(written)):
        written[k] = column[low[k]] * low_weight[k] + column[high[k]] * high_weight[k] > threshold


@jit
def _occupied(label: Array) -> Array:
    """Mark the columns of (X, Y, Z) `label` that hold any foreground, (X, Y) uint8."""
    occupied = np.empty(label.shape[:2], np.uint8)
    for x in range(label.shape[0]):
        for y in range(label.shape[1]):
            found = np.uint8(0)
            for z in range(label.shape[2]):
                found |= label[x, y, z]
            occupied[x, y] = found
    return occupied


@jit
def _near(occupied: Array, i: float, j: float) -> bool:
    """Tell whether any of the four columns around (i, j) holds foreground."""
    i_low, i_high, _, _ = _weights(i, occupied.shape[0], False)
    j_low, j_high, _, _ = _weights(j, occupied.shape[1], False)
    found = occupied[i_low, j_low] | occupied[i_low, j_high] | occupied[i_high, j_low] | occupied[i_high, j_high]
    return bool(found)
