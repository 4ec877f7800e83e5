"""Parts of a session on a GPU: commands that are run one after another while there is time, each of them once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.document import DOCS

ROOT = DOCS.parent
"""Where the commands run."""
GRACE = 20.0
"""Seconds that a part has, once it is asked to stop, to write down how far it came."""
LEAST = 15.0
"""Seconds that have to be left, or a part is not begun."""

Launch = Callable[[Sequence[str], float, Path, Mapping[str, str]], int | None]


@dataclass(frozen=True)
class Part:
    """One command.

    Attributes:
        name: What it is called; its output goes to `logs/NAME.txt`.
        command: Arguments of Python.
        result: The file that it leaves when it is done; it isn't done again while that is there. None: always.
        environment: Variables in addition to those of this process.
        codes: Exit codes that count as done.
    """

    name: str
    command: tuple[str, ...]
    result: Path | None
    environment: Mapping[str, str] = field(default_factory=dict)
    codes: tuple[int, ...] = (0,)


def launch(command: Sequence[str], seconds: float, log: Path, environment: Mapping[str, str]) -> int | None:
    """Run Python with these arguments, and stop it in time.

    Args:
        command: The arguments.
        seconds: After so many it gets SIGTERM, and SIGKILL `GRACE` later.
        log: Its output is appended there.
        environment: Variables in addition to those of this process.

    Returns:
        Its exit code; None where it was stopped.
    """
    with log.open("a", encoding="utf-8") as file:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            cwd=ROOT,
            start_new_session=True,  # what it starts is stopped, too
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            return None
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            raise


def run_parts(parts: Sequence[Part], out: Path, seconds: float, start: Launch = launch) -> dict[str, str]:
    """Run every part that is not done, in order, until the time is up. One that fails does not keep back the others.

    Args:
        parts: All of them.
        out: Folder for logs.
        seconds: For all of them together.
        start: Runs a command.

    Returns:
        The state of each: "done", "done before", "stopped", "failed (exit code N)" or "no time".
    """
    logs = out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + seconds
    states: dict[str, str] = {}
    for part in parts:
        if part.result is not None and part.result.exists():
            states[part.name] = "done before"
            continue
        left = end - time.monotonic() - GRACE
        if left < LEAST:
            states[part.name] = "no time"
            continue
        print(f"{part.name}: at most {left:.0f} s", file=sys.stderr, flush=True)
        begun = time.monotonic()
        code = start(part.command, left, logs / f"{part.name}.txt", part.environment)
        if code is None:
            states[part.name] = "stopped"
        else:
            states[part.name] = "done" if code in part.codes else f"failed (exit code {code})"
        print(f"{part.name}: {states[part.name]} after {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
        if states[part.name] not in ("done", "stopped"):
            print(_end_of(logs / f"{part.name}.txt"), file=sys.stderr, flush=True)
    return states


def _end_of(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]) if log.exists() else ""
