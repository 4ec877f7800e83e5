"""Libraries that only some parts need: the extras of pyproject.toml, and how to say that one is missing."""

from __future__ import annotations


def install_command(extra: str) -> str:
    """The command that installs an extra, for a shell in a clone of the repository."""
    return f'pip install -e ".[{extra}]"'


def missing(who: str, library: str, extra: str) -> str:
    """A sentence for an error: who needs which library, and how it is installed."""
    return f"{who} needs {library}; install it in a clone of the repository with {install_command(extra)}"
