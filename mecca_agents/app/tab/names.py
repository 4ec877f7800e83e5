"""Names that people know: of files in complaints, of files to save, and of an object as a project's target."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from mecca_agents.app.tab.objects import ObjectList
from mecca_agents.session import SessionError

Done = TypeVar("Done")

_LONGEST_NAME = 255  # bytes, in the file systems of today
_LONGEST_TARGET = 40


def fitting(name: str, ending: str) -> str:
    """A name and an ending, shortened where no file could be called so."""
    return name.encode(errors="replace")[: _LONGEST_NAME - len(ending)].decode(errors="ignore") + ending


def with_names(paths: Sequence[Path], names: Sequence[str], do: Callable[[], Done]) -> Done:
    """Do something with files, and name them in its complaints as people know them."""
    try:
        return do()
    except ValueError as error:
        text = str(error)
        for path, name in zip(paths, names, strict=True):
            text = text.replace(str(path), name)
        raise type(error)(text) from error


def target_of(objects: ObjectList) -> str | None:
    """The name of the chosen object in one word, as a project's target; None: it is the only one and nobody named it.

    Raises:
        SessionError: There are several and nobody named this one, the name has no letter and no digit, or another
            object's name would be the same word: one would take the other's place.
    """
    name, names = objects.now.name, [item.name for item in objects.others]
    if re.fullmatch(r"Object \d+", name):
        if names:
            raise SessionError(f"accept: expected a name for each of several objects, got {name!r}; name it first")
        return None
    word = _word(name)
    if not word:
        raise SessionError(f"accept: expected an object's name with letters or digits, got {name!r}")
    same = next((other for other in names if _word(other) == word), None)
    if same is not None:
        raise SessionError(f"accept: expected objects that differ in letters or digits, got {name!r} and {same!r}")
    return word


def _word(name: str) -> str:
    word = re.sub(r"_{2,}", "_", re.sub(r"[^\w-]+", "-", name))
    return word[:_LONGEST_TARGET].strip("-_")
