"""Methods side by side, all cases labelled: Tables 1, 2, 6 and S2."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mecca_agents.report.comparison import (
    BOUNDS,
    Cells,
    Comparison,
    Summary,
    ablated,
    all_cells,
    by_method,
    by_study,
    by_variant,
    in_order,
    is_trained,
    reached,
    summarise,
)
from mecca_agents.report.floors import floor_notes, marked
from mecca_agents.report.layout import (
    INTERVALS,
    SIGNIFICANCE,
    caption,
    interval,
    limits,
    p_text,
    seeds_of,
    seeds_text,
    table_of,
    with_interval,
)
from mecca_agents.report.studies import EDGE, Study
from mecca_agents.report.winners import SIGNIFICANT, Column, winners
from mecca_agents.tables import Section, Table, bold, csv_row, number, plural


def table1(studies: Sequence[Study]) -> Table | None:
    """Dice and ASSD at the last step."""
    sections, csv_rows = [], []
    decided = winners(studies)
    for study, rows in by_study(studies):
        columns = {name: Column(study.name, measure=name) for name in ("dice", "assd")}
        found = {name: decided.found[column] for name, column in columns.items()}
        verdicts = [_verdict(name, found[name], column in decided.bold) for name, column in columns.items()]
        lines = []
        for method, cells in rows.items():
            line = [marked(method, study, cells), seeds_text(cells, rows.values())]
            numbers: dict[str, float | bool] = {}
            for name, column in columns.items():
                wins = decided.wins(column, method)
                of = summarise(reached(cells, name), is_trained(cells))
                line += _measured(name, method, of, found[name], wins)
                p = _p(found[name], method)
                of_name = {"": of.mean, "_low": of.low, "_high": of.high, "_sd": of.sd, "_p": p, "_best": wins}
                numbers |= {name + key: value for key, value in of_name.items()}
            lines.append(line)
            csv_rows.append(
                csv_row(
                    dataset=study.name,
                    method=method,
                    seeds=len(cells),
                    of_seeds=seeds_of(rows.values()),
                    cases=len(cells[0].cases),
                    **numbers,
                    empty_predictions=_missed(study, cells),
                )
            )
        head = ["Method", "Seeds", "Dice %", "95 % interval", "p", "ASSD", "95 % interval", "p"]
        notes = [caption(study, all_cells(rows)), *filter(None, verdicts), *limits(rows), *_warnings(study, rows)]
        notes += floor_notes(study, rows)
        sections.append(Section(study.name, head, lines, notes))
    return table_of(
        "table1",
        "Table 1: methods at the last step",
        "Mean and standard deviation over cases, each averaged over seeds; ASSD in voxels of the episode's grid. "
        f"{INTERVALS} p is that of the best mean against the row, corrected by Holm for the number of competitors; it "
        "does not know that the best was picked by the same numbers, what is bold does. "
        f"{SIGNIFICANCE} The rows {', '.join(BOUNDS)} are bounds and not compared.",
        sections,
        csv_rows,
    )


def table2(studies: Sequence[Study]) -> Table | None:
    """Dice at every step."""
    sections, csv_rows = [], []
    decided = winners(studies)
    for study, rows in by_study(studies):
        steps = range(next(iter(rows.values()))[0].horizon)
        columns = [Column(study.name, step=step if step < steps[-1] else -1) for step in steps]
        lines = []
        for method, cells in rows.items():
            of_steps = [summarise(reached(cells, step=step), is_trained(cells)) for step in steps]
            gains = [math.nan, *np.diff([dice.mean for dice in of_steps])]
            wins = [decided.wins(column, method) for column in columns]
            texts = [bold(f"{dice.mean:.2f}", win) for dice, win in zip(of_steps, wins, strict=True)]
            texts[1:] = [f"{text} ({gain:+.2f})" for text, gain in zip(texts[1:], gains[1:], strict=True)]
            lines.append([marked(method, study, cells), seeds_text(cells, rows.values()), *texts])
            for step, dice in enumerate(of_steps):
                csv_rows.append(
                    csv_row(
                        dataset=study.name,
                        method=method,
                        step=step + 1,
                        seeds=len(cells),
                        dice=dice.mean,
                        dice_low=dice.low,
                        dice_high=dice.high,
                        gain=float(gains[step]),
                        best=wins[step],
                    )
                )
        head = ["Method", "Seeds", *(f"Step {step + 1}" for step in steps)]
        notes = [caption(study, all_cells(rows)), *floor_notes(study, rows)]
        sections.append(Section(study.name, head, lines, notes))
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
        for user in study.others:
            title = study.name if user == "imprecise" else f"{study.name}, user {user}"
            parts = [(title, "", by_method(study.cells, user=user))]
            for labelled in ablated(study):
                parts.append(
                    (f"{title}, mecca with {labelled} labelled", str(labelled), by_variant(study, labelled, user))
                )
            for title, ablation, rows in parts:
                if not rows:
                    continue
                lines = []
                for name, cells in rows.items():
                    texts, numbers = _loss(cells, study.standard, user)
                    lines.append([marked(name, study, cells), seeds_text(cells, rows.values()), *texts])
                    which = {"method": "mecca", "variant": name} if ablation else {"method": name, "variant": ""}
                    about = {"user": user, **which, **cells[0].labelled.columns, "seeds": len(cells)}
                    csv_rows.append(csv_row(dataset=study.name, **about, **numbers))
                head = ["Mechanisms" if ablation else "Method", "Seeds"]
                head += [
                    f"{name} {by}" for name in ("Dice %,", "ASSD,") for by in (study.standard, user, "loss [95 %]")
                ]
                notes = [caption(study, all_cells(rows)), *floor_notes(study, rows)]
                sections.append(Section(title, head, lines, notes))
    return table_of(
        "table_s2",
        "Table S2: a user who does not click precisely",
        f"Dice and ASSD at the last step with the standard user, {EDGE}, and with the other one; the loss is paired by "
        f"training and case, above 0 where the method is the worse for it. {INTERVALS} The rows of Table 5 follow the "
        "methods: whether a mechanism makes up for imprecise clicks is seen there, gain beside gain.",
        sections,
        csv_rows,
    )


def _loss(cells: Cells, standard: str, user: str) -> tuple[list[str], dict[str, float]]:
    """What a method loses with another user, as texts and as numbers."""
    texts, numbers = [], dict[str, float]()
    for name, digits in (("dice", 2), ("assd", 3)):
        one, other = (reached(cells, name, user=by) for by in (standard, user))
        with np.errstate(invalid="ignore"):  # infinite distances have no difference
            loss = summarise(one - other if name == "dice" else other - one, is_trained(cells))
        texts += [f"{values.mean():.{digits}f}" for values in (one, other)]
        texts.append(with_interval(loss, f"+.{digits}f"))
        numbers |= {f"{name}_{standard}": float(one.mean()), f"{name}_user": float(other.mean())}
        numbers |= {f"{name}_loss": loss.mean, f"{name}_loss_low": loss.low, f"{name}_loss_high": loss.high}
    return texts, numbers


def _measured(name: str, method: str, of: Summary, found: Comparison | None, wins: bool) -> list[str]:
    """A method's Dice or ASSD for Table 1."""
    form = ".2f" if name == "dice" else ".3f"
    mean = number(of.mean, form) + ("" if math.isnan(of.sd) else f" ± {of.sd:{form}}")
    p = "-" if found is None else "best" if found.best == method else p_text(_p(found, method))
    return [bold(mean, wins), interval(of, form), p]


def _p(found: Comparison | None, method: str) -> float:
    """Of the best against a method; NaN where they are not compared."""
    return math.nan if found is None else found.p.get(method, math.nan)


def _verdict(name: str, of: Comparison | None, is_bold: bool) -> str:
    """The best against its best competitor, in words."""
    if of is None:
        return ""
    title, form = {"dice": ("Dice %", "+.2f"), "assd": ("ASSD", "+.3f")}[name]
    p = of.p[of.rival]
    difference = f"{title}: {of.best} minus {of.rival} is {with_interval(of.gap, form)}"
    if math.isnan(p):
        return f"{difference}; how sure that is cannot be said."
    verdict = "" if is_bold else ", which is not significant" if p >= SIGNIFICANT else ", which is not enough for bold"
    text = p_text(p) if p < 0.001 else f"= {p_text(p)}"
    return f"{difference}, p {text}{verdict}."


def _warnings(study: Study, rows: Mapping[str, Cells]) -> list[str]:
    """Sentences that a reader of Table 1 has to know about its numbers."""
    texts: list[str] = []
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
