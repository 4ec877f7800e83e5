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
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch

from mecca_agents.cells import Cell
from mecca_agents.devices import find_device
from mecca_agents.errors import RunError
from mecca_agents.evaluation import COLUMNS, evaluate_agent, result_row
from mecca_agents.locking import Locked, locked
from mecca_agents.presets import Preset
from mecca_agents.runs import RunConfig, is_run, read_config, write_rows
from mecca_agents.stopping import Stopped
from mecca_agents.training import LISTED_CASES, make_envs, resume, train
from mecca_env.atomic import atomically

FORMAT = 1
"""Version of the folder's layout."""

USERS = ("edge", "imprecise")
"""Who clicks in the tests: the standard user, and one whose hand shakes (Table S2)."""

CURVES = ("dice", "return", "entropy", "misunderstanding", "confidence_accuracy", "mask_share", "simulated_accuracy")
"""What is kept of a training's log, in tenths, of those that its method logs."""

FURTHER_STEPS = 2
"""Steps that the standard user goes on after the horizon of the training: Table 4 has seven."""


@dataclass(frozen=True)
class Plan:
    """What all cells of one data set have in common.

    Attributes:
        out: Folder of the benchmark.
        env: Environment id that is trained on.
        preset: How.
        preset_name: What it is called in tables.
        root: Folder of the data set; None looks under $MECCA_DATA.
        label: Foreground values; None takes the data set's own.
        settings: Further settings of the environment.
        cases: Only so many training cases, or those of these names; None: all.
        test_env: Environment id that is tested on; None: the one that is trained on.
        test_root: Its folder.
        test_split: Its split.
        test_cases: Only so many test cases; None: all.
        name: Name of the data set in tables and of its folder; None: that of the environment tested on.
        device: "auto", "cpu" or "cuda".
        skip_bad: Leave unusable cases out, with a warning, rather than refuse to start.
    """

    out: Path
    env: str
    preset: Preset
    preset_name: str = ""
    root: Path | None = None
    label: tuple[int, ...] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    cases: int | None = None
    test_env: str | None = None
    test_root: Path | None = None
    test_split: str = "test"
    test_cases: int | None = None
    name: str | None = None
    device: str = "auto"
    skip_bad: bool = False

    @cached_property
    def folder(self) -> Path:
        """Where its files lie."""
        env = self.test_env or self.env
        return self.out / (self.name or env.removeprefix("MECCA-").rpartition("-v")[0])

    @property
    def tested_elsewhere(self) -> bool:
        """Whether the environment tested on is another than the one trained on."""
        return self.test_env not in (None, self.env)

    def testing(self, config: RunConfig) -> RunConfig:
        """How a training is tested: in the other environment, where there is one."""
        if self.test_env is None or not self.tested_elsewhere:
            return config
        return replace(config, env=self.test_env, root=None)

    def run(self, cell: Cell) -> Path:
        """The folder of a cell's training."""
        return self.folder / "runs" / cell.name

    def result(self, cell: Cell, ending: str) -> Path:
        """The file of a cell's results that ends so."""
        return self.folder / "results" / f"{cell.name}.{ending}"

    def failure(self, cell: Cell) -> Path:
        """The file of a cell's traceback."""
        return self.folder / "failed" / f"{cell.name}.txt"

    def status(self, cell: Cell) -> str:
        """How far a cell is: "done", "failed", "begun" or "missing"."""
        if self.result(cell, "json").exists():
            return "done"
        if self.failure(cell).exists():
            return "failed"
        return "begun" if is_run(self.run(cell)) else "missing"


@dataclass(frozen=True)
class Outcome:
    """What became of the cells that were asked for, by name.

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
        return "\n".join([f"cells: {', '.join(lines)}", *(f"failed: {n}: {why}" for n, why in self.failed.items())])


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
        mecca_agents.stopping.Stopped: Ctrl-C or SIGTERM came; the same command goes on.
    """
    stream = stream or sys.stderr
    settle(plan)
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
        atomically(plan.failure(cell), lambda path: path.write_text(text, encoding="utf-8"))
        raise


