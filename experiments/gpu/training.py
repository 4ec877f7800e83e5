"""The paper's grid at the paper's size on a GPU: MECCA, IteR-MRL and InterCNN in bfloat16, trained and tested.

    python -m experiments.gpu.training --data /data --out runs/gpu/results

Cells of `mecca_agents.benchmark`: on SIGTERM an update is finished and a checkpoint written, and the same command goes
on from there; what is finished stays.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mecca_agents import PRESETS
from mecca_agents.benchmark import Cell, Outcome, Plan, benchmark
from mecca_agents.benchmark.cells import make_cells
from mecca_agents.presets import Preset
from mecca_agents.runtime.devices import find_device
from mecca_agents.runtime.stopping import Stopped

METHODS = ("mecca", "iter-mrl", "intercnn")
POINTS = 100
"""Points of a curve that are kept: means over so many parts of the training."""


@dataclass(frozen=True)
class DataSet:
    """A data set.

    Attributes:
        env: Environment id.
        folder: Below `--data`; "" for a built-in one.
        name: Of its results.
    """

    env: str
    folder: str
    name: str


SETS = (
    DataSet("MECCA-LeftAtrium-v0", "LeftAtrium2018", "LeftAtrium-GPU"),
    DataSet("MECCA-Hippocampus-v0", "Task04_Hippocampus", "Hippocampus-GPU"),
)
"""In this order, as far as they are there."""
TINY = (DataSet("MECCA-Phantom-v0", "", "Phantom-tiny"),)
"""For a try on any machine."""

PRESET_NAME = "paper-grid"
PRESET = PRESETS[PRESET_NAME].replace(channels=64, num_envs=4, updates=1000, learning_rate=1e-3, precision="bf16")
"""The paper's grid with the network's usual width. Wider than what `brief` was tuned with: half of its rate."""
SMALL = PRESET.replace(shape=(12, 11, 10), channels=4, num_envs=2, updates=2, precision="float32")
"""For a try on any machine."""


def plans(options: argparse.Namespace) -> Iterator[Plan]:
    """The benchmark of each data set that is there."""
    for data in TINY if options.tiny else SETS:
        if data.folder and not (options.data / data.folder).is_dir():
            print(f"{options.data / data.folder}: not there, left out", file=sys.stderr, flush=True)
            continue
        yield Plan(
            options.out,
            data.env,
            _preset(options),
            PRESET_NAME,
            root=options.data / data.folder if data.folder else None,
            cases=4 if options.tiny else None,
            test_cases=2 if options.tiny else None,
            name=data.name,
            device=options.device,
        )


def _preset(options: argparse.Namespace) -> Preset:
    base = SMALL if options.tiny else PRESET
    if find_device(options.device).type == "cpu":
        base = base.replace(precision="float32")  # the only one that a CPU trains in
    asked = {name: getattr(options, name) for name in ("updates", "num_envs", "learning_rate")}
    return base.replace(**{name: value for name, value in asked.items() if value is not None})


def run(options: argparse.Namespace) -> list[Outcome]:
    """All cells of all data sets. Raises `mecca_agents.runtime.stopping.Stopped` when asked to stop."""
    return [benchmark(plan, cells_of(options)) for plan in plans(options)]


def cells_of(options: argparse.Namespace) -> list[Cell]:
    """Seed by seed."""
    return make_cells(options.methods, seeds=range(options.seeds))


def curves(out: Path) -> dict[str, dict[str, list[float]]]:
    """The course of every training that has begun: updates, seconds and Dice, averaged over parts of it.

    Args:
        out: Folder of the benchmarks.

    Returns:
        By data set and cell, as "LeftAtrium-GPU/mecca-100-seed0".
    """
    found = {}
    for path in sorted(out.glob("*/runs/*/metrics.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row.get("dice")]
        if rows:
            columns = {name: [float(row[name]) for row in rows] for name in ("update", "seconds", "dice")}
            found[f"{path.parents[2].name}/{path.parent.name}"] = {name: _means(v) for name, v in columns.items()}
    return found


def _means(values: list[float]) -> list[float]:
    parts = np.array_split(np.array(values), min(POINTS, len(values)))
    return [float(f"{part.mean():.5g}") for part in parts]


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the trainings."""
    parser.add_argument("--data", type=Path, default=Path(), help="folder with " + " and ".join(d.folder for d in SETS))
    parser.add_argument("--device", default="cuda", help="cuda or cpu")
    parser.add_argument("--tiny", action="store_true", help="minute networks and grids, to see whether all of it runs")
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each method")
    parser.add_argument("--updates", type=int, help=f"of each training; by default {PRESET.updates}")
    parser.add_argument("--num-envs", type=int, help=f"episodes of an update; by default {PRESET.num_envs}")
    learning_rate = PRESET.learning_rate
    parser.add_argument("--learning-rate", type=float, help=f"at the start; by default {learning_rate:g}")


def main() -> int:
    """Train and test what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments(parser)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    try:
        outcomes = run(options)
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return 128 + stopped.signal
    for outcome in outcomes:
        print(outcome.text())
    return int(not outcomes or any(outcome.failed for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
