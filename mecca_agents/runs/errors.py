"""The error about a run's folder."""

from __future__ import annotations


class RunError(ValueError):
    """A run's folder cannot be used; the message names it, what was expected and what was found."""
