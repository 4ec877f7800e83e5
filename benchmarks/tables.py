"""The tables of docs/results.md, from the files that `benchmarks.results` leaves for each cell."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cells import (
    CELLS,
    CONFIDENCE_SETTINGS,
    EARLY,
    FEW,
    HALF,
    HIPPOCAMPUS,
    LEFT_ATRIUM,
    PRESET,
    QUARTER,
    UNGUIDED,
    UNLABELLED_SETTINGS,
    Cell,
)
from mecca_agents.statistics import bootstrap_interval
from mecca_env.atomic import atomically

DOCUMENT = Path(__file__).parents[1] / "docs" / "results.md"
BEGIN, END = "<!-- tables, written by benchmarks.results -->", "<!-- end of tables -->"

NAMES = {
    "none": "none",
    "reward": "self-adaptive reward",
    "guide": "interaction guide",
    "labels": "simulated labels",
    "reward-guide": "reward and guide",
    "all": "all three",
}

Values = NDArray[np.float64]


class Done:
    """The cells that are done, and what they reached.

    Args:
        folder: Where the results lie.
        cells: Which of them to read.

    Raises:
        ValueError: They were not all trained with the same settings, what the cells change aside.
    """

    def __init__(self, folder: Path, cells: Sequence[Cell] = CELLS) -> None:
        self.rows: dict[Cell, list[dict[str, str]]] = {}
        self.about: dict[Cell, dict[str, Any]] = {}
        for cell in cells:
            if (folder / f"{cell.name}.csv").exists():
                with (folder / f"{cell.name}.csv").open(newline="") as file:
                    self.rows[cell] = list(csv.DictReader(file))
                self.about[cell] = json.loads((folder / f"{cell.name}.json").read_text())
        seen: dict[str, Any] = {}
        for cell in self.about:
            for key, value in self._common(cell).items():
                if seen.setdefault(key, value) != value:
                    found = f"{key} is {seen[key]} and {value}"
                    raise ValueError(f"{folder}: expected results of one preset, {found}; remove those of the old one")

    def _common(self, cell: Cell) -> dict[str, Any]:
        """The settings it has to share with other cells: neither what it changes nor what it has no use for."""
        unused: list[str] = []
        if not cell.has_confidence:
            unused += CONFIDENCE_SETTINGS
        if not cell.simulates_labels:
            unused += UNLABELLED_SETTINGS
        preset = self.about[cell]["preset"]
        return {key: value for key, value in preset.items() if key not in cell.changes and key not in unused}

    def caption(self, cells: Iterable[Cell]) -> str:
        """What a table was made of: cases, grid, training, time, commits."""
        about = [self.about[cell] for cell in cells if cell in self.about]
        if not about:
            return "Not done yet."
        preset = about[0]["preset"]
        minutes, threads = sorted(a["minutes"] for a in about), {a["threads"] for a in about}
        took = (f"{minutes[0]:.0f}", f"{minutes[-1]:.0f}")
        commits = sorted({a["commit"][:7] + a["commit"][40:] if a["commit"] else "none" for a in about})
        return (
            f"{about[0]['test_cases']} test cases, {about[0]['train_cases']} training cases; "
            f"grid {' x '.join(map(str, preset['shape']))}, preset `{PRESET}`: {preset['updates']} updates of "
            f"{preset['num_envs']} episodes, {' to '.join(dict.fromkeys(took))} minutes a training on "
            f"{' or '.join(map(str, sorted(threads)))} thread; commit {', '.join(commits)}."
        )

    def by_case(self, cells: Sequence[Cell], column: str, step: int | None = 5) -> Values:
        """One number for each case, averaged over cells (seeds) and, with step None, over steps, in order of name."""
        found: dict[str, list[float]] = {}
        for cell in cells:
            for row in self.rows[cell]:
                if step is None or int(row["step"]) == step:
                    found.setdefault(row["case"], []).append(float(row[column]))
        return np.array([np.mean(found[case]) for case in sorted(found)])

    def table(self, lines: Mapping[str, Sequence[Cell]]) -> str:
        """A Markdown table with a line for each label; cells that are not done are left out, and said to be."""
        head = [
            "",
            "seeds",
            *(f"Dice % {step}" for step in range(1, 6)),
            "5, 95 % interval",
            "ASSD",
            "misund. %",
            "AUROC",
        ]
        text = [_line(head), _line(["---"] * len(head))]
        for label, cells in lines.items():
            done = [cell for cell in cells if cell in self.rows]
            if not done:
                text.append(_line([label, "0 of " + str(len(cells)), *["-"] * (len(head) - 2)]))
                continue
            last = 100 * self.by_case(done, "dice")
            low, high = bootstrap_interval(last)
            aurocs = [self.about[cell]["auroc"] for cell in done if self.about[cell]["auroc"] is not None]
            text.append(
                _line(
                    [
                        label,
                        str(len(done)) if len(done) == len(cells) else f"{len(done)} of {len(cells)}",
                        *(f"{100 * self.by_case(done, 'dice', step).mean():.2f}" for step in range(1, 6)),
                        f"[{low:.2f}, {high:.2f}]",
                        f"{self.by_case(done, 'assd').mean():.3f}",
                        f"{100 * self.by_case(done, 'misunderstanding', None).mean():.2f}",
                        f"{np.mean(aurocs):.3f}" if aurocs else "",
                    ]
                )
            )
        return "\n".join(text)

    def by_seed(self, cells: Sequence[Cell]) -> str:
        """Mean Dice in per cent after step 5, seed by seed."""
        return ", ".join(f"{100 * self.by_case([cell], 'dice').mean():.2f}" for cell in cells if cell in self.rows)

    def curves(self, key: str, lines: Mapping[str, Cell], percent: bool = True) -> str:
        """A Markdown table of one number of the log, in per cent or as it is, over the tenths of the training."""
        head = ["", *(f"to {10 * tenth} %" for tenth in range(1, 11))]
        text = [_line(head), _line(["---"] * len(head))]
        for label, cell in lines.items():
            values = self.about.get(cell, {}).get("curve", {}).get(key)
            if values is not None:
                text.append(_line([label, *(f"{100 * value:.1f}" if percent else f"{value:.2f}" for value in values)]))
        return "\n".join(text)

    def difference(self, one: Sequence[Cell], other: Sequence[Cell]) -> str:
        """How much higher the Dice of `one` is at the last step, case by case, on seeds that both have done."""
        pairs = [(a, b) for a, b in zip(one, other, strict=True) if a in self.rows and b in self.rows]
        if not pairs:
            return "not done"
        gap = 100 * (self.by_case([a for a, _ in pairs], "dice") - self.by_case([b for _, b in pairs], "dice"))
        low, high = bootstrap_interval(gap)
        return f"{gap.mean():+.2f} [{low:+.2f}, {high:+.2f}]"


def tables(done: Done) -> str:
    """All tables, as Markdown."""
    named = {cell.name: cell for cell in CELLS}
    text = []
    for title, cells in (("Hippocampus", HIPPOCAMPUS), ("Left atrium", LEFT_ATRIUM)):
        mecca, plain = ([cell for cell in cells.values() if cell.method == method] for method in ("mecca", "iter-mrl"))
        lines = {"MECCA": mecca, "without confidence (IteR-MRL)": plain}
        if cells is HIPPOCAMPUS:
            lines["MECCA without its guide"] = list(UNGUIDED.values())
        text += [
            f"### {title}, all cases labelled",
            done.caption([cell for line in lines.values() for cell in line]),
            done.table(lines),
            "Dice % after step 5 minus that of IteR-MRL, paired by case"
            + ("; in brackets by seed:" if len(mecca) > 1 else ":"),
            "\n".join(
                f"- {label}: {done.difference(line, plain)}"
                + (f" ({done.by_seed(line)} against {done.by_seed(plain)})" if len(line) > 1 else "")
                for label, line in lines.items()
                if line is not plain
            ),
        ]
    text += [
        "### Hippocampus, a quarter of the cases labelled (Table 5)",
        done.caption(QUARTER.values()),
        done.table({NAMES[on]: [cell] for on, cell in QUARTER.items()}),
        'Dice % after step 5 minus that of the row "none", paired by case:',
        "\n".join(
            f"- {NAMES[on]}: {done.difference([cell], [QUARTER['none']])}"
            for on, cell in QUARTER.items()
            if on != "none"
        ),
        "### What simulated labels are worth",
        "Reward and guide are off but where it says so; the shares are those of the labelled cases. Two episodes a "
        "batch are what is left of four where every second one has simulated labels. These are learned from after a "
        "quarter of the training, or from the first update on, as Eq. 11 has it.",
        done.caption([*QUARTER.values(), *FEW.values(), HALF, *EARLY.values()]),
        done.table(
            {
                "100 % labelled": [HIPPOCAMPUS["iter-mrl", 0]],
                "25 %": [QUARTER["none"]],
                "25 %, two episodes a batch": [HALF],
                "25 %, simulated labels": [QUARTER["labels"]],
                "25 %, from the first update on": [EARLY[0.25, "labels"]],
                "25 %, all three mechanisms": [QUARTER["all"]],
                "25 %, all three, from the first update on": [EARLY[0.25, "all"]],
                "2.5 % (4 cases)": [FEW["none"]],
                "2.5 % (4 cases), simulated labels": [FEW["labels"]],
                "2.5 % (4 cases), from the first update on": [EARLY[0.025, "labels"]],
            }
        ),
        "### How the trainings went",
        "Dice % after step 5 on the training cases, actions sampled, averaged over each tenth of the training:",
        done.curves("dice", named),
        "Share (%) of the unlabelled voxels that are learned from (M of Eq. 11):",
        done.curves("mask_share", named),
        "Simulated labels among them that are right (%):",
        done.curves("simulated_accuracy", named),
        "Share (%) of the unlabelled foreground that is learned from:",
        done.curves("mask_share_foreground", named),
        "Simulated labels among it that are right (%):",
        done.curves("simulated_accuracy_foreground", named),
        "Entropy of the policy (nats, at most ln 6 = 1.79):",
        done.curves("entropy", named, percent=False),
        "Actions whose direction the confidence network judges rightly (%):",
        done.curves("confidence_accuracy", named),
    ]
    return "\n\n".join(text)


def write_document(text: str, path: Path = DOCUMENT, marks: tuple[str, str] = (BEGIN, END)) -> None:
    """Put the tables into the document, between its two marks."""
    begin, end = marks
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    whole = f"{before}{begin}\n\n{text}\n\n{end}{after}"
    atomically(path, lambda temporary: temporary.write_text(whole, encoding="utf-8"))


def _line(columns: Sequence[str]) -> str:
    return "| " + " | ".join(columns) + " |"
