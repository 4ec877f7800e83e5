"""The floors: masks that see neither scan nor click, which whatever has learned something is above.

Crops are made from the label's box, so a constant knows much, and the plain Dice of a method that learned nothing is
high.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mecca_agents.evaluation.layout import ALL_CASES, Labelled
from mecca_agents.evaluation.two_level import Means, estimate
from mecca_agents.report.comparison import (
    BOUNDS,
    FLOORS,
    Array,
    Cells,
    Summary,
    by_method,
    gap,
    is_trained,
    reached,
)
from mecca_agents.report.layout import with_interval
from mecca_agents.report.studies import Study

MARK = " ▽"
"""Beside what is not above the floor."""


class Floor(NamedTuple):
    """The better of the two at a step: its name, and its Dice % for each run and case, (S, C)."""

    name: str
    dice: Array


def floor_of(study: Study, labelled: Labelled = ALL_CASES, step: int = -1) -> Floor | None:
    """The better floor after a step, with so much labelled or else with all cases; None where there is none."""
    for amount in (labelled, ALL_CASES):
        rows = by_method(study.cells, amount)
        found = [Floor(name, reached(rows[name], step=step)) for name in FLOORS if name in rows]
        if found:
            return max(found, key=lambda floor: float(floor.dice.mean()))
    return None


def below_floor(study: Study, cells: Cells) -> Summary | None:
    """Dice % of a method minus the floor's, where its mean after the last step is not above it; otherwise None.

    Args:
        study: The data set.
        cells: Of one method and one labelled amount.
    """
    floor = floor_of(study, cells[0].labelled)
    if floor is None or cells[0].method in BOUNDS:
        return None
    above = gap(reached(cells), floor.dice, (True, False))[0]
    return above if above.mean <= 0 else None


def marked(text: str, study: Study, cells: Cells) -> str:
    """The text, with `MARK` where these cells are not above the floor."""
    return text + MARK * (below_floor(study, cells) is not None)


def floor_notes(study: Study, rows: Mapping[str, Cells], listed: bool = True) -> list[str]:
    """The sentence under a table whose rows are those; none where all are above the floor, or there is none.

    Args:
        study: The data set.
        rows: The cells of each, of one method and one labelled amount.
        listed: Whether it says how far below each of them is.
    """
    found = [
        f"{name} {with_interval(gap, '+.2f')}" for name, cells in rows.items() if (gap := below_floor(study, cells))
    ]
    if not found:
        return []
    about = f"{MARK.strip()} Below the floor: has learned nothing that shows."
    gaps = f" Mean Dice after the last step minus that of the better floor: {', '.join(found)}."
    return [about + gaps * listed]


def corrected_dice(dice: Array, floor: Array, trained: bool) -> Summary:
    """Floor-corrected Dice, 100 (D - F) / (100 - F) of the means D and F: 0 is the floor, 100 perfect.

    As a ratio of means its interval is that of D - F - g (100 - F), case by case, over 100 - F (the delta method).

    Args:
        dice: In per cent, (S, C).
        floor: In per cent, (S', C), of the same cases.
        trained: False for what is not trained.

    Returns:
        NaN where the floor itself is perfect; no standard deviation.
    """
    by_case = floor.mean(axis=0)
    room = 100 - float(by_case.mean())
    if room <= 0:
        return Summary(*[float("nan")] * 4)
    share = (float(dice.mean()) - float(by_case.mean())) / room
    around = estimate(Means.of(dice - by_case - share * (100 - by_case), trained))
    low, high = (100 * (share + float(bound) / room) for bound in around.interval())
    return Summary(100 * share, low, high, float("nan"))


def above_floor(study: Study, cells: Cells, step: int) -> Summary | None:
    """The floor-corrected Dice of a method after a step; None where there is no floor."""
    floor = floor_of(study, cells[0].labelled, step)
    return None if floor is None else corrected_dice(reached(cells, step=step), floor.dice, is_trained(cells))
