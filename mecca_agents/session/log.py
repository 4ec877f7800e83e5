"""Log of what a person and an agent did, action by action, as JSON that another session can do again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from os import PathLike
from pathlib import Path
from typing import Any

from mecca_agents.session.actions import ACTIONS, Save, read_integer, read_list, read_number, read_text
from mecca_agents.session.errors import SessionError
from mecca_agents.session.history import Action, History
from mecca_env.atomic import os_errors_as, write_text

FORMAT = 1
"""Version of the file."""

SET_IMAGE = "set_image"
"""The first entry of every log: it opened the scan that the others are about."""

MOST_BYTES = 1 << 26
"""A file larger than this is no log: a click takes twenty bytes."""


@dataclass(frozen=True)
class Entry:
    """One action.

    Attributes:
        action: Its name: "set_image", or one of `ACTIONS`.
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
        """Seconds at which it was done."""
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

    def named(self, files: Sequence[str]) -> SessionLog:
        """The log with the names of the scan's files that people know, and of what was saved the name alone."""
        entries = tuple(
            replace(entry, details={"path": Path(entry.details["path"]).name}) if entry.action == Save.name else entry
            for entry in self.entries
        )
        return replace(self, files=tuple(files), entries=entries)

    def save(self, path: str | PathLike[str]) -> None:
        """Write it as JSON: whole or not at all. Raises `SessionError`, also where it is too large for `read_log`."""
        path, text = Path(path), json.dumps(asdict(self), separators=(",", ":")) + "\n"
        if len(text) > MOST_BYTES:
            raise SessionError(f"log: expected at most {MOST_BYTES} bytes of JSON, got {len(text)}")
        with os_errors_as(lambda reason: SessionError(f"{path}: the log cannot be written ({reason})")):
            write_text(path, text)


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
            method=read_text(data["method"]),
            trained_on=read_text(data["trained_on"]),
            weights=read_text(data["weights"]),
            image=read_text(data["image"]),
            files=tuple(read_text(name) for name in data["files"]),
            shape=tuple(read_integer(n) for n in data["shape"]),
            entries=_entries(data["entries"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        found = f"{type(error).__name__}: {error}"
        raise SessionError(f"{path}: expected the log of a session, found something else ({found})") from error


def replay(entries: Iterable[Entry], history: History) -> None:
    """Do all of these actions again.

    Args:
        entries: Of a log, without the first one, which opened the scan.
        history: Of the same scan.

    Raises:
        SessionError: One of them cannot be done, or does not lead where it led.
    """
    for count, entry in enumerate(entries, 1):
        action = action_of(entry)
        if isinstance(action, Save):  # the file is there, or was not wanted here
            continue
        details, _ = action.do(history)
        if details != entry.details:
            raise SessionError(f"log: expected action {count}, {entry.action}, to give {entry.details}, got {details}")


def action_of(entry: Entry) -> Action[Any]:
    """The action that an entry is of, to do it again. Raises `SessionError` where there is no such action."""
    kind = ACTIONS.get(entry.action)
    if kind is None:
        raise SessionError(f"log: expected an action of a session, found {entry.action!r}")
    return kind.from_log(entry.details)


def _entries(items: Any) -> tuple[Entry, ...]:
    entries = tuple(_entry(item) for item in read_list(items))
    times = [0.0, *(t for entry in entries for t in (entry.at, entry.end))]
    if not entries or entries[0].action != SET_IMAGE or times != sorted(times):
        raise ValueError("actions in the order of their times, the first of which opens a scan")
    return entries


def _entry(item: Any) -> Entry:
    if not isinstance(item, dict) or set(item) != {field.name for field in fields(Entry)}:
        raise ValueError(f"an action {item!r:.80}")
    kind = None if item["action"] == SET_IMAGE else ACTIONS[item["action"]]
    readers = {} if kind is None else dict(kind.logged)
    readers |= {} if kind is None else {k: v for k, v in kind.logged_where_there.items() if k in item["details"]}
    details = {name: read(item["details"][name]) for name, read in readers.items()}
    return Entry(item["action"], read_number(item["at"]), read_number(item["took"]), read_text(item["time"]), details)
