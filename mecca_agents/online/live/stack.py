"""The runs that a project's learnings have left, and which of them counts: a stack for each run that was begun with.

    PROJECT/runs/0001/           a run as any other; only a person deletes it
            runs/weights.json    what is known of each, and the stacks

The last of a stack counts. A file that is replaced as a whole says so: killed at any time, it is the old or new one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mecca_agents.online.record import read_record
from mecca_agents.runs.errors import RunError
from mecca_agents.runs.shipped import SHIPPED
from mecca_agents.session import Model, load_model
from mecca_agents.tables import plural
from mecca_env.atomic import os_errors_as, write_text

RUNS = "runs"
"""The folder of a project."""

STATE = "weights.json"
"""The file in it."""

FORMAT = 1
"""Version of the file."""

_SECONDS = 20.0  # that one waits for another who writes it


@dataclass(frozen=True)
class LearnedRun:
    """What is known of a run.

    Attributes:
        number: Its folder's name.
        base: The run that the learnings began from.
        counts: Whether its weights counted when it was new.
        why: The verdict, in one sentence.
        time: Of that, ISO 8601, UTC.
        weights: SHA-256 of them; empty where they did not count.
        learned: Cases that they have learned from.
    """

    number: int
    base: str
    counts: bool
    why: str
    time: str
    weights: str = ""
    learned: int = 0


@dataclass(frozen=True)
class State:
    """What `weights.json` says.

    Attributes:
        runs: Every run that was looked at, the oldest first.
        stacks: Numbers of the runs that count, for each base; the last one is at work.
    """

    runs: tuple[LearnedRun, ...] = ()
    stacks: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def find(self, number: int) -> LearnedRun | None:
        """The run of that number."""
        return next((run for run in self.runs if run.number == number), None)


class WeightStack:
    """The runs of a project that go on from one run.

    Args:
        project: Its folder.
        base: The run's folder.
    """

    def __init__(self, project: Path, base: Path) -> None:
        self.folder, self._base = project / RUNS, base
        self.base = base.name if base.parent == SHIPPED else str(base.resolve())

    def state(self) -> State:
        """What is known. Raises `RunError` where the file is damaged."""
        path = self.folder / STATE
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["format"] != FORMAT:
                raise ValueError(f"format {data['format']!r}, not {FORMAT}")
            runs = tuple(_run_of(entry) for entry in data["runs"])
            stacks = {str(base): tuple(int(number) for number in stack) for base, stack in data["stacks"].items()}
            return State(runs, stacks)
        except FileNotFoundError:
            return State()
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            found = f"{type(error).__name__}: {error}"
            raise RunError(
                f"{path}: expected which weights count, found something else ({found}); delete it to begin anew"
            ) from error

    def run(self, number: int) -> Path:
        """The folder of a run; of 0, the base."""
        return self.folder / f"{number:04}" if number else self._base

    def next_number(self) -> int:
        """One that no run has or had. Raises `RunError`."""
        return max([*self._there(), *(run.number for run in self.state().runs), 0]) + 1

    def load(self, device: str) -> tuple[int, Model | None, list[str]]:
        """The weights that count.

        Args:
            device: "auto", "cpu" or "cuda".

        Returns:
            Number of the run, 0 of the base, whose model is None here; and a sentence about each later one that
            cannot be used.

        Raises:
            RunError: Nobody knows, since the file is damaged.
        """
        faults: list[str] = []
        for number in reversed(self.state().stacks.get(self.base, ())):
            try:
                return number, load_model(self.run(number), device=device), faults
            except ValueError as error:
                faults.append(str(error))
        return 0, None, faults

    def pending(self, at_work: int) -> list[int]:
        """Runs that nobody has looked at and that go on from the one at work, or of which nobody can tell.

        One that was left by a server that was killed before it looked is among them. Raises `RunError`.
        """
        known = {run.number for run in self.state().runs}
        return [number for number in self._there() if number not in known and self._is_ours(number, at_work)]

    def look_at(self, number: int, at_work: int, device: str) -> tuple[LearnedRun, Model | None]:
        """Look at a new run, and take it where its weights count; from then on that is known.

        Where the earlier weights stay, its folder is a copy of theirs and is deleted. One that cannot be used stays,
        and does not count.

        Args:
            number: Its number.
            at_work: Number of the run that it goes on from.
            device: "auto", "cpu" or "cuda".

        Returns:
            What is known of it now, and its model where it counts.

        Raises:
            RunError: That cannot be written; it may be looked at again.
        """
        folder, model, copied = self.run(number), None, False
        found = LearnedRun(number, self.base, False, "", datetime.now(timezone.utc).isoformat(timespec="seconds"))
        try:
            record = read_record(folder)
            if record is None:
                raise RunError(f"{folder}: expected a run that has learned, found none")
            found, copied = replace(found, why=str(record.get("why", ""))), record.get("weights") == "earlier"
            if record.get("weights") == "new":
                model = load_model(folder, device=device)
                found = replace(found, counts=True, weights=model.weights, learned=len(record["learned"]))
        except ValueError as error:
            found = replace(found, why=f"the earlier weights stay: {error}")

        def change(state: State) -> State:
            stack = state.stacks.get(self.base, ())
            kept = stack[: stack.index(at_work) + 1] if at_work in stack else ()
            stacks = {**state.stacks, self.base: (*kept, number)} if found.counts else state.stacks
            return State((*(run for run in state.runs if run.number != number), found), stacks)

        self._change(change)
        if copied:
            shutil.rmtree(folder, ignore_errors=True)
        return found, model

    def back(self, at_work: int) -> None:
        """Let the weights before those at work count. Raises `RunError`."""

        def change(state: State) -> State:
            stack = state.stacks.get(self.base, ())
            kept = stack[: stack.index(at_work)] if at_work in stack else ()
            return replace(state, stacks={**state.stacks, self.base: kept})

        self._change(change)

    def names(self, base: Model) -> dict[str, str]:
        """What weights are called, by their SHA-256, those of the base included. Raises `RunError`."""
        known = {run.weights: _called(run) for run in self.state().runs if run.counts}
        return {**known, base.weights: Path(self.base).name}

    def _there(self) -> list[int]:
        if not self.folder.is_dir():
            return []
        return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdecimal() and path.is_dir())

    def _is_ours(self, number: int, at_work: int) -> bool:
        try:
            record = read_record(self.run(number)) or {}
        except RunError:
            return True
        return str(record.get("run")) == str(self.run(at_work).resolve())

    def _change(self, change: Callable[[State], State]) -> None:
        path = self.folder / STATE
        with os_errors_as(lambda reason: RunError(f"{path}: cannot be written: {reason}; the earlier weights stay")):
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with FileLock(self.folder / ".lock", timeout=_SECONDS):
                    write_text(path, _text(change(self.state())), durable=True)
            except Timeout:
                raise RunError(f"{path}: another process has been writing there for {_SECONDS:.0f} seconds") from None


def _run_of(entry: Mapping[str, Any]) -> LearnedRun:
    texts = {name: str(entry[name]) for name in ("base", "why", "time", "weights")}
    return LearnedRun(number=int(entry["number"]), counts=bool(entry["counts"]), learned=int(entry["learned"]), **texts)


def _called(run: LearnedRun) -> str:
    return f"{Path(run.base).name}, {run.number:04}, learned from {plural(run.learned, 'case')}"


def _text(state: State) -> str:
    data: dict[str, Any] = {"format": FORMAT, "stacks": state.stacks, "runs": [asdict(run) for run in state.runs]}
    return json.dumps(data, indent=1) + "\n"
