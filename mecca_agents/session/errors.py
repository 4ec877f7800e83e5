"""The error of a session that is asked for something it cannot do."""

from __future__ import annotations


class SessionError(ValueError):
    """An interactive session cannot do what it is asked for; the message says what was expected and what was given."""
