"""One process at a time trains in a run's folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mecca_agents.runs.errors import RunError

LOCK = ".lock"
"""The file in a run's folder that is locked. It may stay there: a lock belongs to a process and ends with it."""


class Locked(RunError):
    """Another process holds the lock."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from training in a folder, which is made where it is missing.

    Raises:
        Locked: One is training there already.
        RunError: The folder cannot be made or locked.
    """
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise Locked(f"{folder}: another process is training here") from None
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"{folder}: cannot be made, or its file {LOCK} not locked: {reason}") from error
    try:
        yield
    finally:
        lock.release()
