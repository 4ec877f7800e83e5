"""How far a run is, and how that is shown: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

from tqdm import tqdm

SMOOTHING = 0.95
"""Weight of the past in the smoothed numbers: they look back about 20 updates."""

SHOWN = {
    "dice": "Dice",
    "return": "return",
    "entropy": "entropy",
    "confidence_accuracy": "confidence accuracy",
    "mask_share": "mask share",
}
"""The numbers that are shown, where a method logs them, and what they are called then."""


@dataclass
class Tally:
    """How far a run is.

    Attributes:
        updates: Updates that were made.
        seconds: Time they took.
        steps: Steps of the environment they took, over all envs.
        smooth: Every number of the log, smoothed over updates.
        best: The highest smoothed Dice at a checkpoint; None before the first.
    """

    updates: int = 0
    seconds: float = 0.0
    steps: int = 0
    smooth: dict[str, float] = field(default_factory=dict)
    best: float | None = None

    def add(self, numbers: Mapping[str, float], seconds: float, steps: int) -> None:
        """Count one more update, its numbers, its time and its steps."""
        self.updates += 1
        self.seconds += seconds
        self.steps += steps
        for key, value in numbers.items():
            self.smooth[key] = SMOOTHING * self.smooth.get(key, value) + (1.0 - SMOOTHING) * value

    def describe(self, updates: int) -> str:
        """The smoothed numbers, the rate and the time left of `updates` in all, as text."""
        shown = [f"{name} {self.smooth[key]:.3f}" for key, name in SHOWN.items() if key in self.smooth]
        if self.updates:
            left = self.seconds / self.updates * (updates - self.updates)
            shown += [f"{self.steps / max(self.seconds, 1e-9):.1f} env steps/s", f"{_clock(left)} left"]
        return ", ".join(shown)


class Display:
    """Shows a run's progress.

    Args:
        updates: How many there will be in all.
        tally: How far the run is at the start.
        stream: Where to show it.
    """

    LINES = 20  # plain lines in a whole run

    def __init__(self, updates: int, tally: Tally, stream: TextIO) -> None:
        self._updates = updates
        self._stream = stream
        self._bar: tqdm[Any] | None = None
        if stream.isatty():
            form = "{percentage:3.0f}% |{bar:20}| {n_fmt}/{total_fmt}{postfix}"  # our own time left: it outlives a stop
            self._bar = tqdm(total=updates, initial=tally.updates, file=stream, dynamic_ncols=True, bar_format=form)

    def show(self, tally: Tally) -> None:
        """The run is this far now."""
        done = tally.updates
        if self._bar is not None:
            self._bar.set_postfix_str(tally.describe(self._updates), refresh=False)
            self._bar.update(done - self._bar.n)
        elif done % max(self._updates // self.LINES, 1) == 0 or done == self._updates:
            print(f"update {done}/{self._updates}: {tally.describe(self._updates)}", file=self._stream, flush=True)

    def close(self) -> None:
        """Leave the bar as it is and go on below it."""
        if self._bar is not None:
            self._bar.close()


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}" if minutes >= 60 else f"{minutes}:{seconds:02}"
