"""The marks that a page shows of a session's clicks: one by one, or few of the many that lines and areas make."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

import numpy as np

from mecca_agents.session import Click
from mecca_agents.session.actions import AddClicks
from mecca_agents.session.log import Entry

MOST_MARKS = 300
"""That a browser draws quickly in three views; it gets all of them after each action."""

Item = TypeVar("Item")
_Place = tuple[tuple[float, ...], bool | None]


@dataclass(frozen=True)
class Mark:
    """A mark of a view.

    Attributes:
        point: Where, in voxels of the scan.
        kind: "click", or with signs "inside" or "outside".
        waiting: Whether the agent has not seen it yet.
        small: Whether it is one of the many of a line or an area.
    """

    point: tuple[float, float, float]
    kind: str
    waiting: bool
    small: bool = False


class Strokes:
    """Which clicks are of one line or area: a session keeps each of them by itself.

    They are known by their places, so that those that are undone and done again are known, too.
    """

    def __init__(self) -> None:
        self._number_at: dict[_Place, int] = {}
        self._numbers = count()

    def add(self, clicks: Sequence[Click]) -> None:
        """Take the clicks of one line or area; a single new one is like any other click."""
        self._add([(click.point, click.inside) for click in clicks if not click.repeated])

    @classmethod
    def of_log(cls, entries: Iterable[Entry]) -> Strokes:
        """Those of a log: each action that marked several points with a sign."""
        made = cls()
        for entry in entries:
            if entry.action == AddClicks.name and (inside := entry.details.get("inside")) is not None:
                made._add([(tuple(point), inside) for point in entry.details["points"]])
        return made

    def _add(self, places: Sequence[_Place]) -> None:
        if len(places) > 1:
            self._number_at.update(dict.fromkeys(places, next(self._numbers)))

    def parted(self, clicks: Iterable[Click]) -> tuple[list[Click], list[list[Click]]]:
        """The clicks that are of no stroke, and those of each stroke."""
        single, strokes = list[Click](), dict[int, list[Click]]()
        for click in clicks:
            number = self._number_at.get((click.point, click.inside))
            if number is None:
                single.append(click)
            else:
                strokes.setdefault(number, []).append(click)
        return single, list(strokes.values())


def marks_of(clicks: Sequence[Click], steps: int, strokes: Strokes, most: int = MOST_MARKS) -> list[Mark]:
    """The marks to draw, the small ones first.

    A stroke has one mark like that of a click, in its middle, and small ones for the others of its clicks. Where there
    are too many they are thinned out, each stroke evenly from its beginning to its end and down to the same number, so
    that a short line stays whole beside a large area: what is not drawn is marked for the agent all the same.

    Args:
        clicks: Of the session.
        steps: That were taken.
        strokes: Which clicks belong together.
        most: That may be drawn.
    """
    single, lines = strokes.parted(clicks)
    middles = [line.pop(_middle(line)) for line in lines]
    large = _evenly([*middles, *single], most)
    room = (most - len(large)) // max(len(lines), 1)
    small = [click for line in lines for click in _evenly(line, room)]
    return [_mark(click, steps, True) for click in small] + [_mark(click, steps, False) for click in large]


def _middle(line: Sequence[Click]) -> int:
    """Which click lies nearest to the middle of them all."""
    points = np.array([click.point for click in line])
    return int(((points - points.mean(axis=0)) ** 2).sum(axis=1).argmin())


def _evenly(items: Sequence[Item], most: int) -> Sequence[Item]:
    return items if len(items) <= most else [items[number * len(items) // most] for number in range(most)]


def _mark(click: Click, steps: int, small: bool) -> Mark:
    kind = "click" if click.inside is None else "inside" if click.inside else "outside"
    return Mark(click.point, kind, click.step > steps, small)
