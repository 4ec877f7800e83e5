"""What a person and an agent did, action by action, as JSON that another session can do again."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Any

from mecca_env.atomic import os_errors_as, write_text
from mecca_env.data.base import Triple

FORMAT = 1
"""Version of the file."""

MOST_BYTES = 1 << 26
"""A file larger than this is no log: a click takes fifty bytes."""


class SessionError(ValueError):
    """An interactive session cannot do what it is asked for; the message says what was expected and what was given."""


@dataclass(frozen=True)
class Click:
    """A click.

    Attributes:
        point: Where, in voxels of the scan, fractions included.
        voxel: The voxel of the agent's grid that it lies in.
        step: Number of the step that it is for, from 1.
        repeated: That voxel was clicked before: the agent learns nothing from it, and it is not kept.
    """

    point: tuple[float, float, float]
    voxel: Triple
    step: int
    repeated: bool = False


@dataclass(frozen=True)
class Entry:
    """One action.

    Attributes:
        action: "set_image", "set_box", "set_mask", "add_clicks", "step", "undo", "redo", "reset" or "save".
        at: When it began, seconds since the scan was opened.
        took: How long the machine worked on it, seconds.
        time: When it began, ISO 8601, UTC.
        details: What it was given and what came of it.
    """

    action: str
    at: float
    took: float
    time: str
    details: Mapping[str, Any]

    @property
    def end(self) -> float:
        """When it was done."""
        return self.at + self.took


@dataclass(frozen=True)
class SessionLog:
    """A session's log, with what is needed to do everything again.

    Attributes:
        method: The agent's method.
        trained_on: What it was trained on, in words.
        weights: SHA-256 of its weights.
        files: The scan's files, one for each modality or one for all; none where it was given as an array.
        shape: Of the scan, (X, Y, Z).
        image: SHA-256 of its intensities and its affine.
        entries: Every action, in order; the first one opened the scan.
        format: Version of the file.
    """

    method: str
    trained_on: str
    weights: str
    files: tuple[str, ...]
    shape: tuple[int, ...]
    image: str
    entries: tuple[Entry, ...]
    format: int = FORMAT

    def save(self, path: str | PathLike[str]) -> None:
        """Write it as JSON: whole or not at all. Raises `SessionError`."""
        path = Path(path)
        with os_errors_as(lambda reason: SessionError(f"{path}: the log cannot be written ({reason})")):
            write_text(path, json.dumps(asdict(self), indent=1) + "\n")


def read_log(path: str | PathLike[str]) -> SessionLog:
    """Read what `SessionLog.save` wrote.

    Raises:
        SessionError: It is missing, no log, or one of another version.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"{path.stat().st_size} bytes")
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']!r}, not {FORMAT}")
        return SessionLog(
            method=_text(data["method"]),
            trained_on=_text(data["trained_on"]),
            weights=_text(data["weights"]),
            image=_text(data["image"]),
            files=tuple(_text(name) for name in data["files"]),
            shape=tuple(_whole(n) for n in data["shape"]),
            entries=_entries(data["entries"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        found = f"{type(error).__name__}: {error}"
        raise SessionError(f"{path}: expected the log of a session, found something else ({found})") from error


def _entries(items: Any) -> tuple[Entry, ...]:
    entries = tuple(_entry(item) for item in _a_list(items))
    times = [0.0, *(t for entry in entries for t in (entry.at, entry.end))]
    if not entries or entries[0].action != "set_image" or times != sorted(times):
        raise ValueError("actions in the order of their times, the first of which opens a scan")
    return entries


def _entry(item: Any) -> Entry:
    if not isinstance(item, dict) or set(item) != {field.name for field in fields(Entry)}:
        raise ValueError(f"an action {item!r:.80}")
    details = {name: read(item["details"]) for name, read in _DETAILS[item["action"]].items()}
    return Entry(item["action"], _number(item["at"]), _number(item["took"]), _text(item["time"]), details)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.80} where a text should be")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{value!r:.80} where a number should be")
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r:.80} where a whole number should be")
    return value


def _a_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r:.80} where a list should be")
    return value


def _corner(name: str) -> Callable[[Mapping[str, Any]], list[int] | None]:
    return lambda details: None if details[name] is None else [_whole(v) for v in _a_list(details[name])]


def _points(details: Mapping[str, Any]) -> Sequence[Sequence[float]]:
    return [[_number(v) for v in _a_list(point)] for point in _a_list(details["points"])]


def _count(name: str) -> Callable[[Mapping[str, Any]], int]:
    return lambda details: _whole(details[name])


def _word(name: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda details: _text(details[name])


_DETAILS: dict[str, dict[str, Callable[[Mapping[str, Any]], Any]]] = {
    "set_image": {},
    "set_box": {"low": _corner("low"), "high": _corner("high")},
    "set_mask": {"low": _corner("low"), "high": _corner("high"), "bits": _word("bits")},
    "add_clicks": {"points": _points, "new": _count("new")},
    "step": {"number": _count("number"), "clicks": _count("clicks")},
    "undo": {"what": _word("what")},
    "redo": {"what": _word("what")},
    "reset": {},
    "save": {"path": _word("path")},
}
"""What is known of each action, and how it is read."""
