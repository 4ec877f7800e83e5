"""The runs that come with the package, by name."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from mecca_agents.runs.config import is_run

SHIPPED = Path(__file__).parents[1] / "data"
"""Where they are kept, each in a folder of its name."""

DEFAULT = "general"
"""The one that acts where none is asked for."""


def shipped() -> tuple[str, ...]:
    """The names of all of them."""
    return tuple(sorted(folder.name for folder in SHIPPED.iterdir() if is_run(folder)))


def find_run(run: str | PathLike[str] | None = None) -> Path:
    """The folder of a run: of one's own, or where there is none by that path, of one that comes with the package.

    Args:
        run: A folder, or the name of a run that comes with the package; None: `DEFAULT`.
    """
    if run is None:
        return SHIPPED / DEFAULT
    folder = Path(run)
    return SHIPPED / folder if not folder.exists() and str(run) in shipped() else folder
