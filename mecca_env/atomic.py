"""Files that appear complete or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any


def atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a file beside `path`, then put it in its place.

    On failure what was at `path` stays, and nothing is left beside it. Several processes may do this at once: the last
    one to finish wins. The name that `write` is given ends like `path`, for libraries that look at the ending.

    Raises:
        OSError: From `write` or from the renaming.
    """
    temporary = path.with_name(f".{os.getpid()}.{secrets.token_hex(4)}.{path.name}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
