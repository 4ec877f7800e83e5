"""How far a mean over cases can be trusted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_DRAWN_AT_ONCE = 1 << 22


def bootstrap_interval(
    values: Sequence[float] | NDArray[np.floating],
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean (Efron, 1979).

    Args:
        values: (N,), one for each case.
        level: Share of the resampled means that lie inside.
        resamples: How many samples of N are drawn from the values, with replacement.
        seed: Fixes them: the same values always give the same interval.

    Returns:
        Lower and upper bound.

    Raises:
        ValueError: There are fewer than two values, one is not finite, or an argument is out of range.
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or len(array) < 2 or not np.isfinite(array).all():
        raise ValueError(f"values: expected at least two finite numbers, got {array.tolist()!r:.80}")
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number between 0 and 1, got {level!r}")
    if resamples < 1:
        raise ValueError(f"resamples: expected at least 1, got {resamples!r}")
    rng = np.random.default_rng(seed)
    rows = max(_DRAWN_AT_ONCE // len(array), 1)  # so that memory stays bounded for many cases
    means = np.empty(resamples)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        means[start : start + count] = array[rng.integers(len(array), size=(count, len(array)))].mean(axis=1)
    low, high = np.quantile(means, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)
