"""Methods side by side, all cases labelled: Tables 1, 2, 6 and S2."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mecca_agents.report.comparison import (
    BOUNDS,
    FEWEST_CASES,
    Array,
    Cells,
    Comparison,
    all_cells,
    at_last,
    at_step,
    by_method,
    by_seed,
    by_step,
    by_study,
    compare,
    in_order,
    summarise,
    wins,
)
from mecca_agents.report.layout import SIGNIFICANCE, caption, interval, p_text, seeds_of, seeds_text, table_of
from mecca_agents.report.studies import EDGE, Study
from mecca_agents.tables import Section, Table, bold, csv_row, number, plural


def table1(studies: Sequence[Study]) -> Table | None:
    """Dice and ASSD at the last step."""
    sections, csv_rows = [], []
    for study, rows in by_study(studies):
        values = {
            "dice": {method: 100 * at_last(cells) for method, cells in rows.items()},
            "assd": {method: at_last(cells, "assd") for method, cells in rows.items()},
        }
        found = {
            name: compare(
                {method: at_step(by_seed(cells, name)) for method, cells in rows.items()}, higher=name == "dice"
            )
            for name in values
        }
        lines = []
        for method, cells in rows.items():
            texts, numbers = zip(
                *(_measured(name, method, values[name][method], found[name]) for name in values), strict=True
            )
            lines.append([method, seeds_text(cells, rows.values()), *(text for three in texts for text in three)])
            csv_rows.append(
                csv_row(
                    dataset=study.name,
                    method=method,
                    seeds=len(cells),
                    of_seeds=seeds_of(rows.values()),
                    cases=len(cells[0].cases),
                    **{key: value for columns in numbers for key, value in columns.items()},
                    empty_predictions=_missed(study, cells),
                )
            )
        head = ["Method", "Seeds", "Dice %", "95 % interval", "p", "ASSD", "95 % interval", "p"]
        notes = [caption(study, all_cells(rows)), *_verdicts(found), *_warnings(study, rows)]
        sections.append(Section(study.name, head, lines, notes))
    return table_of(
        "table1",
        "Table 1: methods at the last step",
        "Mean and standard deviation over cases, each averaged over seeds; ASSD in voxels of the episode's grid; 95 % "
        f"bootstrap intervals of the mean over cases. p is that of the best mean against the row. {SIGNIFICANCE} "
        f"The rows {' and '.join(BOUNDS)} are bounds and not compared.",
        sections,
        csv_rows,
    )


def table2(studies: Sequence[Study]) -> Table | None:
    """Dice at every step."""
    sections, csv_rows = [], []
    for study, rows in by_study(studies):
        values = {method: 100 * by_step(cells) for method, cells in rows.items()}
        steps = range(next(iter(rows.values()))[0].horizon)
        grids = {method: by_seed(cells) for method, cells in rows.items()}
        found = [compare({method: at_step(grid, step) for method, grid in grids.items()}) for step in steps]
        lines = []
        for method, cells in rows.items():
            means = values[method].mean(axis=0)
            texts = [bold(f"{means[step]:.2f}", wins(found[step], method)) for step in steps]
            texts[1:] = [f"{text} ({gain:+.2f})" for text, gain in zip(texts[1:], np.diff(means), strict=True)]
            lines.append([method, seeds_text(cells, rows.values()), *texts])
            for step in steps:
                dice = summarise(values[method][:, step])
                gain = float(means[step] - means[step - 1]) if step else math.nan
                csv_rows.append(
                    csv_row(
                        dataset=study.name,
                        method=method,
                        step=step + 1,
                        seeds=len(cells),
                        dice=dice.mean,
                        dice_low=dice.low,
                        dice_high=dice.high,
                        gain=gain,
                        best=wins(found[step], method),
                    )
                )
        head = ["Method", "Seeds", *(f"Step {step + 1}" for step in steps)]
        sections.append(Section(study.name, head, lines, [caption(study, all_cells(rows))]))
    return table_of(
        "table2",
        "Table 2: Dice % after every step",
        f"In brackets the difference to the step before. {SIGNIFICANCE}",
        sections,
        csv_rows,
    )


def table6(studies: Sequence[Study]) -> Table | None:
    """Time of a step."""
    sections, csv_rows = [], []
    for study in studies:
        if study.timing is None:
            continue
        timing, lines = study.timing, []
        for method in in_order(timing.rows):
            row = timing.rows[method]
            low, high = row.interquartile_ms
            lines.append(
                [
                    method,
                    *(f"{ms:.1f}" for ms in (row.agent_ms, row.step_ms, row.total_ms)),
                    f"[{low:.1f}, {high:.1f}]",
                ]
            )
            csv_rows.append(
                csv_row(
                    dataset=study.name,
                    method=method,
                    agent_ms=row.agent_ms,
                    step_ms=row.step_ms,
                    total_ms=row.total_ms,
                    total_ms_25=low,
                    total_ms_75=high,
                )
            )
        note = (
            f"{study.env}; {plural(timing.cases, 'case')} on {' x '.join(map(str, timing.grid))} voxels, one at a "
            f"time; {timing.device}, {plural(timing.threads, 'thread')}; all methods in one run."
        )
        head = ["Method", "Agent, ms", "Environment, ms", "Both, ms", "Interquartile range, ms"]
        sections.append(Section(study.name, head, lines, [note]))
    return table_of(
        "table6",
        "Table 6: time of a step",
        "The agent's time to act and the environment's for its step, the simulated user's clicks among it; no human is "
        "timed, so the paper's interaction time has no counterpart.",
        sections,
        csv_rows,
    )


def table_s2(studies: Sequence[Study]) -> Table | None:
    """The standard user against others, imprecise ones."""
    sections, csv_rows = [], []
    for study in studies:
        for user in sorted({user for cell in study.cells for user in cell.rows} - {EDGE}):
            rows = by_method(study.cells, user=user)
            if not rows:
                continue
            lines = []
            for method, cells in rows.items():
                line, columns = [method, seeds_text(cells, rows.values())], dict[str, float]()
                for name, scale, digits in (("dice", 100, 2), ("assd", 1, 3)):
                    one, other = (scale * at_last(cells, name, by) for by in (EDGE, user))
                    with np.errstate(invalid="ignore"):  # infinite distances have no difference
                        loss = summarise(one - other if name == "dice" else other - one)
                    line += [f"{v:.{digits}f}" for v in (one.mean(), other.mean())]
                    line.append(f"{number(loss.mean, f'+.{digits}f')} {interval(loss, f'+.{digits}f')}")
                    columns |= {f"{name}_{EDGE}": float(one.mean()), f"{name}_user": float(other.mean())}
                    columns |= {f"{name}_loss": loss.mean, f"{name}_loss_low": loss.low, f"{name}_loss_high": loss.high}
                lines.append(line)
                csv_rows.append(csv_row(dataset=study.name, user=user, method=method, seeds=len(cells), **columns))
            head = ["Method", "Seeds"]
            head += [f"{name} {by}" for name in ("Dice %,", "ASSD,") for by in (EDGE, user, "loss [95 %]")]
            title = study.name if user == "imprecise" else f"{study.name}, user {user}"
            sections.append(Section(title, head, lines, [caption(study, all_cells(rows))]))
    return table_of(
        "table_s2",
        "Table S2: a user who does not click precisely",
        f"Dice and ASSD at the last step with the standard user, {EDGE}, and with the other one; the loss is paired by "
        "case, above 0 where the method is the worse for it.",
        sections,
        csv_rows,
    )


def _measured(
    name: str, method: str, values: Array, found: Comparison | None
) -> tuple[list[str], dict[str, float | bool]]:
    """A method's Dice or ASSD for Table 1, as texts and as numbers."""
    of, form = summarise(values), ".2f" if name == "dice" else ".3f"
    p = found.p.get(method, math.nan) if found else math.nan
    mean = number(of.mean, form) + ("" if math.isnan(of.sd) else f" ± {of.sd:{form}}")
    texts = [bold(mean, wins(found, method)), interval(of, form)]
    texts.append("best" if found and found.best == method else p_text(p))
    numbers = {"": of.mean, "_low": of.low, "_high": of.high, "_sd": of.sd, "_p": p, "_best": wins(found, method)}
    return texts, {name + key: value for key, value in numbers.items()}


