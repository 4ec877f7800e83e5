"""Tables about clicks: how many it takes, what they gain, how often one makes things worse."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mecca_agents.report.comparison import Array, all_cells, by_study, is_trained, reached, summarise
from mecca_agents.report.floors import floor_notes, marked
from mecca_agents.report.layout import INTERVALS, caption, seeds_text, table_of, with_interval
from mecca_agents.report.studies import Study
from mecca_agents.tables import Section, Table, csv_row

TARGETS = (0.85, 0.90)
"""Dice scores to be reached."""


def clicks_to_reach(dice: Array, clicks: Array, target: float) -> tuple[Array, NDArray[np.bool_]]:
    """NoC: the clicks that a case had been given at the first step whose Dice was at least the target.

    A case that never gets there counts with all clicks it was given and is a failure, as in RITM (Sofiiuk et al.,
    2022), so failures make NoC too low: it is to be read with their share. The last step may be the one that does it.

    Args:
        dice: (C, T), after each step.
        clicks: (C, T), all made up to it.
        target: In [0, 1].

    Returns:
        Clicks, (C,), and which cases failed, (C,).
    """
    reached = dice >= target
    failed: NDArray[np.bool_] = ~np.any(reached, axis=1)
    first = np.where(failed, dice.shape[1] - 1, reached.argmax(axis=1))
    return np.take_along_axis(clicks, first[:, None], axis=1)[:, 0], failed


def area_under_clicks(dice: Array, clicks: Array) -> Array:
    """Area under Dice over clicks, by trapezoids from the first step to the last, over the clicks between the two.

    Args:
        dice: (C, T), after each step.
        clicks: (C, T), all made up to it.

    Returns:
        (C,), in [0, 1] as Dice is; the last Dice of a case that was given no click after the first step.
    """
    clicked = np.diff(clicks, axis=1)
    area = (clicked * (dice[:, 1:] + dice[:, :-1]) / 2).sum(axis=1)
    total = clicked.sum(axis=1)
    return np.where(total > 0, area / np.maximum(total, 1), dice[:, -1])


def share_worse(dice: Array) -> Array:
    """Share of the steps after the first in which Dice fell, (C, T) -> (C,); NaN where there are none."""
    if dice.shape[1] < 2:
        return np.full(len(dice), np.nan)
    share: Array = np.mean(np.diff(dice, axis=1) < 0, axis=1)
    return share


def table_clicks(studies: Sequence[Study]) -> Table | None:
    """Clicks to a target, area under the curve, steps that made things worse."""
    sections, csv_rows = [], []
    for study, rows in by_study(studies):
        lines = []
        for method, cells in rows.items():
            line, columns = [marked(method, study, cells), seeds_text(cells, rows.values())], dict[str, float]()
            trained = is_trained(cells)
            for target in TARGETS:
                found = [clicks_to_reach(cell.grid("dice"), cell.grid("clicks"), target) for cell in cells]
                clicks, fails = (cells[0].per_scan(np.array(each, float)) for each in zip(*found, strict=True))
                of, failed, name = summarise(clicks, trained), float(fails.mean()), f"noc{100 * target:.0f}"
                line += [with_interval(of, ".1f"), f"{100 * failed:.0f}"]
                columns |= {name: of.mean, f"{name}_low": of.low, f"{name}_high": of.high}
                columns[f"{name}_failed"] = failed
            areas = np.array([area_under_clicks(cell.grid("dice"), cell.grid("clicks")) for cell in cells])
            area = summarise(cells[0].per_scan(areas), trained)
            worse = 100 * float(np.mean([cell.per_scan(share_worse(cell.grid("dice"))) for cell in cells]))
            line += [with_interval(area, ".4f"), "-" if np.isnan(worse) else f"{worse:.1f}"]
            columns |= {"area": area.mean, "area_low": area.low, "area_high": area.high, "worse_percent": worse}
            lines.append(line)
            csv_rows.append(csv_row(dataset=study.name, method=method, seeds=len(cells), **columns))
        head = ["Method", "Seeds"]
        head += [text for target in TARGETS for text in (f"NoC@{100 * target:.0f} [95 %]", "failed %")]
        head += ["Area [95 %]", "worse %"]
        sections.append(Section(study.name, head, lines, [caption(study, all_cells(rows)), *floor_notes(study, rows)]))
    about = (
        "NoC: clicks until Dice is at least 85 or 90 %, counted when a step is over. A case that never gets there "
        "counts with all the clicks it was given (RITM's convention), so NoC is too low by what is unknown of those: "
        "read it with the share that failed. Area: under Dice over clicks, by trapezoids, over the range of clicks, so "
        "that 1 is a perfect mask from the first step on. Worse: share of the steps after the first in which Dice fell."
        " Methods that see no hints gain nothing from a click, and reach a Dice at the first step or never. "
        f"{INTERVALS}"
    )
    return table_of("clicks", "Clicks", about, sections, csv_rows)


def table_misunderstanding(studies: Sequence[Study]) -> Table | None:
    """Interactive misunderstanding (Definition 1) at every step."""
    sections, csv_rows = [], []
    for study, rows in by_study(studies):
        lines = []
        for method, cells in rows.items():
            shares = [reached(cells, "misunderstanding", step) for step in range(cells[0].horizon)]
            trained = is_trained(cells)
            of_steps, of = [summarise(share, trained) for share in shares], summarise(np.mean(shares, axis=0), trained)
            texts = [*(f"{share.mean:.2f}" for share in of_steps), with_interval(of)]
            lines.append([marked(method, study, cells), seeds_text(cells, rows.values()), *texts])
            for step, share in [*enumerate(of_steps, start=1), ("mean", of)]:
                columns = {"percent": share.mean, "low": share.low, "high": share.high}
                csv_rows.append(csv_row(dataset=study.name, method=method, step=step, seeds=len(cells), **columns))
        head = ["Method", "Seeds", *(f"Step {step + 1}" for step in range(len(shares))), "Mean [95 %]"]
        sections.append(Section(study.name, head, lines, [caption(study, all_cells(rows)), *floor_notes(study, rows)]))
    about = (
        f"Share of the voxels (%) that a step moved away from their label by more than 0.05 (Definition 1). {INTERVALS}"
    )
    return table_of("misunderstanding", "Interactive misunderstanding", about, sections, csv_rows)
