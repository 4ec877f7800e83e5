"""Files that a browser sends: bounded, under random names, and gone with the session."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
from collections.abc import AsyncIterable
from dataclasses import dataclass
from pathlib import Path

from mecca_agents.session import SessionError
from mecca_env.data.inventory import SUFFIXES

MOST_FILES = 8
"""Uploads that one session holds at a time."""

ENDINGS = tuple(ending for ending in SUFFIXES if ending != ".hdr")
"""Endings of images that can be sent: those that are one file."""


@dataclass(frozen=True)
class Upload:
    """A file that was sent.

    Attributes:
        key: How the page names it.
        name: What it was called, for people; never a path.
        path: Where it lies.
    """

    key: str
    name: str
    path: Path


class Uploads:
    """The files of one session, in a folder of its own.

    Args:
        most_bytes: The most that they may have together.
        most_files: How many there may be at a time.

    Attributes:
        folder: Where they lie.
        most_bytes: The most that they may have together.
    """

    def __init__(self, most_bytes: int, most_files: int = MOST_FILES) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mecca-annotate-"))
        self.most_bytes, self._most_files = most_bytes, most_files
        self._kept: dict[str, Upload] = {}
        self._free, self._begun = most_bytes, 0
        self._closed = False
        self._lock = threading.Lock()

    async def receive(self, name: str, content: AsyncIterable[bytes]) -> Upload:
        """Write what arrives to a file of a random name.

        Args:
            name: What the browser calls it.
            content: Its bytes, in pieces.

        Raises:
            SessionError: It is called like nothing that can be opened, is too large, or the disk is full.
        """
        ending = _ending(name)
        key = secrets.token_hex(16)
        path, got = self.folder / f"{key}{ending}", 0
        with self._lock:
            if self._begun >= self._most_files:
                raise SessionError(f"{name[:80]}: expected at most {self._most_files} uploads at a time, got one more")
            self._begun += 1
        try:
            with path.open("xb") as file:
                async for piece in content:
                    self._reserve(name, len(piece))
                    got += len(piece)
                    file.write(piece)
            return self._keep(Upload(key, printable_name(name), path))
        except BaseException as error:
            self._drop(path, got)
            if isinstance(error, OSError):
                reason = error.strerror or error
                raise SessionError(f"{name[:80]}: the upload cannot be stored ({reason})") from error
            raise

    def take(self, key: str) -> Upload:
        """An upload, by its key. Raises `SessionError`."""
        found = self._kept.get(key)
        if found is None:
            raise SessionError("upload: expected one of this session, got another one or none")
        return found

    def discard(self, upload: Upload) -> None:
        """Delete an upload that is not needed any more."""
        if self._kept.pop(upload.key, None) is not None:
            self._drop(upload.path, upload.path.stat().st_size if upload.path.exists() else 0)

    def close(self) -> None:
        """Delete everything, what is still arriving included."""
        self._closed = True
        self._kept.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _keep(self, upload: Upload) -> Upload:
        if self._closed:
            raise SessionError("upload: expected an open session, got one that was closed")
        self._kept[upload.key] = upload
        return upload

    def _reserve(self, name: str, count: int) -> None:
        with self._lock:
            if count > self._free:
                raise SessionError(f"{name[:80]}: expected at most {self.most_bytes >> 20} MiB, got more")
            self._free -= count
        if self._closed:
            raise SessionError("upload: expected an open session, got one that was closed")

    def _drop(self, path: Path, count: int) -> None:
        path.unlink(missing_ok=True)
        with self._lock:
            self._free += count
            self._begun -= 1


def _ending(name: str) -> str:
    endings = (*ENDINGS, ".json")
    found = next((ending for ending in endings if name.lower().endswith(ending)), None)
    if found is None:
        raise SessionError(f"{name[:80]}: expected a name that ends in {', '.join(endings)}")
    return found


def printable_name(name: str) -> str:
    """The last part of a name, as far as it can be printed."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in last if c.isprintable())[-80:]
