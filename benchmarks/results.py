"""Train and test everything that docs/results.md reports, and write its tables.

    python -m benchmarks.results --data /data

As two single-threaded processes side by side:

    python -m benchmarks.results --data /data --shard 1/2 & python -m benchmarks.results --data /data --shard 2/2 & wait

A cell is one training and its test. It is trained in a run folder of its own, which a stopped command resumes; when it
is tested, `docs/results/CELL.csv` holds every case and step and `docs/results/CELL.json` what belongs to the whole of
it. What is there already is not done again.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from benchmarks.cells import CELLS, DATASETS, PRESET, Cell
from benchmarks.tables import DOCUMENT, Done, tables, write_document
from mecca_agents import PRESETS, evaluate, resume, train
from mecca_agents.evaluation import COLUMNS, result_row
from mecca_agents.reliability import Reliability
from mecca_agents.runs import read_config, write_rows
from mecca_env.atomic import atomically

CURVES = (
    *("dice", "return", "entropy", "misunderstanding", "confidence_accuracy"),
    *("mask_share", "simulated_accuracy", "mask_share_foreground", "simulated_accuracy_foreground"),
)


def run_cell(cell: Cell, data: Path, runs: Path, results: Path) -> None:
    """Train, or go on training, and test; the results appear when they are complete."""
    env, folder = DATASETS[cell.dataset]
    run = runs / cell.name
    if (run / "config.json").exists():
        resume(run)
    else:
        preset = replace(PRESETS[PRESET], **cell.changes)
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
