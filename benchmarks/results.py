"""Train and test everything that docs/results.md reports, and write its tables.

    python -m benchmarks.results --data /data --shard 1/2 &    # two single-threaded processes share the work
    python -m benchmarks.results --data /data --shard 2/2 &
    python -m benchmarks.results --data /data                  # trains what is missing, then writes the tables

A cell is one training and its test. It is trained in a run folder of its own, which a stopped command resumes; when it
is tested, `docs/results/CELL.csv` holds every case and step and `docs/results/CELL.json` what belongs to the whole of
it. What is there already is not done again.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mecca_agents import PRESETS, evaluate, resume, train
from mecca_agents.evaluation import COLUMNS, result_row
from mecca_agents.reliability import Reliability
from mecca_agents.runs import read_config, write_rows
from mecca_agents.statistics import bootstrap_interval
from mecca_env.atomic import atomically

DATASETS = {
    "hippocampus": ("MECCA-Hippocampus-v0", "Task04_Hippocampus"),
    "leftatrium": ("MECCA-LeftAtrium-v0", "LeftAtrium2018"),
}
SWITCHES = {"self_adaptive_reward": "r", "interaction_guide": "g", "simulated_labels": "l"}
TABLE_5 = {"none": "", "reward": "r", "guide": "g", "labels": "l", "reward-guide": "rg", "all": "rgl"}
"""The rows of Table 5: which of the switches are on."""
NAMES = {
    "none": "none",
    "reward": "self-adaptive reward",
    "guide": "interaction guide",
    "labels": "simulated labels",
    "reward-guide": "reward and guide",
    "all": "all three",
}
PRESET = "fast"
CURVES = ("dice", "return", "entropy", "misunderstanding", "confidence_accuracy", "mask_share", "simulated_accuracy")

DOCUMENT = Path(__file__).parents[1] / "docs" / "results.md"
BEGIN, END = "<!-- tables, written by benchmarks.results -->", "<!-- end of tables -->"

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """One training and its test.

    Attributes:
        dataset: Key of `DATASETS`.
        method: Name of the method.
        seed: Seed of everything.
        fraction: Share of the training cases that are labelled.
        on: Key of `TABLE_5`, the switches of MECCA that are on.
    """

    dataset: str
    method: str
    seed: int
    fraction: float = 1.0
    on: str = "all"

    @property
    def name(self) -> str:
        """Name of its files."""
        labelled = "" if self.fraction == 1.0 else f"-{100 * self.fraction:g}-{self.on}"
        return f"{self.dataset}-{self.method}{labelled}-seed{self.seed}"


HIPPOCAMPUS = {
    (method, seed): Cell("hippocampus", method, seed) for method in ("mecca", "iter-mrl") for seed in range(3)
}
LEFT_ATRIUM = {(method, 0): Cell("leftatrium", method, 0) for method in ("mecca", "iter-mrl")}
QUARTER = {on: Cell("hippocampus", "mecca", 0, 0.25, on) for on in TABLE_5}
CELLS = (  # in an order that gives two shards the same work
    *(HIPPOCAMPUS["mecca", 0], HIPPOCAMPUS["iter-mrl", 0]),
    *(QUARTER["reward"], QUARTER["none"], QUARTER["labels"], QUARTER["guide"]),
    *(LEFT_ATRIUM["iter-mrl", 0], QUARTER["all"], QUARTER["reward-guide"], LEFT_ATRIUM["mecca", 0]),
    *(HIPPOCAMPUS["mecca", 1], HIPPOCAMPUS["iter-mrl", 1], HIPPOCAMPUS["iter-mrl", 2], HIPPOCAMPUS["mecca", 2]),
)


def run_cell(cell: Cell, data: Path, runs: Path, results: Path) -> None:
    """Train, or go on training, and test; the results appear when they are complete."""
    env, folder = DATASETS[cell.dataset]
    run = runs / cell.name
    if (run / "config.json").exists():
        resume(run)
    else:
        on = TABLE_5[cell.on]
        preset = replace(PRESETS[PRESET], **{name: initial in on for name, initial in SWITCHES.items()})
        settings = {} if cell.fraction == 1.0 else {"labelled_fraction": cell.fraction}
        train(cell.method, env, run, preset=preset, root=data / folder, settings=settings, seed=cell.seed)
    reliability = Reliability()
    rows = [result_row(result) for result in evaluate(run, observers=[reliability])]
    config = read_config(run)
    about = {
        "preset": asdict(config.preset),
        "settings": config.settings,
        "train_cases": len(config.train_cases),
        "test_cases": len({row["case"] for row in rows}),
        "minutes": round(float(_metrics(run)[-1]["seconds"]) / 60, 1),
        "threads": torch.get_num_threads(),
        "commit": config.commit,
        "auroc": _rounded(reliability.auroc()) if reliability.voxels else None,
        "calibration_error": _rounded(reliability.calibration_error()) if reliability.voxels else None,
        "right": _rounded(reliability.right) if reliability.voxels else None,
    }
    about["curve"] = curve(run)
    about["seconds_per_step"] = _rounded(float(np.median([float(row["seconds"]) for row in rows])))
    text = json.dumps(about, indent=2) + "\n"
    atomically(results / f"{cell.name}.json", lambda path: path.write_text(text, encoding="utf-8"))
    write_rows(results / f"{cell.name}.csv", COLUMNS, rows)  # last: it says that the cell is done


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def curve(run: Path) -> dict[str, list[float]]:
    """The log's numbers, averaged over each tenth of the training."""
    rows = _metrics(run)
    bounds = np.linspace(0, len(rows), 11).astype(int)
    return {
        key: [_rounded(float(np.mean([float(row[key]) for row in rows[a:b]]))) for a, b in pairwise(bounds)]
        for key in CURVES
        if key in rows[0]
    }


