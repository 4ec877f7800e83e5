"""Methods side by side: means with their intervals, and the best of a column against each of its competitors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mecca_agents.agent import METHODS, SIGNED_METHODS
from mecca_agents.evaluation.layout import ALL_CASES, Labelled
from mecca_agents.evaluation.statistics import holm
from mecca_agents.evaluation.two_level import Estimate, Means, best_of, difference, estimate
from mecca_agents.report.studies import FinishedCell, Study

FLOORS = ("mean-mask", "ellipsoid")
"""Masks that see neither scan nor click: what is not above the better of them has learned nothing that shows."""

BOUNDS = ("random", "oracle", *FLOORS)
"""Bounds that any method should surpass and that none can: rows of a table, but no competitors."""

FEWEST_SEEDS = 5
"""Nothing is bold in a column where a method has fewer trainings."""

COLLAPSED = 0.5
"""A training that reached less than this share of the Dice of the best that differs from it in its seed alone is
flagged wherever it counts."""

VARIANTS: dict[str, tuple[str, ...]] = {
    "none": (),
    "reward": ("reward",),
    "guide": ("guide",),
    "labels": ("labels",),
    "reward-guide": ("reward", "guide"),
    "all": ("reward", "guide", "labels"),
}
"""The rows of Table 5, and the mechanisms that each has: self-adaptive reward, interaction guide, simulated labels."""

PERCENT = ("dice", "misunderstanding")
"""Measures that tables give in per cent."""

Cells = Sequence[FinishedCell]
Array = NDArray[np.float64]
ByLabelled = dict[Labelled, list[FinishedCell]]


class Summary(NamedTuple):
    """A mean over trainings and cases; what cannot be said is NaN."""

    mean: float
    low: float  # of the 95 % interval
    high: float
    sd: float  # over cases, each averaged over the trainings


@dataclass(frozen=True)
class Comparison:
    """The best method of a column against each competitor.

    Attributes:
        best: The one with the best mean.
        rival: The one with the best mean of the others.
        p: Of the best against each of the others, corrected by Holm for their number; NaN where it cannot be said.
        gap: Best minus rival.
        decisive: p that the best is not better than every other one; NaN where that cannot be said, or a method has
            fewer than `FEWEST_SEEDS` trainings.
    """

    best: str
    rival: str
    p: Mapping[str, float]
    gap: Summary
    decisive: float


def in_order(methods: Iterable[str]) -> list[str]:
    """As tables list them: the registered ones in the registry's order, then others by name."""
    known = [*METHODS, *SIGNED_METHODS]
    return sorted(set(methods), key=lambda m: (known.index(m) if m in known else len(known), m))


def by_method(
    cells: Iterable[FinishedCell], labelled: Labelled | None = ALL_CASES, variant: str = "", user: str | None = None
) -> dict[str, list[FinishedCell]]:
    """The cells of each method, in a table's order, by seed; `labelled=None` takes all amounts."""
    chosen = [
        c for c in cells if labelled in (None, c.labelled) and c.variant == variant and (user or c.standard) in c.rows
    ]
    return {
        method: sorted((c for c in chosen if c.method == method), key=lambda c: (c.labelled, c.seed))
        for method in in_order(c.method for c in chosen)
    }


def by_study(studies: Iterable[Study]) -> Iterator[tuple[Study, dict[str, list[FinishedCell]]]]:
    """Each data set with the cells of its methods, all cases labelled; data sets without such cells are left out."""
    for study in studies:
        if rows := by_method(study.cells):
            yield study, rows


def by_labelled(study: Study) -> dict[str, ByLabelled]:
    """The cells of every method that was trained with fewer labels, too, by labelled amount, the fewest cases first."""
    rows: dict[str, ByLabelled] = {}
    for method, cells in by_method(study.cells, labelled=None).items():
        of: ByLabelled = {}
        for cell in sorted(cells, key=lambda cell: (cell.labelled.of(study.train_scans), cell.seed)):
            of.setdefault(cell.labelled, []).append(cell)
        if set(of) - {ALL_CASES}:
            rows[method] = of
    return rows


def by_variant(study: Study, labelled: Labelled, user: str | None = None) -> dict[str, list[FinishedCell]]:
    """The rows of Table 5 that there are."""
    found = {variant: by_method(study.cells, labelled, variant, user).get("mecca") for variant in VARIANTS}
    return {variant: cells for variant, cells in found.items() if cells}


def ablated(study: Study) -> list[Labelled]:
    """The labelled amounts that mechanisms were tried with one by one."""
    return sorted({cell.labelled for cell in study.cells if cell.variant})


