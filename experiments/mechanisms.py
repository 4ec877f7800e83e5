"""Whether MECCA's mechanisms help, on training cases of the hippocampus that are kept out of the training.

    python -m experiments.mechanisms --data /data/Task04_Hippocampus                 # some hours on two cores
    python -m experiments.mechanisms --data /data/Task04_Hippocampus --shard 1/2     # one of two processes
    python -m experiments.mechanisms --data /data/Task04_Hippocampus --table         # what there is so far, in the page

Every row is trained with the preset `brief` from eight seeds, which share nothing, and compared with IteR-MRL of the
same labelled cases: as many optimiser steps, as many labelled episodes. A mechanism is on in the presets where it gains
half a point of Dice at the last step with an interval above 0.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import ttest_rel

from benchmarks.document import DOCS, write_document
from experiments.validation import Trial
from mecca_agents.benchmark.cells import shard_of
from mecca_agents.presets import MECHANISMS
from mecca_agents.tables import grid

PAGE = DOCS / "choices.md"
MARKS = ("<!-- mechanisms, written by experiments.mechanisms -->", "<!-- end of mechanisms -->")
SEEDS = tuple(range(8))
PRESET = "brief"
AS_IT_WAS: dict[str, Any] = {
    "confidence_head": "action",
    "confidence_channels": 8,
    "confidence_steps": 2,
    "reward_weight": "action",
}
"""The confidence network as it was until it got its signed head: half as wide, from two steps of five."""

NONE = dict.fromkeys(MECHANISMS, False)
REWARD, GUIDE, LABELS = (NONE | {name: True} for name in NONE)


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        name: What it is called there.
        method: Name of the method.
        setting: What differs from the preset.
        labelled_cases: How many; None: all.
    """

    name: str
    method: str = "mecca"
    setting: dict[str, Any] = field(default_factory=dict)
    labelled_cases: int | None = None

    def trial(self, data: Path, runs: Path) -> Trial:
        """What all its trainings have in common."""
        return Trial(data, method=self.method, preset=PRESET, runs=runs)

    def settings(self, seed: int) -> dict[str, Any]:
        """What differs from the preset; every seed draws its own labelled cases, the same for all rows."""
        few = {} if self.labelled_cases is None else {"labelled_cases": self.labelled_cases, "labelled_draw": seed}
        return {**self.setting, **few}


def _few(labelled: int) -> tuple[Row, ...]:
    return (
        Row("IteR-MRL", "iter-mrl", {}, labelled),
        Row("MECCA, simulated labels as they were", "mecca", LABELS | AS_IT_WAS, labelled),
        Row("MECCA, simulated labels by the signed head", "mecca", LABELS, labelled),
    )


PARTS: dict[str, tuple[Row, ...]] = {
    "all cases labelled": (
        Row("IteR-MRL", "iter-mrl"),
        Row("MECCA as it was (reward and guide)", "mecca", dict(MECHANISMS) | AS_IT_WAS),
        Row("MECCA, reward alone, one weight a voxel, beta 1", "mecca", REWARD | {"beta": 1.0}),
        Row("MECCA, reward alone, one weight a voxel, beta 3", "mecca", REWARD | {"beta": 3.0}),
        Row("MECCA, guide alone", "mecca", GUIDE),
        Row("IteR-MRL, all-actions gradient", "iter-mrl-expected"),
    ),
    "2 labelled cases": _few(2),
    "4 labelled cases": _few(4),
}


def table(data: Path, runs: Path) -> str:
    """The rows of what is done, as Markdown."""
    head = ["", "seeds", "Dice %, step 1", "step 5", "wrong way, %", "gain [95 % interval]", "p"]
    parts = []
    for name, rows in PARTS.items():
        found = [_found(row, data, runs) for row in rows]
        lines = [[row.name, *_texts(of, found[0])] for row, of in zip(rows, found, strict=True) if of]
        parts.append(grid([name, *head[1:]], lines, padded=False))
    return "\n\n".join(parts)


def _found(row: Row, data: Path, runs: Path) -> dict[int, list[float]]:
    """What is measured already, by seed."""
    trial = row.trial(data, runs)
    return {seed: found for seed in SEEDS if (found := trial.found(row.settings(seed), seed)) is not None}


def _texts(of: dict[int, list[float]], plain: dict[int, list[float]]) -> list[str]:
    values = np.array(list(of.values()))
    texts = [str(len(of)), *(f"{values[:, column].mean():.2f}" for column in (0, -2, -1))]
    seeds = sorted(set(of) & set(plain))
    if of is plain or len(seeds) < 2:
        return [*texts, "-", "-"]
    one, other = (np.array([each[seed][-2] for seed in seeds]) for each in (of, plain))
    test = ttest_rel(one, other)
    low, high = test.confidence_interval()
    return [*texts, f"{np.mean(one - other):+.2f} [{low:+.2f}, {high:+.2f}]", f"{test.pvalue:.3f}"]


def main() -> None:
    """Train what this shard lacks, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the hippocampus data set")
    parser.add_argument("--runs", type=Path, default=Path("runs/mechanisms"))
    parser.add_argument("--shard", default="1/1", help="i/n: every n-th of the runs, from the i-th")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--part", choices=tuple(PARTS), action="append", help="only this part")
    parser.add_argument("--table", action="store_true", help="only write what there is so far into docs/choices.md")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if not options.table:
        rows = [row for part in options.part or PARTS for row in PARTS[part]]
        for seed, row in shard_of([(seed, row) for seed in SEEDS for row in rows], options.shard):
            print(f"--- {row.name}, {row.labelled_cases or 'all'} labelled, seed {seed}", file=sys.stderr, flush=True)
            row.trial(options.data, options.runs).measured(row.settings(seed), seed)
    write_document(table(options.data, options.runs), PAGE, MARKS)


if __name__ == "__main__":
    main()