def _metrics(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


class Done:
    """The cells that are done, and what they reached.

    Args:
        folder: Where the results lie.
        cells: Which of them to read.
    """

    def __init__(self, folder: Path, cells: Sequence[Cell] = CELLS) -> None:
        self.rows: dict[Cell, list[dict[str, str]]] = {}
        self.about: dict[Cell, dict[str, Any]] = {}
        for cell in cells:
            if (folder / f"{cell.name}.csv").exists():
                with (folder / f"{cell.name}.csv").open(newline="") as file:
                    self.rows[cell] = list(csv.DictReader(file))
                self.about[cell] = json.loads((folder / f"{cell.name}.json").read_text())

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

    def curves(self, key: str, lines: Mapping[str, Cell]) -> str:
        """A Markdown table of one number of the log, in per cent, over the tenths of the training."""
        head = ["", *(f"to {10 * tenth} %" for tenth in range(1, 11))]
        text = [_line(head), _line(["---"] * len(head))]
        for label, cell in lines.items():
            values = self.about.get(cell, {}).get("curve", {}).get(key)
            if values is not None:
                text.append(_line([label, *(f"{100 * value:.1f}" for value in values)]))
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
        text += [
            f"### {title}, all cases labelled",
            done.table({"MECCA": mecca, "without confidence (IteR-MRL)": plain}),
            f"MECCA minus IteR-MRL, Dice % after step 5, paired by case: {done.difference(mecca, plain)}",
        ]
    text += [
        "### Hippocampus, a quarter of the cases labelled (Table 5)",
        done.table({NAMES[on]: [cell] for on, cell in QUARTER.items()}),
        'Dice % after step 5 minus that of the row "none", paired by case:',
        "\n".join(
            f"- {NAMES[on]}: {done.difference([cell], [QUARTER['none']])}"
            for on, cell in QUARTER.items()
            if on != "none"
        ),
        "### How the trainings went",
        "Dice % after step 5 on the training cases, actions sampled, averaged over each tenth of the training:",
        done.curves("dice", named),
        "Share (%) of the unlabelled voxels that are learned from (M of Eq. 11):",
        done.curves("mask_share", named),
        "Simulated labels among them that are right (%):",
        done.curves("simulated_accuracy", named),
        "Actions whose direction the confidence network judges rightly (%):",
        done.curves("confidence_accuracy", named),
    ]
    return "\n\n".join(text)


def write_document(text: str, path: Path = DOCUMENT) -> None:
    """Put the tables into the document, between its two marks."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    whole = f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"
    atomically(path, lambda temporary: temporary.write_text(whole, encoding="utf-8"))


def _line(columns: Sequence[str]) -> str:
    return "| " + " | ".join(columns) + " |"


def main() -> None:
    """Run the cells of this shard, then write the tables of all that is done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with " + ", ".join(d for _, d in DATASETS.values())
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/results"))
    parser.add_argument("--results", type=Path, default=DOCUMENT.parent / "results")
    parser.add_argument("--shard", default="1/1", help="i/n: every n-th of the cells, from the i-th")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    part, parts = (int(number) for number in options.shard.split("/"))
    options.results.mkdir(parents=True, exist_ok=True)
    for cell in CELLS[part - 1 :: parts]:
        if not (options.results / f"{cell.name}.csv").exists():
            print(f"--- {cell.name}", file=sys.stderr, flush=True)
            run_cell(cell, options.data, options.runs, options.results)
    write_document(tables(Done(options.results)))


if __name__ == "__main__":
    main()
