"""Who is of use under which prompts: trained for the paper's and for mixed ones, tested under three protocols.

    python -m experiments.prompts --data /data                 # some hours on one core
    python -m experiments.prompts --data /data --shard 1/2     # one of two processes
    python -m experiments.prompts --data /data --table         # what there is so far, in the page

Every run is trained with the preset `brief` on the training cases and tested on the test cases, after each prediction
on the scan's own grid. A network that was trained without signs or a box sees none in a test (`evaluation.adapting`);
under the paper's protocol, whose clicks have no sign, one that was trained with signs is told the label's.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.document import DOCS, write_document
from mecca_agents import PRESETS, evaluate_agent, load_agent, resume, train
from mecca_agents.benchmark.cells import shard_of
from mecca_agents.evaluation import Result
from mecca_agents.tables import grid
from mecca_env.atomic import write_text

PAGE = DOCS / "protocols.md"
MARKS = ("<!-- prompts, written by experiments.prompts -->", "<!-- end of prompts -->")
SEEDS = (0, 1, 2)
TESTED = ("paper", "one-click", "cvpr25")
DONE = "prompts.json"


@dataclass(frozen=True)
class Data:
    """A data set: its name in the table, environment id, folder and foreground."""

    name: str
    env: str
    folder: str
    label: Any = None


DATA = (
    Data("hippocampus", "MECCA-Hippocampus-v0", "Task04_Hippocampus"),
    Data("CHAOS, four organs", "MECCA-Liver-v0", "CHAOS_T2", "each"),
)


@dataclass(frozen=True)
class Trained:
    """What is trained: its name in the table, and the settings of its environment."""

    name: str
    method: str
    settings: dict[str, Any] = field(default_factory=dict)


METHODS = ("intercnn", "iter-mrl")
PROTOCOLS = tuple(
    Trained(f"{method}, trained for {protocol}", method, {} if protocol == "paper" else {"protocol": protocol})
    for method in METHODS
    for protocol in ("paper", "mixed")
)
HINTS = tuple(
    Trained(f"iter-mrl, {hint} hints", "iter-mrl", {"protocol": "one-click", "hint": hint})
    for hint in ("gaussian", "edt")
)


@dataclass(frozen=True)
class Run:
    """One training and its tests."""

    data: Data
    trained: Trained
    seed: int
    tested: tuple[str, ...]

    def folder(self, runs: Path) -> Path:
        """Where it is kept."""
        parts = (self.data.folder, self.trained.name.replace(", ", "-").replace(" ", "_"), f"seed{self.seed}")
        return runs / "-".join(parts)

    def found(self, runs: Path) -> dict[str, list[float]] | None:
        """Mean Dice of scans on their own grid after each prediction, by protocol, in per cent; None: not done yet."""
        path = self.folder(runs) / DONE
        return json.loads(path.read_text()) if path.exists() else None

    def do(self, root: Path, runs: Path) -> None:
        """Train it, or go on, and test it."""
        folder = self.folder(runs)
        if (folder / "config.json").exists():
            resume(folder)
        else:
            train(
                self.trained.method,
                self.data.env,
                folder,
                preset=PRESETS["brief"],
                root=root / self.data.folder,
                label=self.data.label,
                settings=self.trained.settings,
                checkpoint_every=20,
                seed=self.seed,
                overwrite=folder.exists(),  # killed before it had begun
            )
        agent, config = load_agent(folder)
        signed = {"signed": True} if self.trained.settings else {}
        found = {
            protocol: by_step(evaluate_agent(agent, config, settings={"protocol": protocol, **signed}))
            for protocol in self.tested
        }
        write_text(folder / DONE, json.dumps(found))


def by_step(results: list[Result]) -> list[float]:
    """Mean Dice on the scans' own grids after each prediction, in per cent."""
    steps = sorted({result.step for result in results})
    return [round(100 * float(np.mean([r.dice_scan for r in results if r.step == step])), 2) for step in steps]


def runs_of(trained: tuple[Trained, ...], data: tuple[Data, ...], tested: tuple[str, ...]) -> Iterator[Run]:
    """Every run, seed after seed."""
    for seed in SEEDS:
        for each in data:
            for one in trained:
                yield Run(each, one, seed, tested)


def every_run() -> list[Run]:
    """All that the page shows."""
    return [*runs_of(PROTOCOLS, DATA, TESTED), *runs_of(HINTS, DATA[:1], ("one-click",))]


def table(runs: Path) -> str:
    """What there is, as Markdown: Dice after the first and the last prediction, mean of the seeds."""
    parts = []
    for title, trained, data, tested in (
        ("", PROTOCOLS, DATA, TESTED),
        ("hints", HINTS, DATA[:1], ("one-click",)),
    ):
        for each in data:
            lines = []
            for one in trained:
                found = [run.found(runs) for run in runs_of((one,), (each,), tested)]
                there = [values for values in found if values is not None]
                if there:
                    cells = [_cell([values[protocol] for values in there]) for protocol in tested]
                    lines.append([one.name, str(len(there)), *cells])
            head = [f"{each.name}{', ' + title if title else ''}", "seeds", *tested]
            parts.append(grid(head, lines, padded=False))
    return "\n\n".join(parts)


def _cell(values: list[list[float]]) -> str:
    """Dice after the first and the last prediction, with the deviation of the seeds where there are several."""
    array = np.array(values)
    last = f"{array[:, -1].mean():.1f}" + (f" ± {array[:, -1].std(ddof=1):.1f}" if len(array) > 1 else "")
    return f"{array[:, 0].mean():.1f} → {last}"


def main() -> None:
    """Train what this shard lacks, or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--runs", type=Path, default=Path("runs/prompts"))
    parser.add_argument("--shard", default="1/1", help="i/n: every n-th of the runs, from the i-th")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="only write what there is so far into the page")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if not options.table:
        for run in shard_of(every_run(), options.shard):
            if run.found(options.runs) is None:
                print(f"--- {run.data.name}: {run.trained.name}, seed {run.seed}", file=sys.stderr, flush=True)
                run.do(options.data, options.runs)
    write_document(table(options.runs), PAGE, MARKS)


if __name__ == "__main__":
    main()
