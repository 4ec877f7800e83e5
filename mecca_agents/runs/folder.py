"""Folders for runs: checked before anything is written, and emptied."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mecca_agents.runs.config import CONFIG, is_run
from mecca_agents.runs.errors import RunError as RunError  # part of this module, too
from mecca_agents.runs.locking import LOCK, locked
from mecca_env.atomic import os_errors_as, refuse_read_only
from mecca_env.data.formats.names import NOT_UTF8, is_utf8, printable


def check_folder(folder: Path, overwrite: bool) -> None:
    """See whether a run can be put into a folder; nothing in it is touched but, of a run, the lock.

    Raises:
        RunError: It exists already and may not be overwritten, is not a run, is in use, or cannot be made or written;
            or its name is not UTF-8.
    """
    if not is_utf8(folder):
        raise RunError(printable(f"{folder}: {NOT_UTF8}"))
    with os_errors_as(lambda reason: RunError(f"{folder}: cannot be looked into: {reason}")):
        if not folder.exists():
            parent = next(path for path in folder.absolute().parents if path.exists())
            if not parent.is_dir() or not os.access(parent, os.W_OK):
                raise RunError(f"{folder}: cannot be made: {parent} is no folder that can be written")
            return
        if not overwrite:
            raise RunError(f"{folder}: exists already; choose another folder, or pass --resume or --overwrite")
        if not folder.is_dir() or (_contents(folder) and not is_run(folder)):
            raise RunError(f"{folder}: expected a run to overwrite, found something else; it was left as it is")
    if not os.access(folder, os.W_OK):
        raise RunError(f"{folder}: cannot be overwritten: no permission to write")
    with locked(folder):
        pass


def empty_folder(folder: Path, overwrite: bool) -> None:
    """Remove an earlier run from a folder that this process has locked.

    Its `config.json` goes last: killed before that, what is left can still be told to be a run.

    Raises:
        RunError: There is one and it may not be overwritten, or it cannot be removed.
    """
    with os_errors_as(lambda reason: RunError(f"{folder}: cannot be emptied: {reason}")):
        contents = _contents(folder)
        if contents and not overwrite:
            raise RunError(f"{folder}: exists already; another process has just made it")
        for child in sorted(contents, key=lambda path: path.name == CONFIG):
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
            else:
                child.unlink()


def _contents(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name != LOCK]


def check_writable(path: Path) -> None:
    """Raise `RunError` where a file could not be written; nothing is written."""
    if not path.parent.is_dir():
        raise RunError(f"{path}: expected an existing folder {path.parent}, found none")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise RunError(f"{path}: cannot be written")
    with os_errors_as(lambda reason: RunError(f"{path}: cannot be written: {reason}")):
        refuse_read_only(path)
