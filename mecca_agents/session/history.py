"""The moments of a session: how each action leads from one to the next, and the way back."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from operator import index
from typing import Any

from mecca_agents.session.episode import Moment, Play
from mecca_agents.session.layers import whole_layer
from mecca_agents.session.log import Entry, SessionError
from mecca_agents.session.mask import BoxedMask, boxed, open_mask, unpacked
from mecca_agents.session.scan import Image
from mecca_env.data.base import Box, Triple
from mecca_env.state import State

MOST_UNDONE = 100
"""Actions that can be undone; the oldest are forgotten first."""


class Course:
    """Where a session stands, and where it stood before each action.

    Args:
        play: What the actions mean.
        image: The scan that it begins with.

    Attributes:
        now: The present moment; replaced by each action, once that has succeeded.
    """

    def __init__(self, play: Play, image: Image) -> None:
        self._play = play
        self.now = play.begin(image, None)
        self._past: deque[tuple[str, Moment]] = deque(maxlen=MOST_UNDONE)
        self._future: list[tuple[str, Moment]] = []

    @property
    def can_undo(self) -> bool:
        """Whether there is a moment to go back to."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether there is a moment to go forth to."""
        return bool(self._future)

    def states(self) -> list[State]:
        """What the agent saw at each step since the last box, mask or reset, and what there is now.

        Raises:
            SessionError: The first steps are beyond what can be undone.
        """
        found = [self.now.state]
        for action, before in reversed(self._past):
            if action in ("set_box", "set_mask", "reset"):
                break
            if action == "step":
                found.append(before.state)
        if len(found) != len(self.now.answers) + 1:
            raise SessionError(
                f"session: expected one of at most {MOST_UNDONE} actions since its box, found more: its first steps "
                "are forgotten"
            )
        return found[::-1]

    def act(self, action: str, details: Mapping[str, Any], show: bool = True) -> tuple[dict[str, Any], Any]:
        """Do what a log calls by that name.

        Args:
            action: See `Entry`.
            details: What it is given.
            show: Make the mask of a "step" that is to be returned.

        Returns:
            Details for the log; and the clicks of "add_clicks", the mask of "step", what "undo" and "redo" did.

        Raises:
            SessionError: It cannot be done; nothing has changed.
        """
        now = self.now
        match action:
            case "set_box":
                box = read_box(details["low"], details["high"], now.image.shape)
                self._go(action, self._play.begin(now.image, box))
                low, high = box or (None, None)
                return {"low": low and list(low), "high": high and list(high)}, None
            case "set_mask":
                boxed_mask, noted = _mask_of(details, now.image)
                self._go(action, self._play.go_on(now, boxed_mask))
                return noted, None
            case "add_clicks":
                after, made = self._play.click(now, details["points"])
                if after is not now:
                    self._go(action, after)
                new = sum(not click.repeated for click in made)
                return {"points": [list(click.point) for click in made], "new": new}, made
            case "step":
                after = self._play.step(now)
                mask = whole_layer(after, "mask") if show else None
                self._go(action, after)
                return {"number": len(after.answers), "clicks": len(now.waiting)}, mask
            case "reset":
                self._go(action, self._play.again(now))
                return {}, None
            case "undo" | "redo":
                what = self._back() if action == "undo" else self._forth()
                return {"what": what}, what
        raise SessionError(f"log: expected an action of a session, found {action!r}")

    def repeat(self, entries: Sequence[Entry]) -> None:
        """Do all of these actions.

        Raises:
            SessionError: One of them cannot be done, or does not lead where it led.
        """
        for number, entry in enumerate(entries, 1):
            if entry.action == "save":
                continue
            details, _ = self.act(entry.action, entry.details, show=False)
            if details != entry.details:
                raise SessionError(
                    f"log: expected action {number}, {entry.action}, to give {entry.details}, got {details}"
                )

    def _go(self, action: str, after: Moment) -> None:
        self._past.append((action, self.now))
        self._future.clear()
        self.now = after

    def _back(self) -> str:
        if not self._past:
            raise SessionError("undo: expected an action to take back, got none")
        action, before = self._past.pop()
        self._future.append((action, self.now))
        self.now = before
        return action

    def _forth(self) -> str:
        if not self._future:
            raise SessionError("redo: expected an action that was undone, got none")
        action, after = self._future.pop()
        self._past.append((action, self.now))
        self.now = after
        return action


def _mask_of(details: Mapping[str, Any], image: Image) -> tuple[BoxedMask, dict[str, Any]]:
    """A mask as it is given ("mask") or as a log has it, and as a log has it."""
    if "mask" in details:
        mask = boxed(open_mask(details["mask"], image.shape, image.affine))
        return mask, mask.details()
    box = read_box(details["low"], details["high"], image.shape)
    if box is None:
        raise SessionError("log: expected the box of a mask, found none")
    return unpacked(details, box), dict(details)


def read_box(low: Sequence[int] | None, high: Sequence[int] | None, shape: Triple) -> Box | None:
    """A box of the scan, high exclusive; None where neither corner is given. Raises `SessionError`."""
    if low is None and high is None:
        return None
    try:
        corners = [
            (index(a), index(b)) for a, b in zip([] if low is None else low, [] if high is None else high, strict=True)
        ]
    except (TypeError, ValueError):
        corners = []
    if len(corners) != 3 or not all(0 <= a < b <= n for (a, b), n in zip(corners, shape, strict=True)):
        raise SessionError(f"box: expected whole numbers 0 <= low < high <= {shape}, got low={low!r}, high={high!r}")
    (a, b), (c, d), (e, f) = corners
    return (a, c, e), (b, d, f)
