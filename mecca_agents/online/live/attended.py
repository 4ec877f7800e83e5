"""A learner that another program has started: it tells that one of its progress, and ends with it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

from mecca_agents.online.progress import Progress

PATIENCE = 20.0
"""Seconds in which an update may be finished when the learning is to end."""

_OFTEN = 0.2  # seconds between two lines about the same


def attend(out: TextIO | None = None) -> Callable[[Progress], None]:
    """End this process when its standard input is closed, and return what tells of its progress.

    Standard input is closed when the program at its other end is gone, however that came about. What was being done is
    finished first where it can be, as at SIGTERM.

    Args:
        out: Where a line of JSON is written for each piece of news (`Progress.line`); None: standard output.
    """
    threading.Thread(target=_end_with_the_other, daemon=True).start()
    return Teller(out or sys.stdout)


class Teller:
    """Writes lines of progress, not too many.

    Args:
        out: Where to.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._doing, self._at = "", 0.0

    def __call__(self, progress: Progress) -> None:
        """Tell, where something else is done now or the last line is old enough."""
        now = time.monotonic()
        if progress.doing == self._doing and now - self._at < _OFTEN:
            return
        self._doing, self._at = progress.doing, now
        print(progress.line, file=self._out, flush=True)


def _end_with_the_other() -> None:
    while os.read(0, 1 << 10):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os._exit(128 + signal.SIGTERM)
