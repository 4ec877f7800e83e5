"""The moments of a session, the way back, and the contract of an action: it leads from one moment to the next."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from typing_extensions import Self

from mecca_agents.session.errors import SessionError
from mecca_agents.session.inputs.scan import Image
from mecca_agents.session.playing.episode import EpisodePlayer
from mecca_agents.session.playing.moment import Moment

MOST_UNDONE = 100
"""Actions that can be undone; the oldest are forgotten first."""

Result = TypeVar("Result")
"""Type of the value that an action returns to its caller."""

Details = dict[str, Any]
"""Entries that a log keeps of an action: what it was given and what came of it, as JSON."""


class Action(ABC, Generic[Result]):
    """Something that a person does in a session; its fields are what it is given.

    Attributes:
        name: What a log calls it.
        logged: What a log keeps of it, by name, each with the function that reads it from JSON.
        logged_where_there: The same of what it keeps only where there is something to keep.
        begins_episode: Whether an episode of the agent begins with it.
    """

    name: ClassVar[str]
    logged: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}
    logged_where_there: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}
    begins_episode: ClassVar[bool] = False

    @classmethod
    def from_log(cls, details: Mapping[str, Any]) -> Self:
        """The action that a log keeps these details of."""
        return cls()

    @abstractmethod
    def do(self, history: History) -> tuple[Details, Result]:
        """Do it.

        Returns:
            Its details for the log, and its result.

        Raises:
            SessionError: It cannot be done; nothing has changed.
        """


class History:
    """The present moment of a session, and the moments before each action and after those that were undone.

    Args:
        player: Makes one moment of another.
        image: The scan that it begins with.

    Attributes:
        player: Makes one moment of another.
        now: The present moment; replaced by each action, once that has succeeded.
    """

    def __init__(self, player: EpisodePlayer, image: Image) -> None:
        self.player = player
        self.now = player.begin(image, None)
        self._past: deque[tuple[type[Action[Any]], Moment]] = deque(maxlen=MOST_UNDONE)
        self._future: list[tuple[type[Action[Any]], Moment]] = []

    @property
    def can_undo(self) -> bool:
        """Whether there is a moment to go back to."""
        return self.undoable > 0

    @property
    def undoable(self) -> int:
        """Actions that can be taken back, `MOST_UNDONE` at most."""
        return len(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether there is a moment to go forth to."""
        return bool(self._future)

    def advance(self, action: Action[Any], after: Moment) -> None:
        """Go on to the moment after an action, which can be undone."""
        self._past.append((type(action), self.now))  # its kind alone: what it was given may be a large array
        self._future.clear()
        self.now = after

    def back(self) -> type[Action[Any]]:
        """Take back the last action; its kind. Raises `SessionError`."""
        if not self._past:
            raise SessionError("undo: expected an action to take back, got none")
        kind, before = self._past.pop()
        self._future.append((kind, self.now))
        self.now = before
        return kind

    def forth(self) -> type[Action[Any]]:
        """Do again what was taken back last; its kind. Raises `SessionError`."""
        if not self._future:
            raise SessionError("redo: expected an action that was undone, got none")
        kind, after = self._future.pop()
        self._past.append((kind, self.now))
        self.now = after
        return kind

    def moments(self) -> list[Moment]:
        """The moments right after each step since the last box, mask or reset.

        Raises:
            SessionError: The first steps are beyond what can be undone.
        """
        found, after = list[Moment](), self.now
        for kind, before in reversed(self._past):
            if kind.begins_episode:
                break
            if len(before.answers) < len(after.answers):  # a step
                found.append(after)
            after = before
        if len(found) != len(self.now.answers):
            raise SessionError(
                f"session: expected at most {MOST_UNDONE} actions since its last box, mask or reset, found more: "
                "its first steps are forgotten"
            )
        return found[::-1]
