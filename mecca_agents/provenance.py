"""What a run was made with: versions of the packages that matter, and the commit of the code."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = ("mecca", "torch", "gymnasium", "numpy")


def versions() -> dict[str, str]:
    """Of Python and of `PACKAGES`."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}}


def commit(file: Path = Path(__file__)) -> str | None:
    """The git commit that a file is part of, with "-dirty" where its work tree was changed since; None without one."""
    tracked = _git(file.parent, "ls-files", "--error-unmatch", file.name)  # an installation can lie in another's tree
    if tracked is None:
        return None
    return _git(file.parent, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
