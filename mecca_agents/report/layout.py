"""A report's tables: how they look in Markdown, what their captions say, how numbers are written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from mecca_agents.agent import find_method
from mecca_agents.evaluation.statistics import FEWEST_CASES
from mecca_agents.report.comparison import BOUNDS, FEWEST_SEEDS, Cells, Summary, collapsed, is_trained
from mecca_agents.report.studies import FinishedCell, Study
from mecca_agents.tables import CsvRow, Section, Table, number, plural


def table_of(
    name: str,
    title: str,
    about: str,
    sections: Sequence[Section],
    csv_rows: Sequence[CsvRow],
    notes: Sequence[str] = (),
) -> Table | None:
    """The table; None where no data set has anything for it."""
    return Table(name, title, about, sections, csv_rows, notes) if sections else None


def caption(study: Study, cells: Cells) -> str:
    """The caption of a table: data, preset, training, seeds, commits, trainings that collapsed."""
    preset, trained = study.preset, [cell for cell in cells if cell.method not in BOUNDS]
    shape, first = preset.get("shape"), cells[0].rows[study.standard][0]
    parts = [
        f"{study.env} ({first.dataset})" + (f", protocol {first.protocol}" if first.protocol != "paper" else ""),
        plural(len(cells[0].cases), "test case") + _of_scans(cells[0]),
        plural(study.train_cases, "training case") if study.train_cases else "endless training cases",
        f"preset `{study.preset_name}`" + (f" on {' x '.join(map(str, shape))} voxels" if shape else ""),
    ]
    if trained:
        minutes, updates = ([getattr(cell, name) for cell in trained] for name in ("minutes", "updates"))
        machines = sorted({f"{cell.device}, {plural(cell.threads, 'thread')}" for cell in trained})
        parts += [
            f"{span(updates)} updates",
            f"{span(minutes, '.1f')} minutes a training ({' or '.join(machines)})",
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
    """The most seeds that a row of a table has."""
    return max(len({cell.seed for cell in cells}) for cells in rows)


def interval(summary: Summary, form: str = ".2f") -> str:
    """The 95 % interval of a mean."""
    form = _no_minus_zero(form)
    return "-" if math.isnan(summary.low) else f"[{summary.low:{form}}, {summary.high:{form}}]"


def with_interval(summary: Summary, form: str = ".2f") -> str:
    """A mean with its interval, alone where it has none; "-" where there is no mean."""
    text = number(summary.mean, _no_minus_zero(form))
    return text if math.isnan(summary.low) else f"{text} {interval(summary, form)}"


def _no_minus_zero(form: str) -> str:
    """The format, for numbers of which what rounds to 0 is no -0."""
    return f"+z{form[1:]}" if form.startswith("+") else f"z{form}"


def p_text(p: float) -> str:
    """A p value."""
    return "-" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


INTERVALS = (
    "Intervals (95 %) and p are about other trainings and other test cases alike: Student's t, from the variance over "
    f"seeds and that over cases. Neither is given for one seed, nor for fewer than {FEWEST_CASES} cases."
)
"""What all tables with intervals say of them."""

SIGNIFICANCE = (
    "Bold is the best mean of a column, and only where it is better than every other method so clearly that at most "
    "one report of twenty has anything in bold by chance. For that 5 % are shared out, half over the data sets with "
    "all labels, half over those with fewer; of each, Dice after the last step decides, and only where that is bold "
    "may ASSD and earlier steps be (Holm). "
    f"Nothing is bold in a column in which a method has fewer than {FEWEST_SEEDS} seeds."
)
"""What all tables with bold numbers say of them."""


def _of_scans(cell: FinishedCell) -> str:
    """Of how many scans the cases are, where those are fewer: their cases count as one in intervals and tests."""
    scans = len(cell.scans)
    return "" if scans == len(cell.cases) else f" of {plural(scans, 'scan')}, each of which counts once"


def limits(rows: Mapping[str, Cells]) -> list[str]:
    """Sentences about what cannot be said of a table's rows for want of cases or trainings."""
    texts = []
    first = next(iter(rows.values()))[0]
    if (scans := len(first.scans)) < FEWEST_CASES:
        kind = "case" if scans == len(first.cases) else "scan"
        texts.append(f"With {plural(scans, kind)}, fewer than {FEWEST_CASES}, there is no interval, no p and no bold.")
    few: dict[int, list[str]] = {}
    for name, cells in rows.items():
        if is_trained(cells) and len(cells) < FEWEST_SEEDS:
            few.setdefault(len(cells), []).append(name)
    for seeds, names in sorted(few.items()):
        what = "no interval, no p and no bold" if seeds == 1 else f"no bold, which asks for {FEWEST_SEEDS}"
        texts.append(f"With {plural(seeds, 'seed')}: {what} ({', '.join(names)}).")
    return texts


def footnotes(methods: Iterable[str]) -> list[str]:
    """What a reader has to know of the methods of a report, a line each; one that is not here now says nothing."""
    found = {}
    for method in dict.fromkeys(methods):
        try:
            found[method] = find_method(method).footnote
        except Exception:  # a module of somebody's own, of which only the results are here, may fail in any way
            continue
    return [f"`{method}`: {text}" for method, text in found.items() if text]


def span(values: Sequence[float], form: str = ".0f") -> str:
    """A number for several trainings: "300", or "75 to 300"; "-" where one does not say it."""
    if any(math.isnan(value) for value in values):
        return "-"
    return " to ".join(dict.fromkeys((format(min(values), form), format(max(values), form))))


def _short(commit: str | None) -> str:
    return f"{commit[:7]}{commit[40:]}" if commit else "unknown"
