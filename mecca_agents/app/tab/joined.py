"""Which actions of a session are one for a person: those of a stroke of the brush."""

from __future__ import annotations

from collections.abc import Sequence

from mecca_agents.session.errors import SessionError
from mecca_agents.session.log import Entry
from mecca_agents.session.standing import standing


class Joined:
    """Remembers them by their places in the session's log."""

    def __init__(self) -> None:
        self._by_last: dict[int, tuple[str, int]] = {}

    def __len__(self) -> int:
        """How many there were."""
        return len(self._by_last)

    def join(self, entries: Sequence[Entry], name: str, count: int) -> None:
        """The last so many actions of the log are one, which has this name."""
        self._by_last[len(entries) - 1] = (name, count)

    def to_undo(self, entries: Sequence[Entry], undoable: int) -> tuple[str, int] | None:
        """What is undone next where it is one of these: its name and its number of actions.

        Args:
            entries: The log.
            undoable: Actions that can still be taken back.

        Raises:
            SessionError: Of one of these only a part can.
        """
        done, _ = standing(entries)
        found = self._by_last.get(done[-1]) if done else None
        if found is not None and 0 < undoable < found[1]:
            raise SessionError(f"undo: expected the {found[1]} actions of the {found[0]}, got {undoable} of them")
        return found

    def to_redo(self, entries: Sequence[Entry]) -> tuple[str, int] | None:
        """What is done again next, likewise."""
        _, undone = standing(entries)
        for last, (name, count) in self._by_last.items():
            if undone[-count:][::-1] == list(range(last - count + 1, last + 1)):
                return name, count
        return None
