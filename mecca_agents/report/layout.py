"""A report's tables: how they look in Markdown, what their captions say, how numbers are written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from mecca_agents.report.comparison import BOUNDS, SIGNIFICANT, Cells, Summary, collapsed
from mecca_agents.report.studies import Study
from mecca_agents.tables import CsvRow, Section, Table, plural


def table_of(
    name: str, title: str, about: str, sections: Sequence[Section], csv_rows: Sequence[CsvRow]
) -> Table | None:
    """The table; None where no data set has anything for it."""
    return Table(name, title, about, sections, csv_rows) if sections else None


def caption(study: Study, cells: Cells) -> str:
    """The caption of a table: data, preset, training, seeds, commits, trainings that collapsed."""
    preset, trained = study.preset, [cell for cell in cells if cell.method not in BOUNDS]
    shape = preset.get("shape")
    parts = [
        f"{study.env} ({cells[0].rows['edge'][0].dataset})",
        f"{plural(len(cells[0].cases), 'test case')}",
        plural(study.train_cases, "training case") if study.train_cases else "endless training cases",
        f"preset `{study.preset_name}`" + (f" on {' x '.join(map(str, shape))} voxels" if shape else ""),
    ]
    if trained:
        minutes, updates = ([getattr(cell, name) for cell in trained] for name in ("minutes", "updates"))
        machines = sorted({f"{cell.device}, {plural(cell.threads, 'thread')}" for cell in trained})
        parts += [
            f"{_range(updates, '.0f')} updates",
            f"{_range(minutes, '.1f')} minutes a training ({' or '.join(machines)})",
        ]
    seeds = sorted({cell.seed for cell in cells})
    commits = sorted({_short(cell.commit) for cell in cells})
    parts += [
        f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}",
        f"commit{'s' * (len(commits) > 1)} {', '.join(commits)}",
    ]
    bad = [cell.name for cell in collapsed(study.cells) if cell in cells]
    return "; ".join(parts) + "." + (f" **Among them are trainings that collapsed: {', '.join(bad)}.**" if bad else "")


def seeds_text(cells: Cells, all_cells: Iterable[Cells]) -> str:
    """Number of seeds of a row as text, "2 of 3" where others have more."""
    most, found = seeds_of(all_cells), len({cell.seed for cell in cells})
    return str(found) if found == most else f"{found} of {most}"


def seeds_of(rows: Iterable[Cells]) -> int:
    """Number of seeds that the rows of a table have between them."""
    return len({cell.seed for cells in rows for cell in cells})


def interval(summary: Summary, form: str = ".2f") -> str:
    """The 95 % interval of a mean."""
    return "-" if math.isnan(summary.low) else f"[{summary.low:{form}}, {summary.high:{form}}]"


def p_text(p: float) -> str:
    """A p value."""
    return "-" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


SIGNIFICANCE = (
    "Bold is the best mean of a column, and only where it differs from the best of the others with p < "
    f"{SIGNIFICANT}: Wilcoxon's signed-rank test, two-sided and paired by case, with the seeds that both have, "
    "corrected by Holm for the number of competitors in the column."
)


def _range(values: Sequence[float], form: str) -> str:
    return " to ".join(dict.fromkeys((format(min(values), form), format(max(values), form))))


def _short(commit: str | None) -> str:
    return f"{commit[:7]}{commit[40:]}" if commit else "unknown"
