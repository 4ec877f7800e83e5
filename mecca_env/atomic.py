"""Files that appear complete or not at all, and are still there after a power cut."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any


def atomically(path: Path, write: Callable[[Path], Any], *, durable: bool = False) -> None:
    """Let `write` fill a file beside `path`, then put it in its place.

    On failure what was at `path` stays, and nothing is left beside it. Several processes may do this at once: the last
    one to finish wins. The name that `write` is given ends like `path`, for libraries that look at the ending.

    Args:
        path: The file.
        write: Fills the file it is given.
        durable: Wait until the file and its name are on the disk, so that a power cut leaves the old one or the new
            one; without it a file that has just been replaced can be empty then.

    Raises:
        OSError: From `write`, from the renaming or from the disk.
    """
    temporary = path.with_name(f".{os.getpid()}.{secrets.token_hex(4)}.{path.name}")
    try:
        write(temporary)
        if durable:
            flush_to_disk(temporary)
        os.replace(temporary, path)
        if durable:
            flush_to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def flush_to_disk(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk. Raises `OSError`."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