def settle(plan: Plan) -> dict[str, Any]:
    """Write down what all cells have in common, or see that it is what the folder's cells were made with.

    Returns:
        What `settings.json` holds.

    Raises:
        mecca_agents.runs.RunError: It is not, or the file is damaged or cannot be written.
        mecca_env.data.base.DataError: The data set cannot be used.
    """
    path = plan.folder / "settings.json"
    wanted: dict[str, Any] = json.loads(json.dumps(_settings(plan)))
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():  # two processes that begin at once write the same, or the later one finds out below
            text = json.dumps(wanted, indent=2) + "\n"
            atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
        found = json.loads(path.read_text(encoding="utf-8"))
        # A setting that presets have had only since then was at its default.
        found["preset"] = json.loads(json.dumps(asdict(Preset()))) | found["preset"]
    except OSError as error:
        raise RunError(f"{path}: cannot be written or read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: expected the settings of a benchmark, found something else: {error}") from error
    differing = sorted(key for key in {*wanted, *found} if wanted.get(key) != found.get(key))
    if differing:
        what = "; ".join(_difference(key, found.get(key), wanted.get(key)) for key in differing)
        raise RunError(f"{path}: the cells here were made with other settings ({what}); choose another --out or --name")
    return wanted


def _settings(plan: Plan) -> dict[str, Any]:
    """Of `settings.json`: all that a result depends on but the cell. Where files lie is not part of it."""
    keywords: dict[str, Any] = {
        "shape": plan.preset.shape,
        "label": plan.label,
        "skip_bad": plan.skip_bad,
        "fallback": False,  # a table is of the data set that it names
        **plan.settings,
    }
    train_envs = make_envs(plan.env, 1, root=plan.root, split="train", cases=plan.cases, **keywords)
    root = plan.test_root or (None if plan.tested_elsewhere else plan.root)
    test_envs = make_envs(
        plan.test_env or plan.env, 1, root=root, split=plan.test_split, cases=plan.test_cases, **keywords
    )
    names = [
        [envs.dataset.case_name(int(i)) for i in envs.cases.indices] if len(envs.cases) <= LISTED_CASES else None
        for envs in (train_envs, test_envs)
    ]
    found = {
        "format": FORMAT,
        "env": plan.env,
        "test_env": plan.test_env or plan.env,
        "dataset": train_envs.dataset.name,
        "test_dataset": test_envs.dataset.name,
        "label": plan.label,
        "preset_name": plan.preset_name,
        "preset": asdict(plan.preset),
        "settings": dict(plan.settings),
        "horizon": train_envs.config.horizon,
        "train_cases": names[0],
        "test_cases": names[1],
        "test_cases_at_most": plan.test_cases,
        "users": list(USERS),
    }
    for envs in (train_envs, test_envs):
        envs.close()
    return found


def _difference(key: str, found: Any, wanted: Any) -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        inner = sorted(k for k in {*found, *wanted} if found.get(k) != wanted.get(k))
        return "; ".join(f"{k} was {found.get(k)!r}, now {wanted.get(k)!r}" for k in inner)
    return f"{key} was {found!r:.60}, now {wanted!r:.60}"


def _do(plan: Plan, cell: Cell, stream: TextIO | None) -> None:
    run = plan.run(cell)
    if is_run(run):
        agent = resume(run, device=plan.device, stream=stream)
    else:
        fraction = {} if cell.fraction == 1.0 else {"labelled_fraction": cell.fraction}
        agent = train(
            cell.method,
            plan.env,
            run,
            preset=cell.preset(plan.preset),
            root=plan.root,
            label=plan.label,
            cases=plan.cases,
            settings={**plan.settings, **fraction},
            skip_bad=plan.skip_bad,
            checkpoint_every=20,
            seed=cell.seed,
            device=plan.device,
            overwrite=run.exists(),  # killed before it had begun
            stream=stream,
        )
    config = read_config(run)
    further = int(config.environment["horizon"]) + FURTHER_STEPS
    rows = []
    for user in USERS:
        results = evaluate_agent(
            agent,
            plan.testing(config),
            root=plan.test_root,
            split=plan.test_split,
            cases=plan.test_cases,
            skip_bad=plan.skip_bad,
            device=find_device(plan.device),
            settings={"user": user, "horizon": further} if user == "edge" else {"user": user},
        )
        rows += [{"user": user, **result_row(result)} for result in results]
    log = _log(run)
    about = {
        "cell": asdict(cell),
        "updates": config.preset.updates,
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
    atomically(plan.result(cell, "json"), lambda path: path.write_text(text, encoding="utf-8"))  # last: it is done


def _log(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _tenths(values: Sequence[float]) -> list[float]:
    """Means over each tenth of a training, or over each update where there are fewer than ten."""
    return [float(f"{part.mean():.4g}") for part in np.array_split(np.array(values), min(10, len(values)))]