def all_cells(rows: Mapping[str, Cells]) -> list[FinishedCell]:
    """The cells of all methods, one method after the other."""
    return [cell for cells in rows.values() for cell in cells]


def by_step(cells: Cells, column: str = "dice", user: str | None = None, further: bool = False) -> Array:
    """The mean of a column after each step, (T,), over trainings and cases; those of one scan count as one.

    With `further`, the steps that were played after the horizon of the training are among them.
    """
    mean: Array = np.mean([cell.per_scan(cell.grid(column, user, further).T).mean(axis=-1) for cell in cells], axis=0)
    return mean


def reached(cells: Cells, column: str = "dice", step: int = -1, user: str | None = None) -> Array:
    """What each training reached in each case after a step, (S, C); Dice and misunderstanding in per cent.

    Cases of one scan count as one, their mean (`FinishedCell.per_scan`).
    """
    scale = 100.0 if column in PERCENT else 1.0
    return scale * np.array([cell.per_scan(cell.grid(column, user)[:, step]) for cell in cells])


def last_dice(cell: FinishedCell) -> float:
    """Mean Dice over cases at the last step of one training, in per cent."""
    return float(reached([cell]).mean())


def collapsed(cells: Cells) -> list[FinishedCell]:
    """The trainings whose Dice at the last step is below `COLLAPSED` times that of the best one of their kind.

    Of a kind are those that differ in their seed alone.

    Args:
        cells: All of one data set.
    """
    best: dict[tuple[str, Labelled, str], float] = {}
    for cell in cells:
        best[cell.kind] = max(best.get(cell.kind, 0.0), last_dice(cell))
    return [cell for cell in cells if last_dice(cell) < COLLAPSED * best[cell.kind]]


def is_trained(cells: Cells) -> bool:
    """Whether these are trainings, of which one alone says nothing about others; bounds are none."""
    return cells[0].method not in BOUNDS


def summarise(results: Array, trained: bool = True) -> Summary:
    """Mean, 95 % interval and standard deviation over cases of what S trainings reached in C cases, (S, C)."""
    by_case = results.mean(axis=0)
    if not np.isfinite(by_case).all():
        return Summary(float(by_case.mean()), math.nan, math.nan, math.nan)
    sd = float(by_case.std(ddof=1)) if len(by_case) > 1 else math.nan
    return _summary(estimate(Means.of(results, trained)), sd)


def gap(one: Array, other: Array, trained: tuple[bool, bool] = (True, True)) -> tuple[Summary, float]:
    """One minus other, (S, C) each with an S of its own, on the same cases; and the p of that."""
    means = [Means.of(results, is_) for results, is_ in zip((one, other), trained, strict=True)]
    return _of(difference(*means), means[0].by_case - means[1].by_case)


def corrected(p_values: Mapping[str, float]) -> dict[str, float]:
    """Correct p values by Holm for the number of them that there are; NaN stays NaN."""
    there = {name: p for name, p in p_values.items() if not math.isnan(p)}
    return dict(p_values) | dict(zip(there, holm(list(there.values())), strict=True))


def compare(results: Mapping[str, Array], *, higher: bool = True) -> Comparison | None:
    """Compare the best method with each of its competitors.

    Args:
        results: For each method (S, C): what its S trainings reached in the same C cases. `BOUNDS` and methods with a
            number that is not finite take no part.
        higher: Whether higher is better.

    Returns:
        The comparison; None where there are not two methods to compare.
    """
    names = [m for m in results if m not in BOUNDS and np.isfinite(results[m]).all()]
    if len(names) < 2:
        return None
    means = {m: Means.of(results[m]) for m in names}
    found = best_of(Means.stack(list(means.values())), higher)
    best = names[int(found.index)]
    sign = 1.0 if higher else -1.0
    rival = max((m for m in names if m != best), key=lambda m: sign * float(means[m].by_case.mean()))
    p = dict(zip(names, map(float, found.gaps.p()), strict=True))
    del p[best]
    seeds = min(len(results[m]) for m in names)
    return Comparison(
        best=best,
        rival=rival,
        p=corrected(p),
        gap=gap(results[best], results[rival])[0],
        decisive=float(found.p) if seeds >= FEWEST_SEEDS else math.nan,
    )


def _of(estimate: Estimate, by_case: Array) -> tuple[Summary, float]:
    sd = float(by_case.std(ddof=1)) if len(by_case) > 1 else math.nan
    return _summary(estimate, sd), float(estimate.p())


def _summary(estimate: Estimate, sd: float) -> Summary:
    low, high = estimate.interval()
    return Summary(float(estimate.mean), float(low), float(high), sd)
