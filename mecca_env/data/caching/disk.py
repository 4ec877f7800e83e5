"""A disk cache of named arrays: written atomically, safe with several processes, rebuilt when it is damaged."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mecca_env.atomic import atomically, os_errors_as
from mecca_env.data.base import DataError

FORMAT = 2
"""Version of what is stored; a new one makes every older entry a miss."""

Arrays = dict[str, NDArray[Any]]

_KEY = "__key__"
_logger = logging.getLogger("mecca_env")


class CacheError(RuntimeError):
    """The cache's folder cannot be written; unlike a `DataError`, this is no fault of a case."""


def cache_folder() -> Path:
    """`$MECCA_CACHE`, or `mecca` under `$XDG_CACHE_HOME`, which defaults to `~/.cache`."""
    own = os.environ.get("MECCA_CACHE")
    if own:
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "mecca"


def file_identity(path: Path) -> tuple[str, int, int]:
    """The identity of one version of a file: its resolved path, its bytes, its time of change in nanoseconds.

    Raises:
        DataError: There is no such file.
    """
    with os_errors_as(lambda reason: DataError(f"{path}: expected a file, found {reason}")):
        resolved = path.resolve(strict=True)
        status = resolved.stat()
    return str(resolved), status.st_size, status.st_mtime_ns


def cache_path(parts: Mapping[str, Any]) -> Path:
    """The path of the entry of a key, whether it exists or not.

    Args:
        parts: Everything the arrays depend on, as values that JSON can write; their order does not matter.
    """
    text = json.dumps({"format": FORMAT, "parts": parts}, sort_keys=True, separators=(",", ":"))
    return cache_folder() / f"{hashlib.sha256(text.encode()).hexdigest()}.npz"


def fetch(parts: Mapping[str, Any], build: Callable[[], Arrays]) -> Arrays:
    """The arrays of a key: from the cache, or built and stored.

    Args:
        parts: The key, as for `cache_path`.
        build: Makes the arrays on a miss; what it raises passes through and stores nothing.

    Returns:
        Arrays by name. Plain arrays only: nothing is pickled.

    Raises:
        CacheError: The folder cannot be made or written, or its disk is full.
    """
    path = cache_path(parts)
    stored = _load(path)
    if stored is not None:
        return stored
    arrays = build()
    _store(path, arrays)
    return arrays


def _load(path: Path) -> Arrays | None:
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
        if arrays.pop(_KEY).tolist() != _signature(path, arrays):
            raise ValueError("it holds something else")
        return arrays
    except FileNotFoundError:
        return None
    except Exception as error:  # damaged zip files raise from many unrelated types
        _logger.warning("%s: a damaged cache entry is built again (%s: %s)", path, type(error).__name__, error)
        return None


def _store(path: Path, arrays: Arrays) -> None:
    signature = np.array(_signature(path, arrays))
    with os_errors_as(partial(_unwritten, path.parent)):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomically(path, lambda temporary: np.savez(temporary, allow_pickle=False, **{_KEY: signature}, **arrays))


def _unwritten(folder: Path, reason: str) -> CacheError:
    advice = "set MECCA_CACHE to a folder that can be written and has space"
    return CacheError(f"{folder}: the cache cannot be written ({reason}); {advice}")


def _signature(path: Path, arrays: Arrays) -> list[str]:
    """Key and names: the checksums of a zip file guard its members, but not the list of them."""
    return [path.stem, *sorted(arrays)]
