"""Every table of docs/results.md, from an empty folder.

    python -m experiments.results --data /data

As two single-threaded processes side by side, stopped and started again at will:

    python -m experiments.results --data /data --shard 1/2 &
    python -m experiments.results --data /data --shard 2/2 &
    wait
    python -m experiments.results --data /data --timing       # Table 6, when nothing else runs

It does what these commands do, with the most telling cells first:

    mecca benchmark --preset brief --env MECCA-Hippocampus-v0 --root /data/Task04_Hippocampus --seeds 5 ...
    mecca benchmark --preset brief --env MECCA-LeftAtrium-v0 --root /data/LeftAtrium2018 --seeds 5 ...
    ...
    mecca report docs/results
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Literal

import torch

from benchmarks.document import DOCS, write_document
from mecca_agents import PRESETS, methods
from mecca_agents.benchmark import benchmark
from mecca_agents.benchmark.cells import ABLATION, Cell, make_cells, shard_of
from mecca_agents.benchmark.plan import Plan
from mecca_agents.benchmark.timing import time_methods
from mecca_agents.report import report
from mecca_agents.runtime.stopping import Stopped

PAGE = DOCS / "results.md"
MARKS = (
    ("<!-- overview, written by experiments.results -->", "<!-- end of overview -->"),
    ("<!-- tables, written by experiments.results -->", "<!-- end of tables -->"),
)
"""What leads the page, and what follows."""

FLOORS = ("random", "oracle", "mean-mask", "ellipsoid")
"""What bounds every table."""
FEW = (*FLOORS, "unet", "intercnn", "iter-mrl", "iter-mrl-expected", "mecca")
"""Methods on the small data sets and on the paper's grid."""
LABELS = ("mean-mask", "unet", "ua-mt", "intercnn", "iter-mrl", "mecca")
"""Methods that are trained with fewer labels, too (Tables 3 and 4)."""
SIMULATED = [row for row, (_, _, labels) in ABLATION.items() if labels]
"""Rows of Table 5 that learn from unlabelled cases."""


@dataclass(frozen=True)
class Part:
    """Cells of one data set.

    Attributes:
        env: Environment id that is trained on.
        folder: Of the data set, below `--data`; "" for the phantom.
        methods: Which.
        seeds: Which.
        labelled_cases: With so many labelled cases each, in place of all.
        ablation: Whether with the rows of Table 5.
        label: Foreground values.
        test_env: Environment id that is tested on, where another.
        test_folder: Of its data set.
        cases: Training cases at most.
        preset: Name of the preset.
        name: Of the data set in tables, where its environment's does not say it.
    """

    env: str
    folder: str
    methods: Sequence[str]
    seeds: Sequence[int] = range(5)
    labelled_cases: Sequence[int] = ()
    ablation: bool = False
    label: Literal["each"] | None = None
    test_env: str | None = None
    test_folder: str = ""
    cases: int | None = None
    preset: str = "brief"
    name: str | None = None

    def plan(self, data: Path, out: Path) -> Plan:
        """As the benchmark takes it."""
        return Plan(
            out,
            self.env,
            PRESETS[self.preset],
            self.preset,
            root=data / self.folder if self.folder else None,
            label=self.label,
            cases=self.cases,
            test_env=self.test_env,
            test_root=data / self.test_folder if self.test_folder else None,
            test_split="all" if self.test_env else "test",
            device="cpu",
            name=self.name,
        )

    def cells(self) -> list[Cell]:
        """All of them, but for rows of Table 5 that others stand for: no case unlabelled, no simulated label."""
        fractions = () if self.labelled_cases else (1.0,)
        cells = make_cells(self.methods, fractions, self.seeds, self.ablation, self.labelled_cases)
        return [cell for cell in cells if not (cell.all_labelled and cell.variant in SIMULATED)]


HIPPOCAMPUS = partial(Part, "MECCA-Hippocampus-v0", "Task04_Hippocampus")
PARTS = (
    HIPPOCAMPUS(methods()),
    Part("MECCA-LeftAtrium-v0", "LeftAtrium2018", methods()),
    Part("MECCA-Liver-v0", "CHAOS_T2", FEW, range(3), label="each", name="CHAOS"),
    HIPPOCAMPUS(LABELS, labelled_cases=(1, 2, 4, 8)),
    Part("MECCA-Phantom-v0", "", methods(), range(3), test_env="MECCA-BraTS-v0", test_folder="BraTS", cases=64),
    HIPPOCAMPUS((), ablation=True),
    HIPPOCAMPUS((), labelled_cases=(4,), ablation=True),
    Part("MECCA-LeftAtrium-v0", "LeftAtrium2018", FEW, range(1), preset="paper-grid", name="LeftAtrium-paper-grid"),
)
"""In this order, so that what is compared first is there first."""


def write_page(out: Path) -> None:
    """Put the report of a benchmark into the page."""
    for text, marks in zip(page_texts(report(out, out / "report")), MARKS, strict=True):
        write_document(text, PAGE, marks)


def page_texts(path: Path) -> tuple[str, str]:
    """A report as two parts of the page: its overview, and its other tables a level further down."""
    text = path.read_text(encoding="utf-8").replace("](<", "](<results/report/")
    (_, summary), (_, lead), *tables = (part.split("\n", 1) for part in text.split("\n## "))
    lower = ("\n".join([f"### {title}", body.replace("\n### ", "\n#### ")]) for title, body in tables)
    return lead.strip(), "\n\n".join(part.strip() for part in (summary, *lower))


def main() -> int:
    """Run the cells of this shard, then write the tables of all that is done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    folders = sorted({folder for part in PARTS for folder in (part.folder, part.test_folder) if folder})
    parser.add_argument("--data", type=Path, required=True, help="folder with " + ", ".join(folders))
    parser.add_argument("--out", type=Path, default=DOCS / "results")
    parser.add_argument("--shard", default="1/1", help="i/n: every n-th of the cells, from the i-th")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--timing", action="store_true", help="only measure Table 6, and write the tables")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    failed = False
    if options.timing:
        print(time_methods(PARTS[0].plan(options.data, options.out), PARTS[0].cells()))
    else:
        work = [(number, cell) for number, part in enumerate(PARTS) for cell in part.cells()]
        for number, cells in groupby(shard_of(work, options.shard), key=itemgetter(0)):
            plan = PARTS[number].plan(options.data, options.out)
            try:
                outcome = benchmark(plan, [cell for _, cell in cells])
            except Stopped as stopped:
                print(stopped, file=sys.stderr)
                return 128 + stopped.signal
            failed |= bool(outcome.failed)
            print(plan.folder.name, outcome.text(), file=sys.stderr, flush=True)
    write_page(options.out)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
