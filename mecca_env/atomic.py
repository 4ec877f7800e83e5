"""Files that appear complete or not at all, are still there after a power cut, and errors of the disk in words."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH  # a superuser may write without them, and is asked all the same
_KEPT_OF_NAME = 32  # characters: a name may have 255 bytes, a character up to four


def atomically(path: Path, write: Callable[[Path], Any], *, durable: bool = False) -> None:
    """Let `write` fill a file beside `path`, then put it in its place.

    On failure what was at `path` stays, and nothing is left beside it. Several processes may do this at once: the last
    one to finish wins. The name that `write` is given ends like `path`, for libraries that look at the ending.

    A file that is read-only is not replaced: the renaming would not ask.

    Args:
        path: The file.
        write: Fills the file it is given.
        durable: Wait until the file and its name are on the disk, so that a power cut leaves the old one or the new
            one; without it a file that has just been replaced can be empty then.

    Raises:
        OSError: From `write`, from the renaming or from the disk; or the file is read-only.
    """
    refuse_read_only(path)
    temporary = path.with_name(f".{os.getpid()}.{secrets.token_hex(4)}.{path.name[-_KEPT_OF_NAME:]}")
    try:
        write(temporary)
        if durable:
            flush_to_disk(temporary)
        os.replace(temporary, path)
        if durable:
            flush_to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def refuse_read_only(path: Path) -> None:
    """Raise `PermissionError` where there is a file that nobody, or not this process, may write."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not mode & _WRITE or not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "the file there is read-only", str(path))


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Write a text file in UTF-8, complete or not at all; see `atomically`. Raises `OSError`."""
    atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"), durable=durable)


@contextmanager
def os_errors_as(error_of: Callable[[str], Exception]) -> Iterator[None]:
    """Turn what the operating system refuses inside the block into one error that says what was wanted.

        with os_errors_as(lambda reason: DataError(f"{path}: cannot be written: {reason}")):
            write_text(path, text)

    Args:
        error_of: Makes the error from the system's reason, "No space left on device" for one.

    Raises:
        Exception: The one that was made, in place of an `OSError`; others pass.
    """
    try:
        yield
    except OSError as error:
        raise error_of(error.strerror or str(error)) from error


def flush_to_disk(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk. Raises `OSError`."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
