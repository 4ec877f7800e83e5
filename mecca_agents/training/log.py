"""A run's numbers after every update: to `metrics.csv`, TensorBoard events and whoever is watching."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from mecca_agents.runs.tally import Tally
from mecca_agents.training.display import Display
from mecca_agents.training.metrics_file import Events, Metrics


class Log:
    """All three together.

    Args:
        folder: The run's.
        updates: How many there will be in all.
        tally: How far the run is at the start.
        purge: Of a run that goes on, updates made so far; None: it begins.
        stream: Where progress is shown.

    Raises:
        RunError: A file cannot be written, here and in every method.
    """

    def __init__(self, folder: Path, updates: int, tally: Tally, purge: int | None, stream: TextIO) -> None:
        self._metrics = Metrics(folder / "metrics.csv", tally.updates)
        self._events = Events(folder / "tensorboard", purge, stream)
        self._display = Display(updates, tally, stream)

    def add(self, update: int, tally: Tally, numbers: Mapping[str, float]) -> None:
        """One update's numbers, which `tally` counts already."""
        self._metrics.add(update, tally.seconds, numbers)
        self._events.add(update, numbers)
        self._display.show(tally)

    def flush(self) -> None:
        """Wait until all of it is on the disk."""
        self._metrics.flush()
        self._events.flush()

    def close(self) -> None:
        """Close the files and leave the bar as it is."""
        self._display.close()
        self._events.close()
        self._metrics.close()
