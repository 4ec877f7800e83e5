"""Intervals of a mean over cases, and tests of a difference between two methods."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Values = Sequence[float] | NDArray[np.floating]

_DRAWN_AT_ONCE = 1 << 22  # values, so that memory stays bounded for many cases
_DIGITS = 10  # of a difference; results are written with six


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


def paired_wilcoxon(one: Values, other: Values) -> float:
    """Two-sided p of Wilcoxon's signed-rank test (1945) on paired values; equal pairs are left out.

    With ties SciPy may take a normal approximation, which for a handful of cases finds what no signs can show: p is
    therefore never below 2 / 2^N, all N differences having one sign. Fewer than 6 cases are never below 0.05.

    Args:
        one: (N,), one for each case.
        other: (N,), of the same cases in the same order.

    Returns:
        p in (0, 1]; 1 where no pair differs.

    Raises:
        ValueError: The values are not as many finite numbers.
    """
    from scipy.stats import wilcoxon  # half a second, which only comparisons need

    different = _differences(one, other)
    different = different[different != 0]
    if not len(different):
        return 1.0
    return float(min(max(wilcoxon(different).pvalue, 2.0 ** (1 - len(different))), 1.0))


def rank_balance(one: Values, other: Values) -> float:
    """Wilcoxon's sum of signed ranks: above 0 where `one` tends to be the greater, which its mean need not be.

    Args:
        one: (N,), one for each case.
        other: (N,), of the same cases in the same order.

    Returns:
        The sum over all pairs that differ, of ranks by how much they do.

    Raises:
        ValueError: The values are not as many finite numbers.
    """
    from scipy.stats import rankdata

    different = _differences(one, other)
    different = different[different != 0]
    return float(np.sum(np.sign(different) * rankdata(np.abs(different))))


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


def _differences(one: Values, other: Values) -> NDArray[np.float64]:
    """One minus other; what is left of equal values that were averaged in another order counts as 0."""
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if a.ndim != 1 or a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError(f"one, other: expected as many finite numbers, got shapes {a.shape} and {b.shape}")
    return np.round(a - b, _DIGITS)
