"""The folder that a learning leaves: a run as any other, and `learned.json`, which says whose weights are in it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from mecca_agents.runs.checkpoints import checkpoint_folder, read_undisturbed
from mecca_agents.runs.config import CONFIG
from mecca_agents.runs.errors import RunError
from mecca_env.atomic import flush_to_disk, os_errors_as

LEARNED = "learned.json"
"""The file in a run's folder."""

FORMAT = 1
"""Version of the file."""


def read_record(run: Path) -> dict[str, Any] | None:
    """What a run's `learned.json` says; None of a run that has none.

    Raises:
        RunError: It is damaged.
    """
    path = run / LEARNED
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']!r}, not {FORMAT}")
        learned, kept = ([str(name) for name in data[key]] for key in ("learned", "kept_out"))
        return {**data, "learned": learned, "kept_out": kept}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = f"{type(error).__name__}: {error}"
        raise RunError(f"{path}: expected what a run has learned from, found something else ({found})") from error


def cases_of(run: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Names of the accepted cases that a run has learned from, and of those that it was kept from; none of most runs.

    Raises:
        RunError: Its `learned.json` is damaged.
    """
    record = read_record(run) or {"learned": (), "kept_out": ()}
    return frozenset(record["learned"]), frozenset(record["kept_out"])


def beginning_of(run: Path) -> Path:
    """The run that the next learning goes on from: this one, or what it began from while there was nobody to judge it.

    Raises:
        RunError: Its `learned.json` is damaged.
    """
    base = (read_record(run) or {}).get("base")
    return run if base is None else Path(str(base))


def publish(run: Path, out: Path, record: dict[str, Any]) -> None:
    """Put a copy of a run and a record of how it came about into a folder that was not there: whole, or not at all.

    Args:
        run: Its settings, its last checkpoint and its log are taken.
        out: The folder.
        record: What JSON can hold.

    Raises:
        RunError: It cannot be written, or is there by now.
    """
    new = out.with_name(f".{out.name}.new")
    with os_errors_as(lambda reason: RunError(f"{out}: cannot be written: {reason}; the run is as it was")):
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            _copy(run, new)
            text = json.dumps({"format": FORMAT, **record}, indent=1)
            (new / LEARNED).write_text(text + "\n", encoding="utf-8")
            for path in sorted(new.rglob("*")):
                flush_to_disk(path)
            os.rename(new, out)
            flush_to_disk(out.absolute().parent)
        finally:
            shutil.rmtree(new, ignore_errors=True)


def _copy(run: Path, new: Path) -> None:
    last = checkpoint_folder(new)

    def copy(checkpoint: Path) -> None:
        shutil.rmtree(new, ignore_errors=True)  # of one who was killed, or of a checkpoint that was replaced meanwhile
        try:
            shutil.copytree(checkpoint, last)
        except FileNotFoundError as error:
            raise RunError(f"{checkpoint}: expected a checkpoint, found a part of one") from error

    read_undisturbed(run, "last", copy)
    for name in (CONFIG, "metrics.csv"):
        if (run / name).exists():
            shutil.copyfile(run / name, new / name)
