"""Names of files as text: on Linux a name is bytes, which need not be UTF-8."""

from __future__ import annotations

import os
from pathlib import Path

from mecca_env.data.base import DataError

NOT_UTF8 = "expected a name in UTF-8, found other bytes; rename it"
"""What is said of a file that has a name of another kind."""


def is_utf8(path: Path) -> bool:
    """Whether the bytes of a path are UTF-8, as everything that is written about a case has to be."""
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def check_utf8(path: Path) -> None:
    """Raise `DataError` where the name of a file, or of a folder above it, is not UTF-8."""
    if not is_utf8(path):
        raise DataError(printable(f"{path}: {NOT_UTF8}"))


def printable(text: str) -> str:
    r"""A text that can be written anywhere: bytes of a file's name that are no UTF-8 become escapes such as \udce9."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
