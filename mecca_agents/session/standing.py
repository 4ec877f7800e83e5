"""Which actions of a log stand, and which were taken back."""

from __future__ import annotations

from collections.abc import Sequence

from mecca_agents.session.actions import AddClicks, Redo, Save, Undo
from mecca_agents.session.errors import SessionError
from mecca_agents.session.log import SET_IMAGE, Entry

_NO_ACTIONS = (SET_IMAGE, Save.name)


def standing(entries: Sequence[Entry]) -> tuple[list[int], list[int]]:
    """Places in a log of the actions that are done, and of those that were undone, the last one of each last.

    What changed nothing, such as clicks that were there before, is in neither, since no `undo` takes it back.

    Raises:
        SessionError: The log undoes, or does again, what is not there.
    """
    done, undone = list[int](), list[int]()
    for place, entry in enumerate(entries):
        if entry.action in (Undo.name, Redo.name):
            back, forth = (done, undone) if entry.action == Undo.name else (undone, done)
            if not back:
                raise SessionError(f"log: expected something to {entry.action}, found nothing")
            forth.append(back.pop())
        elif entry.action not in _NO_ACTIONS and not (entry.action == AddClicks.name and entry.details["new"] == 0):
            done.append(place)
            undone.clear()
    return done, undone
