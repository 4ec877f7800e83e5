"""Which of two proposals is better: a question of the session that stands until it is answered or passed over."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mecca_agents.session import InteractiveSession, SessionError

Pair = tuple[NDArray[np.bool_], NDArray[np.bool_]]

QUESTION = "question"
"""What is taken back where `undo` finds one."""


class Question:
    """Two proposals of the next step, as long as one of them can be taken and nobody said that neither is wanted.

    Whatever changes the session passes it over. It is there again where `undo` leads back to the moment at which it was
    asked, so that another answer can be given.

    Args:
        session: Gives the session of now.
    """

    def __init__(self, session: Callable[[], InteractiveSession]) -> None:
        self._session = session
        self._asked = self._ended = 0

    @property
    def masks(self) -> Pair | None:
        """The two, (X, Y, Z) each; None where there is no question."""
        return None if self._asked == self._ended else self._session().proposed

    @property
    def number(self) -> int:
        """Other than that of any question before it; 0 where there is none."""
        return 0 if self.masks is None else self._asked

    def ask(self) -> None:
        """Let the agent make two proposals (`InteractiveSession.proposals`); asked again, two others.

        Raises:
            SessionError: The agent makes none, is in no doubt, or its answer is no action; or the session is at work.
        """
        session = self._session()
        if fault := cannot_ask(session):
            raise SessionError(f"proposals: {fault}")
        session.proposals()
        self._asked += 1

    def take(self, index: int) -> None:
        """Take one of them, 0 or 1 (`InteractiveSession.choose`). Raises `SessionError` where there is no question."""
        if self.masks is None:
            raise SessionError("take: expected two proposals, got none; ask for them first (Q)")
        self._session().choose(index)

    def end(self) -> bool:
        """Neither is wanted; whether there was a question."""
        if self.masks is None:
            return False
        self._ended = self._asked
        return True

    def refuse(self, what: str) -> None:
        """Raise `SessionError` where there is one: nobody sees the mask that this would be about."""
        if self.masks is not None:
            raise SessionError(
                f"{what}: expected an answer first, one of the two proposals (1, 2) or neither (Esc), got none yet"
            )


def cannot_ask(session: InteractiveSession) -> str:
    """Why the agent of a session makes no proposals, in words; empty where it does."""
    model = session.model
    return "" if model.proposes else f"expected an agent that proposes, got {model.method}, which has one answer alone"
