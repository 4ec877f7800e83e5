"""Tables 3, 4 and 5: what fewer labels cost and which mechanism makes up for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mecca_agents.evaluation.layout import ALL_CASES
from mecca_agents.report.comparison import (
    VARIANTS,
    ByLabelled,
    Summary,
    ablated,
    all_cells,
    by_labelled,
    by_step,
    by_variant,
    corrected,
    gap,
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
)
from mecca_agents.report.studies import FinishedCell, Study
from mecca_agents.report.winners import Column, winners
from mecca_agents.tables import Section, Table, bold, csv_row, number

Variants = Mapping[str, Sequence[FinishedCell]]

MECHANISMS = VARIANTS["all"]
"""Self-adaptive reward, interaction guide, simulated labels."""

NOTHING = Summary(math.nan, math.nan, math.nan, math.nan)


def table3(studies: Sequence[Study]) -> Table | None:
    """Dice by labelled amount."""
    sections, csv_rows = [], []
    decided = winners(studies)
    for study in studies:
        rows = by_labelled(study)
        if not rows:
            continue
        amounts = sorted({a for of in rows.values() for a in of}, key=lambda a: a.of(study.train_scans))
        lines = []
        for method, of in rows.items():
            dice = {a: summarise(reached(cells), is_trained(cells)) for a, cells in of.items()}
            wins = {a: decided.wins(Column(study.name, a), method) for a in of}
            texts = [marked(bold(f"{dice[a].mean:.2f}", wins[a]), study, of[a]) if a in of else "-" for a in amounts]
            few, all_ = (dice.get(a, NOTHING).mean for a in (amounts[0], ALL_CASES))
            texts += [number(_part(all_ - few, all_)), number(_part(all_ - few, few))]
            lines.append([method, _seeds(of, rows), *texts])
            for a, mean in dice.items():
                csv_rows.append(
                    csv_row(
                        dataset=study.name,
                        method=method,
                        **a.columns,
                        seeds=len(of[a]),
                        dice=mean.mean,
                        dice_low=mean.low,
                        dice_high=mean.high,
                        best=wins[a],
                    )
                )
        head = ["Method", "Seeds", *map(str, amounts), "Loss, %", "Improvement, %"]
        named = {f"{method} ({a})": cells for method, of in rows.items() for a, cells in of.items()}
        notes = [caption(study, all_cells(named)), *limits(named), *floor_notes(study, named)]
        sections.append(Section(study.name, head, lines, notes))
    about = (
        "Dice % at the last step by how many of the training cases are labelled. Loss: how much of the Dice with all "
        "labels is lost with the fewest labelled cases. Improvement: the same difference as a share of the Dice with "
        "the fewest, as the paper has it. Seeds: of the amount that has the fewest. "
        f"{SIGNIFICANCE} With all labels a method is bold where it is in Table 1."
    )
    return table_of("table3", "Table 3: fewer labels", about, sections, csv_rows)


def table4(studies: Sequence[Study]) -> Table | None:
    """Dice by step and labelled amount."""
    sections, csv_rows = [], []
    for study in studies:
        rows = by_labelled(study)
        for method in sorted(rows, key=lambda method: method != "mecca"):
            of, lines = rows[method], []
            for labelled, cells in of.items():
                means = (100 * by_step(cells, further=True)).tolist()
                texts = [marked(str(labelled), study, cells), seeds_text(cells, of.values())]
                lines.append([*texts, *(f"{mean:.2f}" for mean in means)])
                csv_rows += [
                    csv_row(dataset=study.name, method=method, **labelled.columns, step=step, dice=mean)
                    for step, mean in enumerate(means, start=1)
                ]
            head = ["Labelled", "Seeds", *(f"Step {step + 1}" for step in range(len(means)))]
            named = {str(labelled): cells for labelled, cells in of.items()}
            notes = [caption(study, all_cells(named)), *floor_notes(study, named)]
            sections.append(Section(f"{study.name}, {method}", head, lines, notes))
    about = "Dice % after every step, by how many of the training cases are labelled."
    return table_of("table4", "Table 4: steps and labels", about, sections, csv_rows)


def table5(studies: Sequence[Study]) -> Table | None:
    """The mechanisms of MECCA, one by one, with every simulated user."""
    sections, csv_rows = [], []
    users = [None, *sorted({user for study in studies for user in study.others})]  # None: the standard user
    for study in studies:
        for labelled in ablated(study):
            rows = by_variant(study, labelled)
            found = {user: _gains(by_variant(study, labelled, user), user) for user in users}
            p = corrected({f"{u} {v}": one for u, of in found.items() for v, (_, one) in of.items()})
            lines = []
            for variant, cells in rows.items():
                dice = summarise(reached(cells))
                ticks = ["✓" if mechanism in VARIANTS[variant] else "" for mechanism in MECHANISMS]
                texts = [marked(f"{dice.mean:.2f}", study, cells), interval(dice)]
                numbers: dict[str, float] = {}
                for user in users:
                    gain, _ = found[user].get(variant, (NOTHING, math.nan))
                    of_user = p.get(f"{user} {variant}", math.nan)
                    texts += [number(gain.mean, "+.2f"), interval(gain, "+.2f"), p_text(of_user)]
                    end = "" if user is None else f"_{user}"
                    numbers |= {f"gain{end}": gain.mean, f"gain{end}_low": gain.low, f"gain{end}_high": gain.high}
                    numbers[f"p{end}"] = of_user
                lines.append([*ticks, seeds_text(cells, rows.values()), *texts])
                csv_rows.append(
                    csv_row(
                        dataset=study.name,
                        **labelled.columns,
                        variant=variant,
                        **{mechanism: mechanism in VARIANTS[variant] for mechanism in MECHANISMS},
                        seeds=len(cells),
                        of_seeds=seeds_of(rows.values()),
                        dice=dice.mean,
                        dice_low=dice.low,
                        dice_high=dice.high,
                        **numbers,
                    )
                )
            head = ["Self-adaptive reward", "Interaction guide", "Simulated labels", "Seeds", "Dice %", "95 % interval"]
            for user in users:
                head += ["Gain" if user is None else f"Gain, {user} user", "95 % interval", "p"]
            notes = [caption(study, all_cells(rows)), *limits(rows), *floor_notes(study, rows)]
            sections.append(Section(f"{study.name}, {labelled} labelled", head, lines, notes))
    about = (
        "Dice % at the last step of MECCA with some of its mechanisms, and its gain over the row without any: with the "
        "standard user, and with each other one. A mechanism that helps with imprecise clicks gains more there. "
        f"{INTERVALS} p is corrected by Holm for the number of gains under a heading."
    )
    return table_of("table5", "Table 5: ablation", about, sections, csv_rows)


def _gains(rows: Variants, user: str | None) -> dict[str, tuple[Summary, float]]:
    """Every row minus the one without any mechanism, and the p of that; nothing where that one is missing."""
    if "none" not in rows:
        return {}
    dice = {variant: reached(cells, user=user) for variant, cells in rows.items()}
    return {variant: gap(dice[variant], dice["none"]) for variant in rows if variant != "none"}


def _seeds(of: ByLabelled, rows: Mapping[str, ByLabelled]) -> str:
    """Number of seeds of a method; where its amounts differ, the fewest."""
    fewest = min(of.values(), key=len)
    return seeds_text(fewest, [cells for each in rows.values() for cells in each.values()])


def _part(difference: float, whole: float) -> float:
    return 100 * difference / whole if whole else math.nan
