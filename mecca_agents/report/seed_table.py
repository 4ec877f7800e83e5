"""Every training by itself, so that none that collapsed hides in a mean."""

from __future__ import annotations

from collections.abc import Sequence

from mecca_agents.report.comparison import COLLAPSED, by_method, collapsed, last_dice
from mecca_agents.report.layout import caption, table_of
from mecca_agents.report.studies import FinishedCell, Study
from mecca_agents.tables import Section, Table, csv_row, percent


def table_seeds(studies: Sequence[Study]) -> Table | None:
    """Dice at the last step, training by training."""
    sections, csv_rows = [], []
    for study in studies:
        seeds = sorted({cell.seed for cell in study.cells})
        flagged, lines = {cell.name for cell in collapsed(study.cells)}, []
        groups = sorted({(cell.variant, -cell.fraction) for cell in study.cells})
        for variant, negative in groups:
            for method, cells in by_method(study.cells, -negative, variant).items():
                by_seed = {cell.seed: cell for cell in cells}
                texts = [_seed_text(by_seed.get(seed), flagged) for seed in seeds]
                lines.append([method, variant, percent(-negative), *texts])
                csv_rows += [
                    csv_row(
                        dataset=study.name,
                        method=method,
                        variant=variant,
                        fraction=cell.fraction,
                        seed=cell.seed,
                        dice=last_dice(cell),
                        collapsed=cell.name in flagged,
                        minutes=cell.minutes,
                        updates=cell.updates,
                    )
                    for cell in cells
                ]
        if lines:
            head = ["Method", "Variant", "Labelled", *(f"Seed {seed}" for seed in seeds)]
            sections.append(Section(study.name, head, lines, [caption(study, study.cells)]))
    about = (
        f"Dice % at the last step, mean over cases. A training below {100 * COLLAPSED:.0f} % of the best one of its "
        "method is marked COLLAPSED; it is part of all means nevertheless."
    )
    return table_of("seeds", "Every training by itself", about, sections, csv_rows)


def _seed_text(cell: FinishedCell | None, flagged: set[str]) -> str:
    return "-" if cell is None else f"{last_dice(cell):.2f}{' COLLAPSED' * (cell.name in flagged)}"
