"""What a report may print in bold: the best of a column, so seldom by chance that it holds for the report as a whole.

A column's best is bold where it is better than every other method. Were two methods level at the top of all columns,
each column would make one of them bold in one report of twenty, and a report has dozens of columns. So the 5 % are
shared out:

- Half to the data sets with all cases labelled, evenly, half to the smaller labelled amounts, evenly; all to the one
  of these that there is. Of each data set and amount one column decides: Dice after the last step. Only columns in
  which something can be bold at all count.
- Only where that column is bold may others of the same data set and amount be: ASSD and the Dice of earlier steps,
  with p values corrected by Holm for their number.

This is a serial gatekeeping procedure (Westfall and Krishen, 2001): whatever is level with what, a report has a
winner in bold that is none in at most one case of twenty.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mecca_agents.evaluation.layout import ALL_CASES, Labelled
from mecca_agents.evaluation.statistics import holm
from mecca_agents.report.comparison import Comparison, by_labelled, by_method, compare, reached
from mecca_agents.report.studies import Study

SIGNIFICANT = 0.05
"""A p below this is called significant, and in so many reports something may be bold by chance."""


class Column(NamedTuple):
    """A column of Table 1, 2 or 3. The step counts from 0; -1 is the last one, and no other name of it is used."""

    study: str
    labelled: Labelled = ALL_CASES
    measure: str = "dice"
    step: int = -1


@dataclass(frozen=True)
class Winners:
    """The comparison of each column, and which of them have a winner in bold.

    Attributes:
        found: None where there are not two methods to compare.
        bold: The columns.
    """

    found: Mapping[Column, Comparison | None]
    bold: frozenset[Column]

    def wins(self, column: Column, method: str) -> bool:
        """Whether a method is to be bold there."""
        comparison = self.found.get(column)
        return column in self.bold and comparison is not None and comparison.best == method


def winners(studies: Sequence[Study]) -> Winners:
    """Compare the methods of every column of a report."""
    found: dict[Column, Comparison | None] = {}
    of_all: list[list[Column]] = []
    of_few: list[list[Column]] = []
    for study in studies:
        rows = by_method(study.cells)
        if rows:
            horizon = next(iter(rows.values()))[0].horizon
            steps = [Column(study.name, step=step) for step in range(horizon - 1)]
            of_all.append([Column(study.name), Column(study.name, measure="assd"), *steps])
            for column in of_all[-1]:
                results = {m: reached(cells, column.measure, column.step) for m, cells in rows.items()}
                found[column] = compare(results, higher=column.measure == "dice")
        few = by_labelled(study)
        for labelled in sorted({labelled for of in few.values() for labelled in of} - {ALL_CASES}):
            of_few.append([Column(study.name, labelled)])
            found[of_few[-1][0]] = compare({m: reached(cells) for m, cells in by_method(study.cells, labelled).items()})
    p = [[[_decisive(found[column]) for column in family] for family in families] for families in (of_all, of_few)]
    claims = [column for family in (*of_all, *of_few) for column in family]
    holds = [each for families in significant(p) for family in families for each in family]
    return Winners(found, frozenset(column for column, each in zip(claims, holds, strict=True) if each))


def significant(groups: Sequence[Sequence[Sequence[float]]]) -> list[list[list[bool]]]:
    """Which claims of a report hold; see the module's docstring.

    Args:
        groups: p values of families of claims whose first one decides; NaN where a claim cannot be made. Groups share
            `SIGNIFICANT` evenly, and so do the families of a group what is the group's.

    Returns:
        The same with True where a claim holds.
    """
    counts = [sum(not math.isnan(p[0]) for p in families) for families in groups]
    of_group = SIGNIFICANT / max(sum(count > 0 for count in counts), 1)
    return [
        [_significant(p, of_group / max(count, 1)) for p in families]
        for families, count in zip(groups, counts, strict=True)
    ]


def _significant(p_values: Sequence[float], share: float) -> list[bool]:
    first, *others = p_values
    if not first < share:
        return [False] * len(p_values)
    there = [i for i, p in enumerate(others) if not math.isnan(p)]
    corrected = dict(zip(there, holm([others[i] for i in there]), strict=True))
    return [True, *(corrected.get(i, 1.0) < share for i in range(len(others)))]


def _decisive(comparison: Comparison | None) -> float:
    return math.nan if comparison is None else comparison.decisive
