"""How far a learning is, for people and, as lines of JSON, for a program that started it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

_READ, _TRAINED = 0.05, 0.95  # shares at which the trainings begin and end; looking and playing take the rest


@dataclass(frozen=True)
class Progress:
    """How far it is.

    Attributes:
        share: Of the whole, from 0 to 1.
        doing: What is done now, in words.
    """

    share: float
    doing: str

    @property
    def line(self) -> str:
        """One line of JSON: an object with "share" and "doing"."""
        return json.dumps(asdict(self))


def read_progress(line: str) -> Progress | None:
    """What `Progress.line` made; None of any other line."""
    try:
        data = json.loads(line)
        return Progress(min(max(float(data["share"]), 0.0), 1.0), str(data["doing"]))
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


class Progression:
    """Tells how far a learning of several trainings is.

    Args:
        tell: Called with each piece of news; None: nobody wants to know.
    """

    def __init__(self, tell: Callable[[Progress], None] | None) -> None:
        self._tell = tell
        self._trainings, self._begun = 1, 0
        self._share = 0.0

    def expect(self, trainings: int) -> None:
        """So many trainings there will be."""
        self._trainings = trainings

    def say(self, doing: str) -> None:
        """What is done between trainings."""
        if self._tell is not None:
            self._tell(Progress(self._share, doing))

    def begin(self) -> None:
        """The next training begins."""
        self._begun += 1
        self.trained(0.0)

    def trained(self, share: float) -> None:
        """The training is so far, from 0 to 1."""
        done = (self._begun - 1 + min(share, 1.0)) / self._trainings
        self._share = _READ + (_TRAINED - _READ) * done
        of = f", training {self._begun} of {self._trainings}" if self._trainings > 1 else ""
        self.say(f"learning{of}")
