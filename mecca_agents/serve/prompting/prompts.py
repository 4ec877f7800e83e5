"""Prompts of other programs' viewers, done in a session: nothing in here knows how they arrive.

A viewer sends one prompt at a time and shows what comes of it. A session knows boxes, clicks, masks and steps. One
prompt is some of these, all of them or, refused, none; and it is undone as one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mecca_agents.serve.prompting.boxes import DrawnBoxes, read_drawn
from mecca_agents.serve.prompting.marks import edge_voxels, sided_voxels
from mecca_agents.session import InteractiveSession, Model, SessionError
from mecca_agents.session.history import MOST_UNDONE
from mecca_agents.session.inputs.drawn import voxels_of
from mecca_agents.session.inputs.scan import ImageLike
from mecca_agents.session.interactive import MOST_VOXELS
from mecca_agents.session.playing.views import GROWTH, around, opening
from mecca_env.data.base import Box
from mecca_env.data.grid.cutting import bounding_box

MOST_GROWTHS = 3
"""How often a box that was drawn on one slice alone is made deeper, where the mask reaches its end."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a viewer is to show after a prompt.

    Attributes:
        ran: Whether the agent acted, or something was undone.
        box: Of the scan, high exclusive: all that has changed of the mask since the answer before; None: nothing has.
        part: The mask in it.
    """

    ran: bool
    box: Box | None = None
    part: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class _Said:
    """What is known of the prompts so far, and is not in the session.

    Attributes:
        drawn: Boxes.
        reach: Times that their guessed depth is larger than at first.
        waiting: Whether the agent has not answered the last of them.
    """

    drawn: DrawnBoxes = DrawnBoxes()
    reach: float = 1.0
    waiting: bool = False


@dataclass
class _Prompt:
    """A prompt that can be undone: how many actions of the session it was, and what was known before it."""

    before: _Said
    actions: int = 0


class PromptedSession:
    """A session, and what a viewer has been told of it.

    Everything is in voxels of the scan, (X, Y, Z), as in `InteractiveSession`. Points and marks are on one side of the
    target's border where the run was trained with signs; where it was not, they are clicks on an edge of it, whatever
    side they are said to be on.

    Args:
        model: The trained method, for one modality.
        most_voxels: Larger scans are refused.

    Attributes:
        session: The session.
        shown: What the viewer shows, as it was told, (X, Y, Z).
        prompts: Number of prompts that were taken for this scan.
    """

    def __init__(self, model: Model, *, most_voxels: int = MOST_VOXELS) -> None:
        self.session = InteractiveSession(model, most_voxels=most_voxels)
        self.shown: NDArray[np.bool_] = np.zeros((0, 0, 0), bool)
        self.prompts = 0
        self._signed = model.config.signed
        self._said = _Said()
        self._past: deque[_Prompt] = deque()

    @property
    def opened(self) -> bool:
        """Whether there is a scan."""
        return bool(self.shown.size)

    def set_image(self, image: ImageLike, affine: ArrayLike | None = None) -> None:
        """Open a scan; all prompts are gone. Raises as `InteractiveSession.set_image`."""
        self.session.set_image(image, affine)
        self._begin_anew()
        self.prompts = 0

    def show_nothing(self) -> None:
        """Note that the viewer shows an empty mask: the next answer tells it of all that there is."""
        self.shown = np.zeros(self.session.shape, bool)

    def reset(self) -> None:
        """Forget all prompts; the scan stays, and the log begins anew."""
        self.session.reopen()
        self._begin_anew()

    def add_point(self, point: Sequence[float], inside: bool, predict: bool = True) -> Answer:
        """A point.

        Args:
            point: Voxel, may be a fraction.
            inside: Whether it lies inside the target.
            predict: Let the agent act.

        Raises:
            SessionError: It lies outside the scan.
        """
        return self._marked(np.array([point], float), inside, predict)

    def add_scribble(self, mark: NDArray[np.bool_], low: Sequence[int], inside: bool, predict: bool = True) -> Answer:
        """A line, as a mask.

        Args:
            mark: A part of the scan, (x, y, z).
            low: Its first voxel.
            inside: Whether it lies inside the target.
            predict: Let the agent act.

        Raises:
            SessionError: It is empty.
        """
        return self._marked(self._voxels(mark, low), inside, predict)

    def add_lasso(self, mark: NDArray[np.bool_], low: Sequence[int], inside: bool, predict: bool = True) -> Answer:
        """An area, as a mask: all of it, or its outline where the run knows edges alone. See `add_scribble`."""
        return self._marked(self._voxels(mark, low), inside, predict)

    def add_box(self, low: Sequence[float], high: Sequence[float], inside: bool, predict: bool = True) -> Answer:
        """A box around the target, or one that lies outside of it; often one voxel deep, on a slice.

        Args:
            low: First voxel.
            high: Opposite corner, exclusive.
            inside: Whether the target lies inside; if not, the voxels of the box are marked as outside.
            predict: Let the agent act.

        Raises:
            SessionError: It lies outside the scan; or it is to be outside the target and the run knows no signs.
        """
        box = read_drawn(low, high, self.session.shape)
        if box is None:
            raise SessionError(f"box: expected one of the scan's {self.session.shape} voxels, got {low} to {high}")
        if not inside:
            if not self._signed:
                raise SessionError("box: expected one around the target, since this run knows no signs, got another")
            sides = [b - a for a, b in zip(*box, strict=True)]
            return self._marked(self._voxels(np.ones(sides, bool), box[0]), inside, predict)
        with self._prompt() as prompt:
            self._said = replace(self._said, drawn=self._said.drawn.also(box), waiting=True)
            self._draw(prompt)
            return self._answer(prompt, predict)

    def set_mask(self, mask: NDArray[np.bool_], predict: bool = False) -> Answer:
        """Go on from a mask, which the viewer shows already; all other prompts are gone.

        Args:
            mask: (X, Y, Z); where it is empty, everything begins anew.
            predict: Let the agent act.

        Raises:
            SessionError: It has another shape than the scan, or the scan is constant in it.
        """
        if mask.shape != self.session.shape:
            raise SessionError(f"mask: expected the scan's shape {self.session.shape}, got {mask.shape}")
        with self._prompt() as prompt:
            self._said = _Said(waiting=bool(mask.any()))
            self._do(prompt, self.session.set_box)
            if mask.any():
                self._do(prompt, self.session.set_mask, mask)
            return self._answer(prompt, predict, shown=mask)

    def predict(self) -> Answer:
        """Let the agent act on the prompts that wait, or once more; nothing happens where there are none at all."""
        if self.session.pristine and self.session.box is None:
            return Answer(False)
        together = self._past.pop() if self._said.waiting and self._past else None
        with self._prompt(together) as prompt:
            return self._answer(prompt, True)

    def undo(self) -> Answer:
        """Take back the last prompt and all that came of it."""
        if not self._past:
            return Answer(False)
        prompt = self._past.pop()
        self._take_back(prompt, 0, prompt.before)
        return self._told(self.session.mask())

    def _begin_anew(self) -> None:
        self._said = _Said()
        self._past.clear()
        self.show_nothing()

    @contextmanager
    def _prompt(self, together: _Prompt | None = None) -> Iterator[_Prompt]:
        """All that is done in it is one prompt; where it is refused, nothing was done.

        Args:
            together: The prompt before, if what is done is to be undone together with it.
        """
        prompt = together or _Prompt(self._said)
        actions, said = prompt.actions, self._said
        try:
            yield prompt
        except BaseException:
            self._take_back(prompt, actions, said)
            self._past.extend([together] if together else [])
            raise
        self._past.append(prompt)
        self.prompts += together is None
        while len(self._past) > 1 and sum(each.actions for each in self._past) > MOST_UNDONE:
            self._past.popleft()

    def _do(self, prompt: _Prompt, action: Callable[..., Any], *given: Any) -> Any:
        found = action(*given)
        prompt.actions += 1
        return found

    def _take_back(self, prompt: _Prompt, actions: int, said: _Said) -> None:
        """Undo what a prompt has done beyond so many actions."""
        while prompt.actions > actions:
            self.session.undo()
            prompt.actions -= 1
        self._said = said

    def _voxels(self, mark: NDArray[np.bool_], low: Sequence[int]) -> NDArray[np.float64]:
        if not mark.any():
            raise SessionError("mark: expected one voxel at least, got none")
        voxels = sided_voxels(mark) if self._signed else edge_voxels(mark)
        points: NDArray[np.float64] = voxels + np.array(low, float)
        return points

    def _marked(self, points: NDArray[np.float64], inside: bool, predict: bool) -> Answer:
        shape = self.session.shape
        if not ((points >= -0.5) & (points <= np.array(shape) - 0.5)).all():
            raise SessionError(f"point: expected one of the scan's {shape} voxels, got {points[0].tolist()}")
        with self._prompt() as prompt:
            self._said = replace(self._said, waiting=True)
            self._show(prompt, points)
            self._click(prompt, points, inside)
            return self._answer(prompt, predict)

    def _click(self, prompt: _Prompt, points: NDArray[np.float64], inside: bool) -> None:
        made = self.session.add_clicks(points, inside if self._signed else None)
        prompt.actions += any(not click.repeated for click in made)

    def _show(self, prompt: _Prompt, points: NDArray[np.float64]) -> None:
        """Make the agent see where points lie, where it does not do so by itself."""
        session, model = self.session, self.session.model
        if model.finds_its_view:
            return
        if session.box is None and session.pristine:
            box = opening(points[0].tolist(), session.spacing, session.shape, self._usual)
            self._look(prompt, around(box, points, session.shape))
        elif (view := around(session.view, points, session.shape)) != session.view:
            self._look(prompt, view)

    def _draw(self, prompt: _Prompt) -> None:
        """Begin in the box that the drawn ones make."""
        session, said = self.session, self._said
        mask = session.mask()
        also = bounding_box(mask) if mask.any() else None
        box = said.drawn.whole(session.shape, session.spacing, usual=self._usual, reach=said.reach, also=also)
        self._look(prompt, box, mask)

    def _look(self, prompt: _Prompt, box: Box, mask: NDArray[np.bool_] | None = None) -> None:
        """Begin in a box, and tell the agent again of the mask and of the clicks that there are."""
        session = self.session
        mask = session.mask() if mask is None else mask
        points = np.array([click.point for click in session.clicks]).reshape(-1, 3)
        voxels = voxels_of(points, ((0, 0, 0), session.shape)).tolist()
        clicks = dict(zip(map(tuple, voxels), session.clicks, strict=True))  # the last word counts
        self._do(prompt, session.set_box, *box)
        (a, b, c), (d, e, f) = session.view
        seen = np.zeros_like(mask)
        seen[a:d, b:e, c:f] = mask[a:d, b:e, c:f]
        if seen.any():
            self._do(prompt, session.set_mask, seen)
        for inside in (True, False) if self._signed else (None,):
            seen_points = [
                click.point for click in clicks.values() if click.inside == inside and self._sees(click.point)
            ]
            if seen_points:
                self._click(prompt, np.array(seen_points), bool(inside))

    def _sees(self, point: Sequence[float]) -> bool:
        low, high = self.session.view
        return self.session.model.finds_its_view or all(
            a - 0.5 <= p <= b - 0.5 for a, p, b in zip(low, point, high, strict=True)
        )

    def _answer(self, prompt: _Prompt, predict: bool, shown: NDArray[np.bool_] | None = None) -> Answer:
        """Step, where the viewer wants one, and tell it of what has changed since what it shows."""
        if not predict:
            self.shown = self.shown if shown is None else shown.copy()
            return Answer(False)
        mask = self._do(prompt, self.session.step)
        for _ in range(MOST_GROWTHS):
            if not self._is_cut_off(mask):
                break
            self._said = replace(self._said, reach=self._said.reach * (1 + GROWTH))
            self._draw(prompt)
            mask = self._do(prompt, self.session.step)
        self._said = replace(self._said, waiting=False)
        if shown is not None:
            self.shown = shown
        return self._told(mask)

    def _is_cut_off(self, mask: NDArray[np.bool_]) -> bool:
        """Whether the mask reaches the end of what the agent sees along an axis whose box is a guess."""
        low, high = self.session.view
        ends = [
            mask.take(index, axis)
            for axis in (self._said.drawn.guessed(mask.shape) if self._said.drawn.boxes else ())
            for index, there_is_more in ((low[axis], low[axis] > 0), (high[axis] - 1, high[axis] < mask.shape[axis]))
            if there_is_more
        ]
        return any(end.any() for end in ends)

    def _told(self, mask: NDArray[np.bool_]) -> Answer:
        changed = mask != self.shown
        self.shown = mask
        if not changed.any():
            return Answer(True)
        box = bounding_box(changed)
        return Answer(True, box, mask[tuple(slice(a, b) for a, b in zip(*box, strict=True))])

    @property
    def _usual(self) -> float:
        """Millimetres that a target's surroundings have where nobody said it: the middle of what training drew."""
        least, most = self.session.model.config.click_side
        return math.sqrt(least * most)
