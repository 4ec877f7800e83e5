"""A run's log: `metrics.csv`, a row for each update, and the same numbers as TensorBoard events."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from mecca_agents.runs.errors import RunError
from mecca_env.atomic import atomically, flush_to_disk, os_errors_as
from mecca_env.extras import missing


class Metrics:
    """Writes every update's numbers, each row whole and at once, so that a killed run leaves no half of one.

    Args:
        path: The CSV file.
        updates: Rows that it holds already and keeps; later ones, of updates that are to be made again, are cut off.

    Raises:
        RunError: The file cannot be written, or does not hold those rows.
    """

    def __init__(self, path: Path, updates: int = 0) -> None:
        self._path = path
        self._columns: list[str] = []
        with os_errors_as(self._unwritten):
            if updates:
                self._columns = _keep(path, updates)
                self._file = path.open("ab", buffering=0)
            else:
                self._file = path.open("wb", buffering=0)

    def add(self, update: int, seconds: float, numbers: Mapping[str, float]) -> None:
        """One row.

        Raises:
            RunError: It cannot be written.
            ValueError: There are numbers that the first update did not have.
        """
        text = io.StringIO(newline="")
        columns = self._columns or ["update", "seconds", *numbers]
        if not set(numbers) <= set(columns):
            raise ValueError(f"numbers: expected {columns[2:]} as in the first update, got {list(numbers)}")
        writer = csv.DictWriter(text, columns)
        if not self._columns:
            writer.writeheader()
        writer.writerow({"update": update, "seconds": f"{seconds:.2f}", **numbers})
        self._columns = columns
        left = memoryview(text.getvalue().encode())
        with os_errors_as(self._unwritten):
            while left:  # a disk that is getting full takes a part
                left = left[self._file.write(left) :]

    def flush(self) -> None:
        """Wait until all rows are on the disk. Raises `RunError`."""
        with os_errors_as(self._unwritten):
            os.fsync(self._file.fileno())
            flush_to_disk(self._path.parent)  # its name, too

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _unwritten(self, reason: str) -> RunError:
        return RunError(f"{self._path}: cannot be written: {reason}")


class Events:
    """Writes TensorBoard events, where tensorboard is installed; where not, it says so once.

    Args:
        folder: Where the event files go.
        updates: Of a run that goes on, updates made so far: events of later ones, to be made again, are hidden.
        stream: Where to say that there will be none.
    """

    def __init__(self, folder: Path, updates: int | None, stream: TextIO) -> None:
        self._folder = folder
        self._writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            print(
                f"no TensorBoard events are written: {missing('that', 'tensorboard', 'tensorboard')}",
                file=stream,
            )
            return
        self._writer = self._try(SummaryWriter, str(folder), purge_step=updates)

    def add(self, update: int, numbers: Mapping[str, float]) -> None:
        """One update's numbers. Raises `RunError` where they cannot be written."""
        if self._writer is not None:
            for key, value in numbers.items():
                self._try(self._writer.add_scalar, key, value, update)

    def flush(self) -> None:
        """Hand all events to the operating system. Raises `RunError`."""
        if self._writer is not None:
            self._try(self._writer.flush)

    def close(self) -> None:
        """Close the file; what was not flushed may be lost, and will be made again."""
        if self._writer is not None:
            with suppress(OSError):
                self._writer.close()

    def _try(self, action: Any, *arguments: Any, **keywords: Any) -> Any:
        try:
            return action(*arguments, **keywords)
        except OSError as error:
            raise RunError(f"{self._folder}: TensorBoard events cannot be written: {error}") from error


def _keep(path: Path, updates: int) -> list[str]:
    """Cut off the rows from `updates` on; the columns."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        lines = []
    whole = [line for line in lines if line.endswith(b"\n")]
    kept, rows = whole[: updates + 1], whole[1 : updates + 1]
    if [row.split(b",")[0] for row in rows] != [b"%d" % update for update in range(updates)]:
        raise RunError(f"{path}: expected the rows of updates 0 to {updates - 1}, found others or fewer")
    if len(kept) < len(lines):
        atomically(path, lambda temporary: temporary.write_bytes(b"".join(kept)), durable=True)
    return next(csv.reader([kept[0].decode()]))
