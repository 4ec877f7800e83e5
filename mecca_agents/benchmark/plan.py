"""The plan of a benchmark: the settings that all its cells have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mecca_agents.agent import find_method
from mecca_agents.benchmark.cells import Cell
from mecca_agents.evaluation.layout import FORMAT
from mecca_agents.evaluation.runner import evaluation_envs
from mecca_agents.presets import Preset
from mecca_agents.runs.config import RunConfig, is_run
from mecca_agents.runs.envs import LISTED_CASES, make_envs, with_usual
from mecca_agents.runs.errors import RunError
from mecca_env.atomic import write_text
from mecca_env.data.base import DataError
from mecca_env.data.targets import Foreground
from mecca_env.process.config import ALL_LABELLED, EnvConfig
from mecca_env.process.protocols import with_protocol

FURTHER_STEPS = {"edge": 2, "imprecise": 0}
"""Simulated users of the tests, the standard one and one whose hand shakes (Table S2), and how many steps each goes on
after the horizon of the training: Table 4 has seven. Where a benchmark is of other prompts, its own user is the only
one, and goes on for none."""

MIXED = "mixed"
"""In the place of a name: several users, of whom every episode has its own."""


@dataclass(frozen=True)
class Plan:
    """Settings that all cells of one data set have in common.

    Attributes:
        out: Folder of the benchmark.
        env: Environment id that is trained on.
        preset: How.
        preset_name: What it is called in tables.
        root: Folder of the data set; None looks under $MECCA_DATA.
        label: Foreground values; "each": every value of every scan is a case; None takes the data set's own.
        settings: Further settings of the environment.
        cases: Only so many training cases, or those of these names; None: all.
        test_env: Environment id that is tested on; None: the one that is trained on.
        test_root: Its folder.
        test_split: Its split.
        test_cases: Only so many test cases; None: all.
        name: Name of the data set in tables and of its folder; None: that of the environment tested on.
        device: "auto", "cpu" or "cuda".
        skip_bad: Leave unusable cases out, with a warning, rather than refuse to start.
        tolerance: Millimetres that image and label may lie apart; None: next to nothing.
    """

    out: Path
    env: str
    preset: Preset
    preset_name: str = ""
    root: Path | None = None
    label: Foreground = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    cases: int | None = None
    test_env: str | None = None
    test_root: Path | None = None
    test_split: str = "test"
    test_cases: int | None = None
    name: str | None = None
    device: str = "auto"
    skip_bad: bool = False
    tolerance: float | None = None

    @cached_property
    def folder(self) -> Path:
        """The folder of its files."""
        env = self.test_env or self.env
        return self.out / (self.name or env.removeprefix("MECCA-").rpartition("-v")[0])

    @property
    def tested_elsewhere(self) -> bool:
        """Whether the environment tested on is another than the one trained on."""
        return self.test_env not in (None, self.env)

    def testing(self, config: RunConfig) -> RunConfig:
        """The settings of a training's test: on the other environment, where there is one, in the plan's folders."""
        found = replace(config, root=None if self.testing_root is None else str(self.testing_root))
        if self.test_env is None or not self.tested_elsewhere:
            return found
        return replace(found, env=self.test_env, dataset="", sources=())

    @property
    def testing_root(self) -> Path | None:
        """The folder of the data set that is tested on; None looks under $MECCA_DATA."""
        return self.test_root or (None if self.tested_elsewhere else self.root)

    @property
    def users(self) -> dict[str, Any]:
        """The simulated users of the tests by name, as the environment takes them; the standard one comes first."""
        own = with_protocol(self.settings).get("user", EnvConfig.user)
        if own == next(iter(FURTHER_STEPS)):
            return {user: user for user in FURTHER_STEPS}
        return {own if isinstance(own, str) else MIXED: own}

    def tests(self, horizon: int) -> dict[str, dict[str, Any]]:
        """The settings of the environment of every test, by its user.

        Args:
            horizon: Steps of an episode in the training.
        """
        further = FURTHER_STEPS if len(self.users) > 1 else dict.fromkeys(self.users, 0)
        return {name: {"user": user, "horizon": horizon + further[name]} for name, user in self.users.items()}

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
        """Progress of a cell: "done", "failed", "begun" or "missing"."""
        if self.result(cell, "json").exists():
            return "done"
        if self.failure(cell).exists():
            return "failed"
        return "begun" if is_run(self.run(cell)) else "missing"


def settle(plan: Plan, cells: Sequence[Cell] = ()) -> dict[str, Any]:
    """Write down what all cells have in common, or see that it is what the folder's cells were made with.

    Before that, every environment that these cells are trained and tested in is made once: what could not be tested is
    not trained first.

    Args:
        plan: What they have in common.
        cells: Which cells are to be done; none: only what holds for all of them is looked at.

    Returns:
        What `settings.json` holds.

    Raises:
        mecca_agents.runs.RunError: It is not, or the file is damaged or cannot be written.
        mecca_env.data.base.DataError: The data set cannot be used.
        ValueError: A setting is out of range; one of a single cell comes with its name.
        TypeError: A setting is unknown.
    """
    path = plan.folder / "settings.json"
    wanted: dict[str, Any] = json.loads(json.dumps(_settings(plan)))
    _rehearse(plan, cells)
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():  # two processes that begin at once write the same, or the later one finds out below
            write_text(path, json.dumps(wanted, indent=2) + "\n")
        found = json.loads(path.read_text(encoding="utf-8"))
        # A setting that presets have had only since then was at its default.
        found["preset"] = json.loads(json.dumps(Preset().flat())) | found["preset"]
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
        "tolerance": plan.tolerance,
        "fallback": False,  # a table is of the data set that it names
        **plan.settings,
    }
    train_envs = make_envs(plan.env, 1, root=plan.root, split="train", cases=plan.cases, **keywords)
    test_envs = make_envs(
        plan.test_env or plan.env,
        1,
        root=plan.testing_root,
        split=plan.test_split,
        cases=plan.test_cases,
        **{**keywords, **ALL_LABELLED},
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
        "preset": plan.preset.flat(),
        "settings": dict(plan.settings),
        "horizon": train_envs.config.horizon,
        "train_cases": names[0],
        "test_cases": names[1],
        "test_cases_at_most": plan.test_cases,
        "users": list(plan.users),
    }
    for envs in (train_envs, test_envs):
        envs.close()
    return found


def _rehearse(plan: Plan, cells: Sequence[Cell]) -> None:
    """Make the environments of all cells that are left to do, trainings and tests, each of them once; see `settle`."""
    trained: set[str] = set()
    tested: set[str] = set()
    for cell in cells:
        if plan.status(cell) == "done":
            continue
        asked = with_usual(plan.preset, {**plan.settings, **cell.settings})
        try:
            every = {**find_method(cell.method).env_settings(cell.preset(plan.preset), asked), **asked}
            training, test = _key(every, "labelled_draw"), _key(every, *ALL_LABELLED)
            if training in trained and test in tested:
                continue
            config = _try_training(plan, cell, every)
            if test not in tested:
                _try_tests(plan, config)
        except (DataError, RunError):
            raise  # of the data sets, whatever the cell
        except (ValueError, TypeError) as error:
            raise ValueError(f"{cell.name}: {error}") from error
        trained.add(training)
        tested.add(test)


def _key(settings: Mapping[str, Any], *but: str) -> str:
    return repr(sorted((name, repr(value)) for name, value in settings.items() if name not in but))


def _try_training(plan: Plan, cell: Cell, every: dict[str, Any]) -> RunConfig:
    """Make the environment of a training; what its run's settings would be, as far as a test needs them."""
    keywords = {"label": plan.label, "skip_bad": plan.skip_bad, "tolerance": plan.tolerance, "fallback": False}
    keywords |= {"shape": plan.preset.shape, **every}
    envs = make_envs(plan.env, 1, root=plan.root, split="train", cases=plan.cases, **keywords)
    config = RunConfig(
        method=cell.method,
        env=plan.env,
        dataset=envs.dataset.name,
        root=None if plan.root is None else str(plan.root),
        label=plan.label,
        settings=every,
        preset=plan.preset,
        modalities=envs.dataset.modalities,
        seed=cell.seed,
        tolerance=plan.tolerance,
        environment=asdict(envs.config),
    )
    envs.close()
    return config


def _try_tests(plan: Plan, config: RunConfig) -> None:
    """Make the environments of a training's tests."""
    for settings in plan.tests(config.environment["horizon"]).values():
        evaluation_envs(
            plan.testing(config),
            split=plan.test_split,
            cases=plan.test_cases,
            skip_bad=plan.skip_bad,
            settings=settings,
        ).close()


def _difference(key: str, found: Any, wanted: Any) -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        inner = sorted(k for k in {*found, *wanted} if found.get(k) != wanted.get(k))
        return "; ".join(f"{k} was {found.get(k)!r}, now {wanted.get(k)!r}" for k in inner)
    return f"{key} was {found!r:.60}, now {wanted!r:.60}"
