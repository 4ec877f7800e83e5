"""Tables as data, as Markdown, as text in columns and as CSV files."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mecca_agents.runs.errors import RunError as RunError  # part of this module, too
from mecca_env.atomic import atomically, os_errors_as

CsvRow = Mapping[str, Any]


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
        csv_rows: The same as numbers, the rows of the CSV file; all have the same columns.
        notes: Sentences below all sections, a line each.
    """

    name: str
    title: str
    about: str
    sections: Sequence[Section]
    csv_rows: Sequence[CsvRow]
    notes: Sequence[str] = ()


def markdown(table: Table) -> str:
    """The table as Markdown that can be read as it is, too."""
    text = [f"## {table.title}", table.about]
    for section in table.sections:
        text += [f"### {section.title}", grid(section.head, section.lines), *section.notes]
    text.append("\n".join(f"- {note}" for note in table.notes))
    return "\n\n".join(part for part in text if part)


def grid(head: Sequence[str], lines: Sequence[Sequence[str]], *, padded: bool = True) -> str:
    """Rows as a table of Markdown, its columns straight in the source too, unless they are not to be padded."""
    widths = _widths(head, lines) if padded else [0] * len(head)
    rows = [head, ["-" * (width or 3) for width in widths], *lines]
    return "\n".join(
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in rows
    )


def columns(head: Sequence[str], lines: Sequence[Sequence[str]], *, left: int = 0, gap: str = "  ") -> str:
    """Rows as text in straight columns.

    Args:
        head: The columns' names.
        lines: Their texts, row by row.
        left: How many columns, from the first, stand to the left, as names do; the others stand to the right.
        gap: What is between two columns.
    """
    widths = _widths(head, lines)
    return "\n".join(
        gap.join(
            text.ljust(width) if index < left else text.rjust(width)
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *lines)
    )


def number(value: float, form: str = ".2f") -> str:
    """A number; "-" where there is none."""
    return "-" if math.isnan(value) else format(value, form)


def bold(text: str, when: bool = True) -> str:
    """The text, in bold where it deserves it."""
    return f"**{text}**" if when else text


def percent(fraction: float) -> str:
    """A labelled fraction."""
    return f"{100 * fraction:.4g} %"


def plural(count: int, noun: str) -> str:
    """So many of them."""
    return f"{count} {noun}{'s' * (count != 1)}"


def csv_row(**values: Any) -> dict[str, Any]:
    """A row of a CSV file: six significant digits, nothing where there is no number."""
    return {key: _csv_value(value) for key, value in values.items()}


def _csv_value(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return value


def _widths(head: Sequence[str], lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(head, *lines, strict=True)]


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a CSV file of those columns. Raises `RunError` where its folder is missing or cannot be written."""

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

    with os_errors_as(lambda reason: RunError(f"{path}: cannot be written: {reason}")):
        atomically(path, write)
