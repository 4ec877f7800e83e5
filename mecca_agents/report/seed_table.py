"""Every training by itself, so that none that collapsed hides in a mean."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from mecca_agents.report.comparison import COLLAPSED, Cells, by_method, collapsed, last_dice
from mecca_agents.report.floors import floor_notes, marked
from mecca_agents.report.layout import caption, table_of
from mecca_agents.report.studies import FinishedCell, Study
from mecca_agents.tables import Section, Table, csv_row


def table_seeds(studies: Sequence[Study]) -> Table | None:
    """Dice at the last step, training by training."""
    sections, csv_rows = [], []
    for study in studies:
        seeds = sorted({cell.seed for cell in study.cells})
        flagged, lines = {cell.name for cell in collapsed(study.cells)}, []
        below: dict[str, Cells] = {}
        amounts = sorted({cell.labelled for cell in study.cells}, reverse=True)
        for variant, labelled in product(sorted({cell.variant for cell in study.cells}), amounts):
            for method, cells in by_method(study.cells, labelled, variant).items():
                by_seed = {cell.seed: cell for cell in cells}
                texts = [_seed_text(study, by_seed.get(seed), flagged) for seed in seeds]
                lines.append([method, variant, str(labelled), *texts])
                below |= {cell.name: [cell] for cell in cells}
                csv_rows += [
                    csv_row(
                        dataset=study.name,
                        method=method,
                        variant=variant,
                        **labelled.columns,
                        seed=cell.seed,
                        dice=last_dice(cell),
                        collapsed=cell.name in flagged,
                        minutes=cell.minutes,
                        updates=cell.updates,
                        optimizer_steps=cell.optimizer_steps,
                        labelled_episodes=cell.labelled_episodes,
                    )
                    for cell in cells
                ]
        if lines:
            head = ["Method", "Variant", "Labelled", *(f"Seed {seed}" for seed in seeds)]
            sections.append(
                Section(
                    study.name, head, lines, [caption(study, study.cells), *floor_notes(study, below, listed=False)]
                )
            )
    about = (
        f"Dice % at the last step, mean over cases. A training below {100 * COLLAPSED:.0f} % of the best one of its "
        "method is marked COLLAPSED; it is part of all means nevertheless."
    )
    return table_of("seeds", "Every training by itself", about, sections, csv_rows)


def _seed_text(study: Study, cell: FinishedCell | None, flagged: set[str]) -> str:
    return (
        "-" if cell is None else marked(f"{last_dice(cell):.2f}{' COLLAPSED' * (cell.name in flagged)}", study, [cell])
    )
