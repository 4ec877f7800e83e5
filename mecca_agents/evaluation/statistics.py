"""Intervals of a mean over cases, and p values corrected for their number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Values = Sequence[float] | NDArray[np.floating]

FEWEST_CASES = 8
"""With fewer no interval is given, since what so few tell of others depends too much on which they are."""

_DRAWN_AT_ONCE = 1 << 22  # values, so that memory stays bounded for many cases


def bootstrap_interval(
    values: Values,
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
    from scipy.stats import bootstrap  # half a second, which most commands do not need

    means = bootstrap(
        (array,),
        np.mean,
        n_resamples=resamples,
        batch=max(_DRAWN_AT_ONCE // len(array), 1),
        vectorized=True,
        method="percentile",
        random_state=np.random.default_rng(seed),
    ).bootstrap_distribution
    # NumPy's quantiles: SciPy's can lie an ulp above means that are all equal there, and a digit of a table with them.
    low, high = np.quantile(means, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


def case_interval(values: Values) -> tuple[float, float] | None:
    """The 95 % bootstrap interval of a mean over cases; None for fewer than `FEWEST_CASES`.

    It is about other cases for the same training. For other trainings see `mecca_agents.evaluation.two_level`.

    Args:
        values: (N,), one for each case.

    Raises:
        ValueError: One of at least `FEWEST_CASES` is not finite.
    """
    return bootstrap_interval(values) if len(values) >= FEWEST_CASES else None


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for their number, as Holm (1979) does: the least of M by M, the next by M - 1, ...

    Args:
        p_values: M numbers in [0, 1].

    Returns:
        The corrected ones in the same order, at most 1, never smaller than one whose p was smaller.

    Raises:
        ValueError: One is not in [0, 1].
    """
    if not all(0 <= p <= 1 for p in p_values):
        raise ValueError(f"p_values: expected numbers from 0 to 1, got {list(p_values)!r:.80}")
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min((len(p_values) - rank) * p_values[i], 1.0))
        corrected[i] = highest
    return corrected
