"""What a person gave in a session, by its log, in the form in which episodes can be given it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mecca_agents.session import Entry, SessionError, SessionLog
from mecca_agents.session.actions import AddClicks, Choose, Reset, SetBox, SetMask, Step
from mecca_agents.session.inputs.scan import read_box
from mecca_agents.session.standing import standing
from mecca_env.data.base import Box, Triple
from mecca_env.data.grid.placement import ROUNDING
from mecca_env.data.recorded import RecordedPrompts

OWN_SHARE = 0.5
"""Share of the episodes of a case with a log in which the person's own prompts are given."""

Points: TypeAlias = NDArray[np.float64]
"""(K, 4): x, y, z and side of each point, voxels of the scan."""


@dataclass(frozen=True, eq=False)
class _Episode:
    """An episode of the agent and a person, as far as it has come.

    Attributes:
        box: What the person drew; None: nothing.
        steps: What was given before each step that was made.
        waiting: What was given since.
        from_mask: Whether it goes on from a mask.
        before_mask: The episode that was begun without one, before that mask, if it had a step.
    """

    box: Box | None = None
    steps: tuple[Points, ...] = ()
    waiting: tuple[Points, ...] = ()
    from_mask: bool = False
    before_mask: _Episode | None = None

    @property
    def playable(self) -> _Episode | None:
        """The latest part that begins without a mask and has a step; None where there is none."""
        return self.before_mask if self.from_mask or not self.steps else self


def own_prompts(log: SessionLog) -> RecordedPrompts | None:
    """What a person gave before each of their steps, without what was undone.

    It is what they did last that begins without a mask and has a step: since the last box or reset, and up to the first
    mask after that, since what follows a mask is about the mask. What no step has followed is left out.

    Args:
        log: Of the session.

    Returns:
        Their prompts; None where there are none to be given again.

    Raises:
        SessionError: It is no log that a session could have left: a point or box outside of the scan, or an undo of
            nothing.
    """
    now = _Episode()
    for place in standing(log.entries)[0]:
        now = _after(now, log.entries[place], log.shape)
    played = now.playable
    if played is None:
        return None
    return RecordedPrompts(
        tuple(step[:, :3] for step in played.steps),
        tuple(step[:, 3].astype(np.int8) for step in played.steps),
        played.box,
    )


def fits(prompts: RecordedPrompts, signed: bool) -> bool:
    """Whether the points of a log have sides where a run was trained with them, and none where it was not."""
    return all(bool(((signs != 0) == signed).all()) for signs in prompts.signs)


def _after(now: _Episode, entry: Entry, shape: tuple[int, ...]) -> _Episode:
    """The episode after an action."""
    details, name = entry.details, entry.action
    if name == SetBox.name:
        return _Episode(box=read_box(details["low"], details["high"], _triple(shape)))
    if name == Reset.name:
        return _Episode(box=now.box)
    if name == SetMask.name:
        return _Episode(box=now.box, from_mask=True, before_mask=now.playable)
    if name == AddClicks.name:
        return replace(now, waiting=(*now.waiting, _points(details, shape)))
    if name in (Step.name, Choose.name):
        return replace(now, steps=(*now.steps, np.concatenate((np.empty((0, 4)), *now.waiting))), waiting=())
    return now


def _points(details: Mapping[str, Any], shape: tuple[int, ...]) -> Points:
    given = details["points"]
    side = {True: 1, False: -1}.get(details.get("inside"), 0)  # type: ignore[arg-type]
    if {len(point) for point in given} == {3}:
        points = np.array(given, np.float64)
        if ((points >= -0.5 - ROUNDING) & (points <= np.array(shape) - 0.5 + ROUNDING)).all():
            return np.column_stack((points, np.full(len(points), side)))
    raise SessionError(f"log: expected points of a scan of {shape} voxels, found {given!r:.80}")


def _triple(shape: tuple[int, ...]) -> Triple:
    a, b, c = shape
    return a, b, c
