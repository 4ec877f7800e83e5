"""Methods side by side: mean over cases with its interval, and whether the best is better than chance would have it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mecca_agents.agent import METHODS
from mecca_agents.evaluation.statistics import bootstrap_interval, holm, paired_wilcoxon, rank_balance
from mecca_agents.report.studies import EDGE, FinishedCell, Study

BOUNDS = ("random", "oracle")
"""Bounds that any method should surpass and that none can: rows of a table, but no competitors."""

SIGNIFICANT = 0.05
"""A corrected p below this is called significant."""

COLLAPSED = 0.5
"""A training that reached less than this share of the Dice of its method's best is flagged wherever it counts."""

FEWEST_CASES = 6
"""With fewer, all of one sign, a two-sided signed-rank test still has p >= 2 / 2^5 = 0.0625."""

Cells = Sequence[FinishedCell]
Array = NDArray[np.float64]
BySeed = Mapping[int, Array]
"""Results by the training's seed: a number for each case, or for each case and step."""


class Summary(NamedTuple):
    """A mean over cases; what cannot be said, of one case or of values that are not finite, is NaN."""

    mean: float
    low: float  # of the 95 % bootstrap interval
    high: float
    sd: float  # over cases


@dataclass(frozen=True)
class Comparison:
    """The best method against each competitor, on the same cases and with the seeds that both have.

    Attributes:
        best: The one with the best mean.
        rival: The one with the best mean of the others.
        p: Of the best against each of the others, Wilcoxon's signed-rank test corrected by Holm; NaN without a seed
            that both have.
        gap: Best minus rival, with its interval over cases; NaN likewise.
        significant: Whether p against the rival is below `SIGNIFICANT` and its ranks, too, are for the best: a mean
            can be the better for a few cases although most of them are worse.
    """

    best: str
    rival: str
    p: Mapping[str, float]
    gap: Summary
    significant: bool


def in_order(methods: Iterable[str]) -> list[str]:
    """As tables list them: the registered ones in the registry's order, then others by name."""
    known = list(METHODS)
    return sorted(set(methods), key=lambda m: (known.index(m) if m in known else len(known), m))


def by_method(
    cells: Iterable[FinishedCell], fraction: float | None = 1.0, variant: str = "", user: str = EDGE
) -> dict[str, list[FinishedCell]]:
    """The cells of each method, in a table's order, by seed; a fraction of None takes all of them."""
    chosen = [c for c in cells if fraction in (None, c.fraction) and c.variant == variant and user in c.rows]
    return {
        method: sorted((c for c in chosen if c.method == method), key=lambda c: (c.fraction, c.seed))
        for method in in_order(c.method for c in chosen)
    }


def by_study(studies: Iterable[Study]) -> Iterator[tuple[Study, dict[str, list[FinishedCell]]]]:
    """Each data set with the cells of its methods, all cases labelled; data sets without such cells are left out."""
    for study in studies:
        if rows := by_method(study.cells):
            yield study, rows


def all_cells(rows: Mapping[str, Cells]) -> list[FinishedCell]:
    """The cells of all methods, one method after the other."""
    return [cell for cells in rows.values() for cell in cells]


def by_step(cells: Cells, column: str = "dice", user: str = EDGE, further: bool = False) -> Array:
    """A column of the results averaged over seeds, (C, T): a row for each case, a column for each step.

    With `further`, the steps that were played after the horizon of the training have columns, too.
    """
    mean: Array = np.mean([cell.grid(column, user, further) for cell in cells], axis=0)
    return mean


def at_last(cells: Cells, column: str = "dice", user: str = EDGE) -> Array:
    """The same at the last step, (C,)."""
    return by_step(cells, column, user)[:, -1]


def by_seed(cells: Cells, column: str = "dice") -> dict[int, Array]:
    """A column of each seed's results, (C, T); Dice in per cent."""
    return {cell.seed: (100 if column == "dice" else 1) * cell.grid(column) for cell in cells}


def at_step(grids: BySeed, step: int = -1) -> dict[int, Array]:
    """One column of each, (C,)."""
    return {seed: grid[:, step] for seed, grid in grids.items()}


def paired(one: BySeed, other: BySeed) -> tuple[Array, Array] | None:
    """Both averaged over the seeds that both have, since a seed more moves a mean by more than many a method.

    Returns:
        Two arrays of one shape; None where there is no such seed.
    """
    seeds = sorted(set(one) & set(other))
    if not seeds:
        return None
    first, second = (np.mean([values[seed] for seed in seeds], axis=0) for values in (one, other))
    return first, second


def last_dice(cell: FinishedCell) -> float:
    """Mean Dice over cases at the last step of one training, in per cent."""
    return 100 * float(at_last([cell]).mean())


def collapsed(cells: Cells) -> list[FinishedCell]:
    """The trainings whose Dice at the last step is below `COLLAPSED` times that of their method's best one.

    Args:
        cells: All of one data set.
    """
    best: dict[str, float] = {}
    for cell in cells:
        best[cell.method] = max(best.get(cell.method, 0.0), last_dice(cell))
    return [cell for cell in cells if last_dice(cell) < COLLAPSED * best[cell.method]]


def summarise(values: Array) -> Summary:
    """Mean, 95 % bootstrap interval and standard deviation over cases, (C,)."""
    if len(values) < 2 or not np.isfinite(values).all():
        return Summary(float(np.mean(values)), np.nan, np.nan, np.nan)
    return Summary(float(np.mean(values)), *bootstrap_interval(values), float(np.std(values, ddof=1)))


def p_of_pairs(pairs: Mapping[str, tuple[Array, Array] | None]) -> dict[str, float]:
    """Wilcoxon's p of each pair, corrected by Holm for the number of pairs that there are; NaN where there is none."""
    there = {name: pair for name, pair in pairs.items() if pair is not None}
    corrected = dict(zip(there, holm([paired_wilcoxon(*pair) for pair in there.values()]), strict=True))
    return {name: corrected.get(name, math.nan) for name in pairs}


def compare(values: Mapping[str, BySeed], *, higher: bool = True) -> Comparison | None:
    """Compare the best method with each of its competitors.

    Args:
        values: For each method and seed (C,), one number for each case, of the same cases in the same order. `BOUNDS`
            and methods with a number that is not finite take no part.
        higher: Whether higher is better.

    Returns:
        The comparison; None where there are not two methods to compare.
    """
    taking_part = [m for m in values if m not in BOUNDS and all(np.isfinite(v).all() for v in values[m].values())]
    sign = 1.0 if higher else -1.0
    ranked = sorted(taking_part, key=lambda m: -sign * float(np.mean(list(values[m].values()))))
    if len(ranked) < 2:
        return None
    best, *others = ranked
    pairs = {m: paired(values[best], values[m]) for m in others}
    p, nearest = p_of_pairs(pairs), pairs[others[0]]
    return Comparison(
        best=best,
        rival=others[0],
        p=p,
        gap=Summary(*[math.nan] * 4) if nearest is None else summarise(nearest[0] - nearest[1]),
        significant=nearest is not None and p[others[0]] < SIGNIFICANT and sign * rank_balance(*nearest) > 0,
    )


def wins(found: Comparison | None, method: str) -> bool:
    """Whether a method is the best one, significantly."""
    return found is not None and found.significant and found.best == method
