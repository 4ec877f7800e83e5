"""The results that a benchmark left behind: its finished cells, data set by data set."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mecca_agents.evaluation.layout import FORMAT as FORMAT  # part of this module, too
from mecca_agents.evaluation.layout import Labelled
from mecca_agents.evaluation.results import COLUMNS as RESULT_COLUMNS
from mecca_agents.evaluation.results import SINCE, Result
from mecca_agents.runs.errors import RunError
from mecca_env.atomic import os_errors_as
from mecca_env.data.targets import scans_of

COLUMNS = ("user", *RESULT_COLUMNS)
"""Columns of a cell's file; those of `SINCE` may be missing."""

EDGE = "edge"
"""The standard simulated user of the paper's protocol. A benchmark of other prompts has another one."""

SETTINGS, RESULTS, FAILED, TIMING = "settings.json", "results", "failed", "timing.json"

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class FinishedCell:
    """One training and its test.

    Attributes:
        path: Its file of results.
        method: Name of the method, or "module:class".
        labelled: How much of the training cases was labelled.
        seed: Seed of the training.
        variant: "" for the method itself, or a row of Table 5.
        minutes: How long the training took.
        threads: Threads that it ran on.
        device: Device that it ran on.
        commit: The git commit of the code, or None.
        updates: Updates that the training made.
        optimizer_steps: Steps of its optimizers; NaN where its method does not count them.
        labelled_episodes: Episodes of labelled cases that it played, likewise.
        horizon: Steps of an episode in the training; tables compare what was reached by then.
        rows: For each simulated user the results, by case and then step.
        standard: The standard user, whom every cell has played with.
    """

    path: Path
    method: str
    labelled: Labelled
    seed: int
    variant: str
    minutes: float
    threads: int
    device: str
    commit: str | None
    updates: int
    optimizer_steps: float
    labelled_episodes: float
    horizon: int
    rows: Mapping[str, tuple[Result, ...]]
    standard: str = EDGE

    @property
    def name(self) -> str:
        """As its files are called."""
        return self.path.stem

    @property
    def kind(self) -> tuple[str, Labelled, str]:
        """All that it is but for its seed: method, labelled amount and variant."""
        return self.method, self.labelled, self.variant

    @property
    def cases(self) -> tuple[str, ...]:
        """The test cases, sorted."""
        return tuple(dict.fromkeys(row.case for row in self.rows[self.standard]))

    @property
    def scans(self) -> tuple[str, ...]:
        """The scans that the test cases are of, sorted: with `label="each"` fewer than cases."""
        return tuple(dict.fromkeys(scans_of(self.cases)))

    def per_scan(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Means over the cases of each scan, which are no independent sample: (..., C) to (..., N)."""
        of = np.array(scans_of(self.cases))
        return np.stack([values[..., of == scan].mean(axis=-1) for scan in self.scans], axis=-1)

    def grid(self, column: str, user: str | None = None, further: bool = False) -> NDArray[np.float64]:
        """One column of the results, (C, T): a row for each case, sorted, a column for each step of the horizon.

        Args:
            column: Which.
            user: Whose clicks; None: the standard user's.
            further: Also the steps that were played after the horizon.
        """
        rows = self.rows[self.standard if user is None else user]
        values = np.array([float(getattr(row, column)) for row in rows]).reshape(-1, rows[-1].step)
        return values if further else values[:, : self.horizon]


@dataclass(frozen=True)
class TimingRow:
    """Milliseconds that a method takes for a step (Table 6): its own, the environment's, both, and their quartiles."""

    agent_ms: float
    step_ms: float
    total_ms: float
    interquartile_ms: tuple[float, float]


@dataclass(frozen=True)
class Timing:
    """Table 6, measured in one run: milliseconds by method, and on what."""

    rows: Mapping[str, TimingRow]
    device: str
    threads: int
    grid: tuple[int, ...]
    cases: int


@dataclass(frozen=True)
class Study:
    """Everything about one data set.

    Attributes:
        name: Of its folder, and in tables.
        env: Environment id.
        preset_name: Name of the preset.
        preset: Its settings.
        train_cases: How many cases were trained on; 0 where they are endless.
        train_scans: How many scans these are of.
        standard: The standard simulated user.
        cells: The finished ones, by name; all of the same cases and steps.
        failed: The last line of the error of every cell that failed and was not finished later.
        timing: Table 6, or None.
    """

    name: str
    env: str
    preset_name: str
    preset: Mapping[str, Any]
    train_cases: int
    train_scans: int
    cells: tuple[FinishedCell, ...]
    failed: Mapping[str, str]
    timing: Timing | None
    standard: str = EDGE

    @property
    def others(self) -> list[str]:
        """The other simulated users, by name."""
        return sorted({user for cell in self.cells for user in cell.rows} - {self.standard})


def read_studies(folder: Path | str) -> list[Study]:
    """Read what a benchmark has done so far. Results without their `.json`, which is written last, do not count.

    Args:
        folder: The benchmark's folder, with a sub-folder for each data set.

    Returns:
        The data sets that have finished cells, timings or failures, by name.

    Raises:
        RunError: There is no such folder or nothing finished in it, a file is damaged, or the cells of one data set
            have not played the same cases and steps. The message names the file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"{folder}: expected the folder of a benchmark, found {'a file' if folder.exists() else 'none'}")
    studies = [_study(path.parent) for path in sorted(folder.glob(f"*/{SETTINGS}"))]
    if not any(study.cells or study.timing for study in studies):
        failed = sum(len(study.failed) for study in studies)
        raise RunError(
            f"{folder}: expected results of a benchmark, <data set>/{RESULTS}/<cell>.json, found none"
            + (f" ({failed} failed)" if failed else "")
        )
    return [study for study in studies if study.cells or study.timing or study.failed]


def _study(folder: Path) -> Study:
    path = folder / SETTINGS
    settings = _json(path)
    if settings.get("format") != FORMAT:
        older = ": an older version made these cells; they have to be made anew" * (settings.get("format") == 1)
        raise RunError(f"{path}: expected format {FORMAT}, found {settings.get('format')!r}{older}")
    train = settings.get("train_cases") or []
    standard = str((settings.get("users") or [EDGE])[0])
    cells = tuple(_cell(about, standard) for about in _files(folder / RESULTS, ".json"))
    _check_alike(cells)
    finished = {cell.name for cell in cells}
    return Study(
        name=folder.name,
        env=_get(path, settings, "env", str),
        preset_name=_get(path, settings, "preset_name", str),
        preset=_get(path, settings, "preset", dict),
        train_cases=len(train),
        train_scans=len(set(scans_of(train))),
        cells=cells,
        failed={p.stem: _last_line(p) for p in _files(folder / FAILED, ".txt") if p.stem not in finished},
        timing=_timing(folder / TIMING) if (folder / TIMING).exists() else None,
        standard=standard,
    )


def _files(folder: Path, suffix: str) -> list[Path]:
    """By name; a file whose name begins with a dot is still being written."""
    return sorted(path for path in folder.glob(f"*{suffix}") if not path.name.startswith("."))


def _cell(path: Path, standard: str) -> FinishedCell:
    about = _json(path)
    cell = _get(path, about, "cell", dict)
    commit = about.get("commit")
    return FinishedCell(
        path=path.with_suffix(".csv"),
        method=_get(path, cell, "method", str),
        labelled=_labelled(path, cell),
        seed=_get(path, cell, "seed", int),
        variant=_get(path, cell, "variant", str),
        minutes=_get(path, about, "minutes", float),
        threads=_get(path, about, "threads", int),
        device=_get(path, about, "device", str),
        commit=None if commit is None else _get(path, about, "commit", str),
        updates=_get(path, about, "updates", int),
        optimizer_steps=_cost(path, about, "optimizer_steps"),
        labelled_episodes=_cost(path, about, "labelled_episodes"),
        horizon=_get(path, about, "horizon", int),
        rows=_rows(path.with_suffix(".csv"), standard),
        standard=standard,
    )


def _cost(path: Path, about: Mapping[str, Any], key: str) -> float:
    return math.nan if about.get(key, 0) is None else float(_get(path, about, key, int))


def _labelled(path: Path, cell: Mapping[str, Any]) -> Labelled:
    number = None if cell.get("labelled_cases") is None else _get(path, cell, "labelled_cases", int)
    try:
        return Labelled(_get(path, cell, "fraction", float), number)
    except ValueError as error:
        raise RunError(f"{path}: {error}") from error


def _rows(path: Path, standard: str) -> dict[str, tuple[Result, ...]]:
    """The results by user, each of every case at every step."""
    found: dict[str, dict[tuple[str, int], Result]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            there = reader.fieldnames or ()
            missing = [column for column in COLUMNS if column not in (*there, *SINCE)]
            if missing:
                raise ValueError(f"expected the columns {', '.join(COLUMNS)}, found no {', '.join(missing)}")
            columns = [column for column in RESULT_COLUMNS if column in there]
            for row in reader:
                result = _result(row, columns)
                of_user = found.setdefault(row["user"], {})
                if of_user.setdefault((result.case, result.step), result) is not result:
                    raise ValueError(f"case {result.case!r}, step {result.step}: expected one row, found two")
        if standard not in found:
            raise ValueError(f"expected rows of the user {standard!r}, found {sorted(found) or 'no rows'}")
        for user, of_user in found.items():
            _check_whole(user, of_user, found[standard])
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, csv.Error) as error:
        raise RunError(f"{path}: expected the results of a cell: {error}") from error
    return {user: tuple(found[user][key] for key in sorted(found[user])) for user in sorted(found)}


def _result(row: Mapping[str, str], columns: Sequence[str]) -> Result:
    """One row with these columns. Raises `ValueError` where a number is none, or out of its range."""
    kinds: dict[str, type] = dict.fromkeys(("seed", "user_seed", "step", "clicks"), int)
    kinds |= dict.fromkeys(("method", "dataset", "case", "protocol"), str)
    values: dict[str, Any] = {}
    for column in columns:
        try:
            values[column] = kinds.get(column, float)(row[column])
        except (TypeError, ValueError):
            kind = "an integer" if kinds.get(column) is int else "a number"
            raise ValueError(f"{_row_name(row)}: expected {column} to be {kind}, found {row[column]!r}") from None
    for column in ("dice", "misunderstanding"):
        if not 0 <= values[column] <= 1:
            raise ValueError(f"{_row_name(row)}: expected {column} from 0 to 1, found {values[column]!r}")
    return Result(**values)


def _row_name(row: Mapping[str, str]) -> str:
    return f"case {row['case']!r}, step {row['step']}"


def _check_whole(user: str, rows: Mapping[tuple[str, int], Result], standard: Mapping[tuple[str, int], Result]) -> None:
    """Raise `ValueError` where cases or steps are missing, or clicks were taken back."""
    cases, last = sorted({case for case, _ in standard}), max(step for _, step in rows)
    wanted = {(case, step) for case in cases for step in range(1, last + 1)}
    for case, step in sorted(wanted ^ set(rows)):
        found = "none" if (case, step) in wanted else "one"
        raise ValueError(
            f"user {user!r}: expected every case once at each of the steps 1 to {last}, "
            f"found {found} of case {case!r} at step {step}"
        )
    for case in cases:
        clicks = [rows[case, step].clicks for step in range(1, last + 1)]
        if any(later < earlier for earlier, later in pairwise(clicks)):
            raise ValueError(f"case {case!r}: expected clicks that add up over the steps, found {clicks}")


def _check_alike(cells: tuple[FinishedCell, ...]) -> None:
    """Raise `RunError` where cells cannot be compared."""
    seen: dict[tuple[object, ...], FinishedCell] = {}
    for cell in cells:
        first, key = cells[0], (*cell.kind, cell.seed)
        if seen.setdefault(key, cell) is not cell:
            raise RunError(f"{cell.path}: expected each training once, found it in {seen[key].path.name} as well")
        datasets = [c.rows[c.standard][0].dataset for c in (first, cell)]
        if datasets[0] != datasets[1]:
            raise RunError(f"{cell.path}: expected the data set of {first.name}, {datasets[0]}, found {datasets[1]}")
        if cell.cases != first.cases:
            other = sorted(set(cell.cases) ^ set(first.cases))
            raise RunError(
                f"{cell.path}: expected the {len(first.cases)} cases of {first.name}, found {len(cell.cases)}; "
                f"only one of them has {', '.join(other[:3])}{' ...' * (len(other) > 3)}"
            )
        for user in cell.rows:
            alike = next(c for c in cells if user in c.rows)
            steps = [(c.horizon, c.rows[user][-1].step) for c in (alike, cell)]
            if steps[0] != steps[1] or steps[0][0] > steps[0][1]:
                raise RunError(
                    f"{cell.path}: user {user!r}: expected a horizon of {steps[0][0]} in {steps[0][1]} steps as in "
                    f"{alike.name}, found one of {steps[1][0]} in {steps[1][1]}"
                )


def _timing(path: Path) -> Timing:
    data = _json(path)
    rows = {}
    for method in (table := _get(path, data, "rows", dict)):
        row = _get(path, table, method, dict)
        numbers = {name: _get(path, row, name, float) for name in ("agent_ms", "step_ms", "total_ms")}
        rows[method] = TimingRow(**numbers, interquartile_ms=_pair(path, row.get("interquartile_ms")))
    return Timing(
        rows=rows,
        device=_get(path, data, "device", str),
        threads=_get(path, data, "threads", int),
        grid=tuple(_get(path, data, "grid", list)),
        cases=_get(path, data, "cases", int),
    )


def _pair(path: Path, value: object) -> tuple[float, float]:
    if not (isinstance(value, list) and len(value) == 2 and all(isinstance(v, int | float) for v in value)):
        raise RunError(f"{path}: expected interquartile_ms to be two numbers, found {value!r:.80}")
    return float(value[0]), float(value[1])


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RunError(f"{path}: expected JSON, found something else: {error}") from error
    if not isinstance(data, dict):
        raise RunError(f"{path}: expected an object, found {data!r:.80}")
    return data


def _get(path: Path, data: Mapping[str, Any], key: str, kind: type[T]) -> T:
    """A value of that type; integers are numbers, too. Raises `RunError` where it is missing or another."""
    value = data.get(key)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or isinstance(value, bool):
        names = {str: "a text", dict: "an object", list: "a list", int: "an integer", float: "a number"}
        raise RunError(f"{path}: expected {key} to be {names[kind]}, found {value!r:.80}")
    return value


def _last_line(path: Path) -> str:
    with os_errors_as(lambda reason: RunError(f"{path}: cannot be read: {reason}")):
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "no reason given")
