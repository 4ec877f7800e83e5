"""Train and test every method on one data set, cell by cell; stopped at any moment, it goes on where it was.

A folder holds the benchmarks of any number of data sets, each in a folder of its own:

    OUT/Hippocampus/settings.json            what all its cells have in common
    OUT/Hippocampus/runs/CELL/               the training, which resumes
    OUT/Hippocampus/results/CELL.csv         every case and step, with the standard and with an imprecise user
    OUT/Hippocampus/results/CELL.json        what belongs to the whole cell; written last, it says that the cell is done
    OUT/Hippocampus/failed/CELL.txt          the traceback of a cell that failed, until it succeeds
"""

from __future__ import annotations

import csv
import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np
import torch

from mecca_agents.benchmark.cells import Cell
from mecca_agents.benchmark.plan import Plan, settle
from mecca_agents.evaluation.runner import COLUMNS, evaluate_agent, result_row
from mecca_agents.runs.config import is_run, read_config
from mecca_agents.runs.locking import Locked, locked
from mecca_agents.runtime.devices import find_device
from mecca_agents.runtime.stopping import Stopped
from mecca_agents.tables import write_rows
from mecca_agents.training.loop import resume, train
from mecca_env.atomic import write_text

CURVES = ("dice", "return", "entropy", "misunderstanding", "confidence_accuracy", "mask_share", "simulated_accuracy")
"""Columns of a training's log that are kept, in tenths, of those that its method logs."""


COSTS = ("optimizer_steps", "labelled_episodes")
"""Columns of a training's log that are summed: what it cost, of methods that log it."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of the cells that were asked for, by name.

    Attributes:
        done: Trained and tested now.
        there: Done before.
        elsewhere: Another process works on them.
        failed: And why, in one line each.
    """

    done: tuple[str, ...] = ()
    there: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """For people."""
        counts = {"done": self.done, "done before": self.there, "being done elsewhere": self.elsewhere}
        lines = [f"{len(names)} {what}" for what, names in counts.items() if names]
        lines += [f"{len(self.failed)} failed"] if self.failed else []
        return "\n".join(
            [f"cells: {', '.join(lines) or 'none'}", *(f"failed: {n}: {why}" for n, why in self.failed.items())]
        )


def benchmark(plan: Plan, cells: Sequence[Cell], stream: TextIO | None = None) -> Outcome:
    """Do every cell that is missing. One that fails does not stop the others.

    Args:
        plan: What they have in common.
        cells: Which.
        stream: Where progress is shown; None takes standard error.

    Returns:
        What became of them.

    Raises:
        mecca_agents.runs.RunError: The folder holds cells of other settings, or cannot be written.
        mecca_env.data.base.DataError: The data set cannot be used.
        ValueError: A setting is out of range.
        mecca_agents.runtime.stopping.Stopped: Ctrl-C or SIGTERM came; the same command goes on.
    """
    stream = stream or sys.stderr
    settle(plan, cells)
    done, there, elsewhere, failed = [], [], [], {}
    for number, cell in enumerate(cells, 1):
        if plan.status(cell) == "done":
            there.append(cell.name)
            continue
        print(f"--- {cell.name} ({number} of {len(cells)}) in {plan.folder}", file=stream, flush=True)
        try:
            if run_cell(plan, cell, stream):
                done.append(cell.name)
            else:
                elsewhere.append(cell.name)
        except Stopped as stopped:
            signal = stopped.signal
            raise Stopped(f"stopped by {signal.name} in {cell.name}; the same command goes on", signal) from None
        except Exception as error:
            failed[cell.name] = f"{type(error).__name__}: {error}".splitlines()[0]
            print(f"{cell.name} failed: {failed[cell.name]}", file=stream, flush=True)
    return Outcome(tuple(done), tuple(there), tuple(elsewhere), failed)


def run_cell(plan: Plan, cell: Cell, stream: TextIO | None = None) -> bool:
    """Train a cell, or go on training it, and test it; its results appear when they are complete.

    Args:
        plan: What it has in common with others; `settle` has to have been called, here or on another machine.
        cell: Which one; done already, nothing happens.
        stream: Where progress is shown; None takes standard error.

    Returns:
        Whether it is done now; False where another process works on it.

    Raises:
        Exception: Whatever the method raised; the traceback is kept in `plan.failure(cell)`, and the next call tries
            again.
    """
    try:
        with locked(plan.folder / "locks" / cell.name):
            if plan.status(cell) != "done":
                _do(plan, cell, stream)
            plan.failure(cell).unlink(missing_ok=True)
            return True
    except Locked:
        return False
    except Exception:
        text = traceback.format_exc()
        plan.failure(cell).parent.mkdir(parents=True, exist_ok=True)
        write_text(plan.failure(cell), text)
        raise


def _do(plan: Plan, cell: Cell, stream: TextIO | None) -> None:
    run = plan.run(cell)
    if is_run(run):
        agent = resume(run, root=plan.root, device=plan.device, stream=stream)
    else:
        agent = train(
            cell.method,
            plan.env,
            run,
            preset=cell.preset(plan.preset),
            root=plan.root,
            label=plan.label,
            cases=plan.cases,
            settings={**plan.settings, **cell.settings},
            skip_bad=plan.skip_bad,
            tolerance=plan.tolerance,
            checkpoint_every=20,
            seed=cell.seed,
            device=plan.device,
            overwrite=run.exists(),  # killed before it had begun
            stream=stream,
        )
    config = read_config(run)
    rows = []
    for user, settings in plan.tests(int(config.environment["horizon"])).items():
        results = evaluate_agent(
            agent,
            plan.testing(config),
            split=plan.test_split,
            cases=plan.test_cases,
            skip_bad=plan.skip_bad,
            device=find_device(plan.device),
            settings=settings,
        )
        rows += [{"user": user, **result_row(result)} for result in results]
    log = _log(run)
    about = {
        "cell": asdict(cell),
        "updates": config.preset.updates,
        **{key: _sum(log, key) for key in COSTS},
        "horizon": config.environment["horizon"],
        "minutes": round(float(log[-1]["seconds"]) / 60, 1),
        "seconds_per_step": float(f"{np.median([float(row['seconds']) for row in rows]):.3g}"),
        "threads": torch.get_num_threads(),
        "device": find_device(plan.device).type,
        "commit": config.commit,
        "curve": {key: _tenths([float(row[key]) for row in log]) for key in CURVES if all(row.get(key) for row in log)},
    }
    text = json.dumps(about, indent=2) + "\n"
    plan.result(cell, "csv").parent.mkdir(parents=True, exist_ok=True)
    write_rows(plan.result(cell, "csv"), ("user", *COLUMNS), rows)
    write_text(plan.result(cell, "json"), text)  # last: it is done


def _log(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _sum(log: Sequence[Mapping[str, str]], key: str) -> int | None:
    """Of all updates; None where the method does not say it of every one."""
    return round(sum(float(row[key]) for row in log)) if all(row.get(key) for row in log) else None


def _tenths(values: Sequence[float]) -> list[float]:
    """Means over each tenth of a training, or over each update where there are fewer than ten."""
    return [float(f"{part.mean():.4g}") for part in np.array_split(np.array(values), min(10, len(values)))]
