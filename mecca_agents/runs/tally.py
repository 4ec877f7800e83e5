"""Progress of a run, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
    """Progress of a run.

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


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}" if minutes >= 60 else f"{minutes}:{seconds:02}"
