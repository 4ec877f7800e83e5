"""The usual intensities of a scan: without padding, and without the few that lie far from all others, such as metal.

A CT is a cylinder in a box; what lies outside of it is often stored as -32768, or -3024, far from any tissue. Mean and
standard deviation of a crop with such padding are about the padding, and every tissue becomes the same shade. A metal
implant does the same with few voxels.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_LOOKED_AT = 1 << 18  # voxels, drawn where there are more
_LEAST_PADDING = 0.01  # share of the voxels
_KINDS = 2  # of padding at one end
_LEAST_GAP = 4.0  # standard deviations of the others between padding and the nearest of them
_FAR = 5.0  # standard deviations; the env clips there (`EnvConfig.intensity_clip`)
_LEAST_HARM = 2.0  # times by which what lies farther widens the standard deviation of the others


def usual_range(values: NDArray[Any]) -> tuple[float, float]:
    """The range outside of which intensities are padding or far; an end at which there is neither is infinite.

    Padding is the lowest or the highest value, in a hundredth of the voxels or more, with a gap between it and the
    others of more than four of their standard deviations. There may be several. A dark background is none: there is no
    such gap above it. Far is what lies more than five standard deviations from the mean of the others, but only where
    it makes the standard deviation twice as large or larger. A z-score shows it as the lightest or the darkest shade
    in any case; so it is not to take the other shades from the rest.

    Args:
        values: Intensities, finite, of any shape; of more than 262,144 so many are drawn, always the same.

    Returns:
        Lowest and highest intensity that count.
    """
    left = values.ravel()
    if left.size > _MOST_LOOKED_AT:
        left = left[np.random.default_rng(0).integers(left.size, size=_MOST_LOOKED_AT)]
    low, high = -math.inf, math.inf
    while (found := _without_padding(left)) is not None:
        left, between = found
        low, high = max(low, between[0]), min(high, between[1])
    mean, std = _core(left)
    if left.std(dtype=np.float64) >= _LEAST_HARM * std > 0:
        low, high = max(low, mean - _FAR * std), min(high, mean + _FAR * std)
    return low, high


def mean_and_std(values: NDArray[np.float32]) -> tuple[float, float]:
    """Mean and standard deviation of the intensities in their usual range."""
    low, high = usual_range(values)
    if low > -math.inf or high < math.inf:
        values = values[(values >= low) & (values <= high)]
    return float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))


def _without_padding(values: NDArray[Any]) -> tuple[NDArray[Any], tuple[float, float]] | None:
    """The others and the range between them and the padding at either end, where there is some; else None."""
    lowest, highest = _frequent(values, np.min), _frequent(values, np.max)
    for few, many in sorted(itertools.product(range(len(lowest) + 1), range(len(highest) + 1)), key=sum)[1:]:
        dropped = lowest[:few] + highest[:many]
        others = values[~np.isin(values, dropped)]
        if not others.size:
            continue
        mean, std = _core(others)
        ends = max(float(others.min()), mean - _FAR * std), min(float(others.max()), mean + _FAR * std)
        if std > 0 and all(max(ends[0] - value, value - ends[1]) > _LEAST_GAP * std for value in dropped):
            low = (lowest[few - 1] + ends[0]) / 2 if few else -math.inf
            return others, (low, (highest[many - 1] + ends[1]) / 2 if many else math.inf)
    return None


def _frequent(values: NDArray[Any], end: Callable[[NDArray[Any]], Any]) -> list[float]:
    """The outermost values at one end, as far as each is frequent, from the outside."""
    found: list[float] = []
    left = values
    while left.size and len(found) < _KINDS:
        value = end(left)
        left, before = left[left != value], left.size
        if before - left.size < _LEAST_PADDING * values.size:
            break
        found.append(float(value))
    return found


def _core(values: NDArray[Any]) -> tuple[float, float]:
    """Mean and standard deviation, again and again without what lies too far, until nothing does."""
    while True:
        mean, std = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
        near = np.abs(values - mean) <= _FAR * std
        if near.all() or not near.any():  # there is nothing far, or nothing but rounding
            return mean, std
        values = values[near]
