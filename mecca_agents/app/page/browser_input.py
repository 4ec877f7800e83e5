"""Readers of what browsers send, which may be anything: points, lines, boxes and windows."""

from __future__ import annotations

import math
from typing import Any

from mecca_agents.app.tab.brush import MOST_RADIUS
from mecca_agents.session import SessionError

Point = tuple[float, float, float]

MOST_POINTS = 1000
"""Of a line that is drawn by hand; the views thin out what has more (`MOST_POINTS` in web/parts/drawn_line.js)."""

_FARTHEST = 1e6  # voxels; no scan is as long


def read_point(value: Any) -> Point:
    """Three finite numbers. Raises `SessionError`."""
    numbers = _numbers(value, 3, "point")
    return numbers[0], numbers[1], numbers[2]


def read_line(value: Any, least: int) -> list[Point]:
    """Points of a line, so many at least. Raises `SessionError`."""
    if not isinstance(value, list) or not least <= len(value) <= MOST_POINTS:
        count = f"{len(value)}" if isinstance(value, list) else f"{value!r:.80}"
        raise SessionError(f"line: expected {least} to {MOST_POINTS} points, got {count}")
    points = [read_point(point) for point in value]
    if far := next((point for point in points if max(map(abs, point)) > _FARTHEST), None):
        raise SessionError(f"line: expected points in the scan, got {far}")
    return points


def read_side(value: Any) -> bool | None:
    """The entry "inside" of an object: a side, or None where nothing is said of it. Raises `SessionError`."""
    side = value.get("inside") if isinstance(value, dict) else None
    if side is not None and not isinstance(side, bool):
        raise SessionError(f"inside: expected true, false or nothing, got {side!r:.40}")
    return side


def read_window(value: Any) -> tuple[float, float]:
    """Two finite numbers, the first one below the second one. Raises `SessionError`."""
    low, high = _numbers(value, 2, "window")
    if not low < high:
        raise SessionError(f"window: expected a low intensity below the high one, got {low:g} and {high:g}")
    return low, high


def read_stroke(value: Any) -> tuple[int, Point, Point]:
    """A rectangle that was drawn: the axis of the view, and two points. Raises `SessionError`."""
    axis, start, end = _axis(value), read_entry(value, "start"), read_entry(value, "end")
    return axis, read_point(start), read_point(end)


def read_radius(value: Any) -> float:
    """Of the brush, in voxels. Raises `SessionError`."""
    number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    if not 0 <= number <= MOST_RADIUS:
        raise SessionError(f"radius: expected 0 to {MOST_RADIUS} voxels, got {value!r:.40}")
    return float(number)


def read_brush(value: Any) -> tuple[list[Point], int, float, bool]:
    """A stroke of brush or eraser: points, the axis of the view, radius, whether it adds. Raises `SessionError`."""
    axis, inside = _axis(value), read_side(value)
    if inside is None:
        raise SessionError("inside: expected true or false of a brush, got nothing")
    return read_line(read_entry(value, "points"), 1), axis, read_radius(read_entry(value, "radius")), inside


def read_entry(value: Any, name: str) -> Any:
    """The entry of an object by that name. Raises `SessionError`."""
    if not isinstance(value, dict) or name not in value:
        raise SessionError(f"{name}: expected it in what the browser sends, got {value!r:.80}")
    return value[name]


def read_words(value: Any, most: int) -> list[str]:
    """A list of one word at least. Raises `SessionError`."""
    if not isinstance(value, list) or not 1 <= len(value) <= most or not all(isinstance(word, str) for word in value):
        raise SessionError(f"files: expected 1 to {most} names, got {value!r:.80}")
    return value


def _axis(value: Any) -> int:
    axis = read_entry(value, "axis")
    if isinstance(axis, bool) or axis not in (0, 1, 2):
        raise SessionError(f"axis: expected 0, 1 or 2, got {axis!r:.40}")
    return int(axis)


def _numbers(value: Any, count: int, name: str) -> list[float]:
    fits = isinstance(value, list) and len(value) == count
    if not fits or not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value):
        raise SessionError(f"{name}: expected {count} numbers, got {value!r:.80}")
    try:
        numbers = [float(v) for v in value]
    except OverflowError:
        numbers = [math.inf]
    if not all(map(math.isfinite, numbers)):
        raise SessionError(f"{name}: expected finite numbers, got {value!r:.80}")
    return numbers
