"""`mecca report`: the tables, pictures and statistics of a benchmark, from the files that its cells left.

    <out>/report.md             every table with its caption, the pictures, the cells that failed
    <out>/overview.csv ...      a table each, as numbers
    <out>/fig8-<data set>.png   Dice against clicks
    <out>/fig9-<data set>.png   the weightings of the reward

The same cells always give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mecca_agents.report.click_tables import table_clicks, table_misunderstanding
from mecca_agents.report.comparison import collapsed
from mecca_agents.report.floors import floor_of
from mecca_agents.report.label_tables import table3, table4, table5
from mecca_agents.report.method_tables import table1, table2, table6, table_s2
from mecca_agents.report.overview import overview
from mecca_agents.report.plots import figure8, figure9
from mecca_agents.report.seed_table import table_seeds
from mecca_agents.report.studies import Study, read_studies
from mecca_agents.runs.errors import RunError
from mecca_agents.tables import markdown, plural, write_rows
from mecca_env.atomic import atomically, os_errors_as, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOCUMENT = "report.md"
TABLES = (
    *(overview, table1, table2, table3, table4, table5, table6),
    *(table_s2, table_clicks, table_misunderstanding, table_seeds),
)
"""In the report's order; each is there only where there are cells for it."""

FIGURES = {"fig8": figure8, "fig9": figure9}
_PICTURE: dict[str, Any] = {
    "format": "png",
    "dpi": 150,
    "bbox_inches": "tight",
    "metadata": {"Software": None},  # so that the bytes do not tell the program's version
}


def report(folder: Path | str, out: Path | str | None = None) -> Path:
    """Write the report of a benchmark.

    Args:
        folder: The benchmark's folder, with a sub-folder for each data set (`mecca_agents.report.studies`).
        out: Folder for the report, made if missing; None takes `folder/report`.

    Returns:
        The file `report.md`.

    Raises:
        RunError: There is nothing to report, a file is damaged, cells cannot be compared, or nothing can be written
            there.
    """
    return write_report(read_studies(folder), Path(folder) / "report" if out is None else out)


def write_report(studies: Sequence[Study], out: Path | str) -> Path:
    """The same for data sets that have been read.

    Args:
        studies: As `mecca_agents.report.studies.read_studies` returns them.
        out: Folder for the report, made if missing.

    Returns:
        The file `report.md`.

    Raises:
        RunError: Nothing can be written there.
    """
    out = Path(out)
    with os_errors_as(lambda reason: RunError(f"{out}: expected a folder for the report, cannot make it: {reason}")):
        out.mkdir(parents=True, exist_ok=True)
    tables = [table for make in TABLES if (table := make(studies)) is not None]
    for table in tables:
        write_rows(out / f"{table.name}.csv", list(table.csv_rows[0]), table.csv_rows)
    pictures = []
    for name, draw in FIGURES.items():
        for study in studies:
            figure = draw(study)
            if figure is not None:
                pictures.append(_save(figure, out / f"{name}-{study.name}.png"))
    parts = ["# Report", _summary(studies), *map(markdown, tables), *_shown(pictures), *_failures(studies)]
    path, text = out / DOCUMENT, "\n\n".join(part for part in parts if part) + "\n"
    with os_errors_as(lambda reason: RunError(f"{path}: cannot be written: {reason}")):
        write_text(path, text)
    return path


def summary(studies: Sequence[Study]) -> str:
    """The overview as text, or a line that says why there is none."""
    table = overview(studies)
    return "no overview: no method has been trained with all labels" if table is None else markdown(table)


def _summary(studies: Sequence[Study]) -> str:
    """The data sets with their trainings, and what went wrong."""
    lines = ["Means are over trainings and test cases; intervals and p values are about other ones of both.", ""]
    for study in studies:
        failed = f", {len(study.failed)} failed (see the end)" if study.failed else ""
        floor = "" if floor_of(study) else "; no floor to compare with, neither mean-mask nor ellipsoid"
        lines.append(f"- {study.name}: {plural(len(study.cells), 'training')}{failed}{floor}")
        lines += [
            f"- **{study.name}, {cell.name}: this training collapsed**; it is part of all means, see the last table"
            for cell in collapsed(study.cells)
        ]
    return "\n".join(lines)


def _save(figure: Figure, path: Path) -> Path:
    with os_errors_as(lambda reason: RunError(f"{path}: the figure cannot be written: {reason}")):
        atomically(path, lambda temporary: figure.savefig(temporary, **_PICTURE))
    return path


def _shown(pictures: Sequence[Path]) -> list[str]:
    shown = [f"![{path.stem}](<{path.name}>)" for path in pictures]
    return ["## Figures", *shown] if shown else []


def _failures(studies: Sequence[Study]) -> list[str]:
    lines = [f"- {study.name}, {cell}: `{reason:.300}`" for study in studies for cell, reason in study.failed.items()]
    return ["## Failed", "\n".join(lines)] if lines else []
