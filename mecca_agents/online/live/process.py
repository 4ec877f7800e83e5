"""A learner in a process of its own: how far it is, how it ended, and a way to stop it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mecca_agents.online.live.attended import PATIENCE
from mecca_agents.online.progress import Progress, read_progress

LOWEST = 19
"""Nice value: of two that want a core, a program of usual priority gets nearly all of it."""

_HURRY = 2.0  # seconds in which it may tidy up when the server ends
_KEPT_LINES = 200  # of what it complains about


@dataclass(frozen=True)
class Ended:
    """How a learner ended.

    Attributes:
        well: Whether it left a run.
        words: Why not, in one sentence.
    """

    well: bool
    words: str = ""


def learn_command(
    project: Path, run: Path, out: Path, *, device: str, minutes: float, updates: int | None
) -> list[str]:
    """The command that learns, for a program that attends to it (`mecca learn --attended`)."""
    many = ["--minutes", repr(minutes)] if updates is None else ["--updates", str(updates)]
    where = [str(project), "--run", str(run), "--out", str(out), "--device", device]
    return [sys.executable, "-m", "mecca_agents.cli", "learn", *where, *many, "--attended"]


class LearnerProcess:
    """A learner that runs.

    Args:
        command: That starts it (`learn_command`).
        niceness: From 0, the usual priority, to `LOWEST`.

    Attributes:
        progress: How far it is.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(self, command: Sequence[str], niceness: int = LOWEST) -> None:
        self.progress = Progress(0.0, "the learner starts")
        self._complaints: deque[str] = deque(maxlen=_KEPT_LINES)
        self._stopped_at: float | None = None
        pipe = subprocess.PIPE
        # a session of its own: Ctrl-C in the terminal is for the server, which stops it
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, errors="replace", start_new_session=True
        )
        if hasattr(os, "setpriority"):
            with suppress(ProcessLookupError):  # it has ended already
                os.setpriority(os.PRIO_PROCESS, self.pid, niceness)
        self._readers = [
            threading.Thread(target=_read, args=(stream, take), daemon=True)
            for stream, take in ((self._process.stdout, self._hear), (self._process.stderr, self._complaints.append))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopped_at is not None

    def ended(self) -> Ended | None:
        """How it ended; None while it runs. One that was told to stop and does not is killed."""
        code = self._process.poll()
        if code is None:
            if self._stopped_at is not None and time.monotonic() - self._stopped_at > PATIENCE:
                self._process.kill()
            return None
        for reader in self._readers:
            reader.join(5)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        return Ended(True) if code == 0 else Ended(False, self._why(code))

    def stop(self) -> None:
        """Ask it to end; what it has learned is lost."""
        if self._stopped_at is None:
            self._stopped_at = time.monotonic()
            self._process.terminate()

    def close(self) -> None:
        """End it at once, and wait until it is gone."""
        self.stop()
        try:
            self._process.wait(_HURRY)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.ended()

    def _why(self, code: int) -> str:
        if self.stopping:
            return "the learning was stopped"
        if code < 0:
            return f"the learner was killed ({_signal_name(-code)})"
        text = "\n".join(line.rstrip("\n") for line in self._complaints)
        found = text.rpartition("mecca: ")[2].splitlines() if "mecca: " in text else text.splitlines()[-1:]
        first, *others = found or [""]
        if first.endswith(":") and others:  # the headline of a list
            listed = [line.strip() for line in others if line.startswith("  ")] or others
            first, others = f"{first} {listed[0]}", listed[1:]
        more = f" (and {len(others)} more)" if others else ""
        return f"the learner ended: {first}{more}" if first else f"the learner ended with exit code {code}"

    def _hear(self, line: str) -> None:
        self.progress = read_progress(line) or self.progress


def _read(stream: IO[str], take: Callable[[str], None]) -> None:
    for line in stream:
        take(line)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
