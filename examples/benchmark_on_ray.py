"""A benchmark as Ray tasks, one for each cell, on a laptop or on a cluster: `pip install -e ".[ray]"`.

    python examples/benchmark_on_ray.py --env MECCA-Phantom-v0 --out runs/ray --methods pnet intercnn --cpus 1

All machines have to see the folder. Tasks that are lost with their machine are started again and go on from their last
checkpoint; the command itself can be stopped and started again, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ray
import torch
import tyro

from mecca_agents import PRESETS
from mecca_agents.agent import methods
from mecca_agents.benchmark import run_cell
from mecca_agents.benchmark.cells import Cell, make_cells
from mecca_agents.benchmark.plan import Plan, settle


@dataclass(frozen=True)
class Options:
    """Train and test methods as Ray tasks.

    Attributes:
        env: Environment id.
        out: Folder of the benchmark, seen by all machines.
        root: Folder of the data set, likewise.
        methods: By default all.
        seeds: Trainings of each method.
        preset: Name of the preset.
        cpus: Processor cores of a task.
        gpus: GPUs of a task, which may be a fraction.
    """

    env: str
    out: Path
    root: Path | None = None
    methods: tuple[str, ...] = ()
    seeds: int = 3
    preset: str = "fast"
    cpus: int = 1
    gpus: float = 0.0


def run_on_ray(plan: Plan, cells: Sequence[Cell], cpus: int = 1, gpus: float = 0.0) -> dict[str, str]:
    """Do every cell as a Ray task; what failed, by name, in one line each."""
    settle(plan, cells)  # before the tasks, which do not look

    @ray.remote(num_cpus=cpus, num_gpus=gpus)
    def task(cell: Cell) -> None:
        torch.set_num_threads(cpus)
        run_cell(plan, cell)

    pending = {task.remote(cell): cell for cell in cells}
    failed: dict[str, str] = {}
    while pending:
        (ready,), _ = ray.wait(list(pending))
        cell = pending.pop(ready)
        try:
            ray.get(ready)
            print(f"{cell.name}: done")
        except ray.exceptions.RayError as error:
            failed[cell.name] = str(error).strip().splitlines()[-1]
            print(f"{cell.name}: failed, {failed[cell.name]}; see {plan.failure(cell)}")
    return failed


if __name__ == "__main__":
    options = tyro.cli(Options)
    ray.init(ignore_reinit_error=True)
    shared = Plan(options.out.absolute(), options.env, PRESETS[options.preset], options.preset, root=options.root)
    names = options.methods or methods()
    raise SystemExit(
        bool(run_on_ray(shared, make_cells(names, seeds=range(options.seeds)), options.cpus, options.gpus))
    )
