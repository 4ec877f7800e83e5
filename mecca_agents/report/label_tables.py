"""Tables 3, 4 and 5: what fewer labels cost and which mechanism makes up for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mecca_agents.report.comparison import (
    FEWEST_CASES,
    Array,
    all_cells,
    at_last,
    at_step,
    by_method,
    by_seed,
    by_step,
    compare,
    p_of_pairs,
    paired,
    summarise,
    wins,
)
from mecca_agents.report.layout import SIGNIFICANCE, caption, interval, p_text, seeds_of, seeds_text, table_of
from mecca_agents.report.studies import FinishedCell, Study
from mecca_agents.tables import Section, Table, bold, csv_row, number, percent, plural

Rows = dict[str, dict[float, list[FinishedCell]]]

MECHANISMS = ("reward", "guide", "labels")
"""Self-adaptive reward, interaction guide, simulated labels."""

VARIANTS: dict[str, tuple[str, ...]] = {
    "none": (),
    "reward": ("reward",),
    "guide": ("guide",),
    "labels": ("labels",),
    "reward-guide": ("reward", "guide"),
    "all": MECHANISMS,
}
"""The rows of Table 5, and the mechanisms that each has."""


def table3(studies: Sequence[Study]) -> Table | None:
    """Dice by labelled fraction."""
    sections, csv_rows = [], []
    for study in studies:
        rows = _by_fraction(study)
        if not rows:
            continue
        fractions = sorted({fraction for cells in rows.values() for fraction in cells})
        values = {m: {f: 100 * at_last(cells) for f, cells in of.items()} for m, of in rows.items()}
        found = {f: compare({m: at_step(by_seed(of[f])) for m, of in rows.items() if f in of}) for f in fractions}
        lines = []
        for method, of in rows.items():
            texts = [
                bold(f"{values[method][f].mean():.2f}", wins(found[f], method)) if f in of else "-" for f in fractions
            ]
            few, all_ = (float(values[method][f].mean()) if f in of else math.nan for f in (fractions[0], 1.0))
            texts += [number(_part(all_ - few, all_)), number(_part(all_ - few, few))]
            lines.append([method, _seeds(of, rows), *texts])
            for f in of:
                dice = summarise(values[method][f])
                csv_rows.append(
                    csv_row(
                        dataset=study.name,
                        method=method,
                        fraction=f,
                        seeds=len(of[f]),
                        dice=dice.mean,
                        dice_low=dice.low,
                        dice_high=dice.high,
                        best=wins(found[f], method),
                    )
                )
        head = ["Method", "Seeds", *map(percent, fractions), "Loss, %", "Improvement, %"]
        sections.append(Section(study.name, head, lines, [caption(study, _all(rows))]))
    about = (
        "Dice % at the last step by the share of the training cases that are labelled. Loss: how much of the Dice with "
        "all labels is lost with the fewest. Improvement: the same difference as a share of the Dice with the fewest, "
        f"as the paper has it. Seeds: of the fraction that has the fewest. {SIGNIFICANCE}"
    )
    return table_of("table3", "Table 3: fewer labels", about, sections, csv_rows)


def table4(studies: Sequence[Study]) -> Table | None:
    """Dice by step and labelled fraction."""
    sections, csv_rows = [], []
    for study in studies:
        rows = _by_fraction(study)
        for method in sorted(rows, key=lambda method: method != "mecca"):
            of, lines = rows[method], []
            for fraction in sorted(of):
                dice = 100 * by_step(of[fraction], further=True)
                means = [float(mean) for mean in dice.mean(axis=0)]
                lines.append(
                    [percent(fraction), seeds_text(of[fraction], of.values()), *(f"{mean:.2f}" for mean in means)]
                )
                csv_rows += [
                    csv_row(dataset=study.name, method=method, fraction=fraction, step=step, dice=mean)
                    for step, mean in enumerate(means, start=1)
                ]
            head = ["Labelled", "Seeds", *(f"Step {step + 1}" for step in range(len(lines[0]) - 2))]
            sections.append(Section(f"{study.name}, {method}", head, lines, [caption(study, _all({method: of}))]))
    about = "Dice % after every step, by the share of the training cases that are labelled."
    return table_of("table4", "Table 4: steps and labels", about, sections, csv_rows)


def table5(studies: Sequence[Study]) -> Table | None:
    """The mechanisms of MECCA, one by one."""
    sections, csv_rows = [], []
    for study in studies:
        for fraction in sorted({cell.fraction for cell in study.cells if cell.variant}):
            rows = _variants(study, fraction)
            values = {variant: 100 * at_last(cells) for variant, cells in rows.items()}
            pairs = _against_none(rows)
            p = p_of_pairs(pairs)
            lines = []
            for variant, cells in rows.items():
                dice = summarise(values[variant])
                ticks = ["✓" if mechanism in VARIANTS[variant] else "" for mechanism in MECHANISMS]
                texts = [f"{dice.mean:.2f}", interval(dice)]
                pair = pairs.get(variant)
                gain = None if pair is None else summarise(pair[0] - pair[1])
                if gain is None:
                    texts += ["-"] * 3
                else:
                    texts += [f"{gain.mean:+.2f}", interval(gain, "+.2f"), p_text(p[variant])]
                lines.append([*ticks, seeds_text(cells, rows.values()), *texts])
                nothing = (math.nan, math.nan, math.nan)
                csv_rows.append(
                    csv_row(
                        dataset=study.name,
                        fraction=fraction,
                        variant=variant,
                        **{mechanism: mechanism in VARIANTS[variant] for mechanism in MECHANISMS},
                        seeds=len(cells),
                        of_seeds=seeds_of(rows.values()),
                        dice=dice.mean,
                        dice_low=dice.low,
                        dice_high=dice.high,
                        **dict(zip(("gain", "gain_low", "gain_high"), gain[:3] if gain else nothing, strict=True)),
                        p=p.get(variant, math.nan),
                    )
                )
            cells = all_cells(rows)
            notes = [caption(study, cells)]
            if (cases := len(cells[0].cases)) < FEWEST_CASES:
                notes.append(f"With {plural(cases, 'case')}, fewer than {FEWEST_CASES}, p cannot be below 0.05.")
            head = ["Self-adaptive reward", "Interaction guide", "Simulated labels", "Seeds", "Dice %", "95 % interval"]
            head += ["Gain", "95 % interval", "p"]
            sections.append(Section(f"{study.name}, {percent(fraction)} labelled", head, lines, notes))
    about = (
        "Dice % at the last step of MECCA with some of its mechanisms; the gain over the row without any is paired by "
        "case and taken from the seeds that both have, p is Wilcoxon's, corrected by Holm for the number of rows that "
        "are compared with it."
    )
    return table_of("table5", "Table 5: ablation", about, sections, csv_rows)


def _by_fraction(study: Study) -> Rows:
    """The cells of every method that was trained with more than one fraction."""
    rows: Rows = {}
    for method, cells in by_method(study.cells, fraction=None).items():
        of: dict[float, list[FinishedCell]] = {}
        for cell in cells:
            of.setdefault(cell.fraction, []).append(cell)
        if len(of) > 1:
            rows[method] = of
    return rows


def _variants(study: Study, fraction: float) -> dict[str, list[FinishedCell]]:
    """The rows of Table 5 that there are; the method itself stands for all mechanisms where there is no such row."""
    rows = {}
    for variant in VARIANTS:
        cells = by_method(study.cells, fraction, variant).get("mecca")
        if not cells and variant == "all":
            cells = by_method(study.cells, fraction).get("mecca")
        if cells:
            rows[variant] = cells
    return rows


def _against_none(rows: Mapping[str, Sequence[FinishedCell]]) -> dict[str, tuple[Array, Array] | None]:
    """Every other row beside the one without any mechanism, with the seeds of both; nothing where that is missing."""
    if "none" not in rows:
        return {}
    last = {variant: at_step(by_seed(cells)) for variant, cells in rows.items()}
    return {variant: paired(last[variant], last["none"]) for variant in rows if variant != "none"}


def _seeds(of: Mapping[float, Sequence[FinishedCell]], rows: Rows) -> str:
    """Number of seeds of a method; where its fractions differ, the fewest."""
    fewest = min(of.values(), key=len)
    return seeds_text(fewest, [cells for each in rows.values() for cells in each.values()])


def _all(rows: Rows) -> list[FinishedCell]:
    return [cell for of in rows.values() for cells in of.values() for cell in cells]


def _part(difference: float, whole: float) -> float:
    return 100 * difference / whole if whole else math.nan