def _verdicts(found: Mapping[str, Comparison | None]) -> list[str]:
    """The best against its best competitor, in words."""
    verdicts = []
    for name, title, form in (("dice", "Dice %", ".2f"), ("assd", "ASSD", ".3f")):
        of = found[name]
        if of is not None and math.isnan(of.p[of.rival]):
            verdicts.append(f"{title}: {of.best} and {of.rival} have no seed in common and are not compared.")
        elif of is not None:
            verdicts.append(
                f"{title}: {of.best} minus {of.rival} is {of.gap.mean:+{form}} {interval(of.gap, '+' + form)}, "
                f"p {'' if (p := p_text(of.p[of.rival])).startswith('<') else '= '}{p}"
                f"{'' if of.significant else ', which is not significant'}."
            )
    return verdicts


def _warnings(study: Study, rows: Mapping[str, Cells]) -> list[str]:
    """Sentences that a reader of Table 1 has to know about its numbers."""
    texts: list[str] = []
    cases = len(all_cells(rows)[0].cases)
    if cases < FEWEST_CASES:
        texts.append(f"With {plural(cases, 'case')}, fewer than {FEWEST_CASES}, no difference can be significant.")
    missed = {method: _missed(study, cells) for method, cells in rows.items()}
    if any(missed.values()):
        which = ", ".join(f"{method} {count} of {_episodes(rows[method])}" for method, count in missed.items() if count)
        texts.append(
            f"Where the last mask is empty the ASSD is the grid's diagonal, {_diagonal(study):.1f} voxels, and counts "
            f"in the mean (episodes: {which})."
        )
    for method, cells in rows.items():
        infinite = sum(int((~np.isfinite(cell.grid("assd")[:, -1])).sum()) for cell in cells)
        if infinite:
            texts.append(
                f"The ASSD of {method} is not finite in {infinite} of {_episodes(cells)} episodes: it has no interval "
                "and is not compared."
            )
    return texts


def _episodes(cells: Cells) -> int:
    return sum(len(cell.cases) for cell in cells)


def _diagonal(study: Study) -> float:
    """Of the grid, in voxels; infinite where the preset does not say its shape."""
    shape: Any = study.preset.get("shape")
    return math.hypot(*shape) if shape else math.inf


def _missed(study: Study, cells: Cells) -> int:
    """Episodes whose last mask is empty though the label is not, by their ASSD (`mecca_env.metrics`)."""
    least = _diagonal(study) * (1 - 1e-5)  # files have six digits
    return sum(int(((last := cell.grid("assd")[:, -1]) >= least).sum() - np.isinf(last).sum()) for cell in cells)
