"""The first table: how far above a constant each method is, and what its training cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from mecca_agents.report.comparison import Cells, Summary, all_cells, by_study, is_trained, reached, summarise
from mecca_agents.report.floors import above_floor, floor_notes, floor_of, marked
from mecca_agents.report.layout import (
    INTERVALS,
    caption,
    footnotes,
    limits,
    seeds_of,
    seeds_text,
    span,
    table_of,
    with_interval,
)
from mecca_agents.report.studies import Study
from mecca_agents.tables import Section, Table, csv_row


def overview(studies: Sequence[Study]) -> Table | None:
    """Dice above the floor after the first and after the last step, misunderstanding, cost."""
    sections, csv_rows = [], []
    for study, rows in by_study(studies):
        floor = floor_of(study)
        steps = {"first": 0, "last": next(iter(rows.values()))[0].horizon - 1}
        lines = []
        for method, cells in rows.items():
            dice = {name: _dice(study, cells, step) for name, step in steps.items()}
            shares = [reached(cells, "misunderstanding", step) for step in range(cells[0].horizon)]
            costs = {name: [getattr(cell, name) for cell in cells] for name in ("optimizer_steps", "labelled_episodes")}
            minutes = float(np.mean([cell.minutes for cell in cells]))
            lines.append(
                [
                    marked(method, study, cells),
                    seeds_text(cells, rows.values()),
                    *(with_interval(of, ".1f") for of in dice.values()),
                    f"{np.mean(shares):.2f}",
                    *map(span, costs.values()),
                    f"{minutes:.1f}",
                ]
            )
            numbers: dict[str, float] = {}
            for name, of in dice.items():
                numbers |= {name: of.mean, f"{name}_low": of.low, f"{name}_high": of.high}
            csv_rows.append(
                csv_row(
                    dataset=study.name,
                    method=method,
                    seeds=len(cells),
                    of_seeds=seeds_of(rows.values()),
                    floor=floor.name if floor else "",
                    **{f"{name}_clicks": _clicks(rows, step) for name, step in steps.items()},
                    **{f"{name}_floor": _floor(study, step) for name, step in steps.items()},
                    **numbers,
                    misunderstanding_percent=float(np.mean(shares)),
                    **{name: float(np.mean(values)) for name, values in costs.items()},
                    minutes=minutes,
                )
            )
        what = "Above the floor, %" if floor else "Dice %"
        head = ["Method", "Seeds", *(f"{what}, after {_clicks(rows, step)} clicks" for step in steps.values())]
        head += ["Misunderstanding, %", "Optimizer steps", "Labelled episodes", "Minutes"]
        title = study.name if floor else f"{study.name}: plain Dice, for want of a floor"
        notes = [caption(study, all_cells(rows)), _about_floor(study, steps), *limits(rows), *floor_notes(study, rows)]
        sections.append(Section(title, head, lines, notes))
    about = (
        "Crops come from the label's box, and therefore a constant knows much. Above the floor: 0 is as good as the "
        "better of two masks that see neither scan nor click (mean-mask, ellipsoid), 100 is perfect, and what is below "
        "0 is worse than a constant."
    )
    notes = [
        "Above the floor is 100 (D - F) / (100 - F), D the mean Dice in per cent of the method and F that of the floor "
        "after the same step.",
        INTERVALS,
        "Misunderstanding: share of the voxels that a step moved away from their label, mean over the steps.",
        "The last three columns are what one training cost.",
    ]
    methods = [method for _, rows in by_study(studies) for method in rows]
    return table_of("overview", "Overview", about, sections, csv_rows, [*notes, *footnotes(methods)])


def _dice(study: Study, cells: Cells, step: int) -> Summary:
    """Floor-corrected, or plain where there is no floor."""
    above = above_floor(study, cells, step)
    return summarise(reached(cells, step=step), is_trained(cells)) if above is None else above


def _clicks(rows: Mapping[str, Cells], step: int) -> int:
    """All clicks made up to a step, by whoever was given the most: a mask that is right leaves nothing to click on."""
    return int(max(reached(cells, "clicks", step).max() for cells in rows.values()))


def _floor(study: Study, step: int) -> float:
    floor = floor_of(study, step=step)
    return math.nan if floor is None else float(floor.dice.mean())


def _about_floor(study: Study, steps: Mapping[str, int]) -> str:
    """Which of the two it is, and how high."""
    floors = [floor for step in steps.values() if (floor := floor_of(study, step=step))]
    if not floors:
        return "There is no row mean-mask or ellipsoid here, and so no floor to compare with."
    return f"The floor is {' and then '.join(dict.fromkeys(f'{f.name}, {f.dice.mean():.2f} Dice %' for f in floors))}."
