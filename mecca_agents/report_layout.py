"""A report's tables: how they look in Markdown, what their captions say, how numbers are written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mecca_agents.comparison import BOUNDS, SIGNIFICANT, Cells, Summary, collapsed
from mecca_agents.report_cells import Study

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Section:
    """The part of a table that is about one data set.

    Attributes:
        title: Of the data set, or what else it is about.
        head: The columns.
        lines: Their texts, row by row.
        notes: Sentences below it, the caption first.
    """

    title: str
    head: Sequence[str]
    lines: Sequence[Sequence[str]]
    notes: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table of the report.

    Attributes:
        name: Of its CSV file.
        title: Its heading.
        about: What its columns are.
        sections: One for each data set.
        records: The same as numbers, the rows of the CSV file; all have the same columns.
    """

    name: str
    title: str
    about: str
    sections: Sequence[Section]
    records: Sequence[Record]


def markdown(table: Table) -> str:
    """The table as Markdown that can be read as it is, too."""
    text = [f"## {table.title}", table.about]
    for section in table.sections:
        text += [f"### {section.title}", _grid(section.head, section.lines), *section.notes]
    return "\n\n".join(part for part in text if part)


def caption(study: Study, cells: Cells) -> str:
    """What a table was made of: data, preset, training, seeds, commits, trainings that collapsed."""
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
    """How many seeds a row has, "2 of 3" where others have more."""
    most, found = seeds_of(all_cells), len({cell.seed for cell in cells})
    return str(found) if found == most else f"{found} of {most}"


def seeds_of(rows: Iterable[Cells]) -> int:
    """How many seeds the rows of a table have between them."""
    return len({cell.seed for cells in rows for cell in cells})


def number(value: float, form: str = ".2f") -> str:
    """A number; "-" where there is none."""
    return "-" if math.isnan(value) else format(value, form)


def interval(summary: Summary, form: str = ".2f") -> str:
    """The 95 % interval of a mean."""
    return "-" if math.isnan(summary.low) else f"[{summary.low:{form}}, {summary.high:{form}}]"


def p_text(p: float) -> str:
    """A p value."""
    return "-" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def bold(text: str, when: bool = True) -> str:
    """The text, in bold where it deserves it."""
    return f"**{text}**" if when else text


def percent(fraction: float) -> str:
    """A labelled fraction."""
    return f"{100 * fraction:.4g} %"


def plural(count: int, noun: str) -> str:
    """So many of them."""
    return f"{count} {noun}{'s' * (count != 1)}"


def record(**values: Any) -> dict[str, Any]:
    """A row of a CSV file: six significant digits, nothing where there is no number."""
    return {key: _cell(value) for key, value in values.items()}


SIGNIFICANCE = (
    "Bold is the best mean of a column, and only where it differs from the best of the others with p < "
    f"{SIGNIFICANT}: Wilcoxon's signed-rank test, two-sided and paired by case, with the seeds that both have, "
    "corrected by Holm for the number of competitors in the column."
)


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return value


def _grid(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    rows = [head, ["-" * width for width in widths], *lines]
    return "\n".join(
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in rows
    )


def _range(values: Sequence[float], form: str) -> str:
    return " to ".join(dict.fromkeys((format(min(values), form), format(max(values), form))))


def _short(commit: str | None) -> str:
    return f"{commit[:7]}{commit[40:]}" if commit else "unknown"
