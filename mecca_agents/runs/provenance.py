"""Provenance of a run: versions of the packages that matter, and the commit of the code."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

PACKAGES = {"mecca": "mecca_env", "torch": "torch", "gymnasium": "gymnasium", "numpy": "numpy"}
"""The packages that matter, and the module of each."""


def versions() -> dict[str, str | None]:
    """Of Python and of `PACKAGES`; None of one that runs without being installed and does not say."""
    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


def differences(before: Mapping[str, str | None], now: Mapping[str, str | None]) -> list[str]:
    """Everything that is not the same, as "torch 2.4, now 2.5"."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return [f"{name} {before.get(name) or 'unknown'}, now {now.get(name) or 'unknown'}" for name in names]


def commit(file: Path = Path(__file__)) -> str | None:
    """The git commit that a file is part of, with "-dirty" where its work tree was changed since; None without one."""
    tracked = _git(file.parent, "ls-files", "--error-unmatch", file.name)  # an installation can lie in another's tree
    if tracked is None:
        return None
    return _git(file.parent, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return getattr(sys.modules.get(PACKAGES[package]), "__version__", None)


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
