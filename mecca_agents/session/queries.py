"""Queries of a session: everything that only looks, may be called from any thread and never waits."""

from __future__ import annotations

import time
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mecca_agents.session.choosing import Proposals
from mecca_agents.session.errors import SessionError
from mecca_agents.session.history import History
from mecca_agents.session.log import Entry, SessionLog
from mecca_agents.session.playing.episode import EpisodePlayer
from mecca_agents.session.playing.layers import Layer, Region, advised_regions, layer_slice, whole_layer
from mecca_agents.session.playing.model import Model
from mecca_agents.session.playing.moment import Chosen, Click, Moment
from mecca_agents.session.timing import StepTime, step_times
from mecca_env.data.base import Box, Triple
from mecca_env.data.world.nifti import Header


class SessionQueries:
    """Reads the present moment once in each call, so that what it returns is of one moment.

    Args:
        model: The trained method.

    Attributes:
        model: The trained method; `model.method` and, in words, `model.trained_on`.
        version: Grows with every change: what was drawn at the same version is still right.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.version = 0
        self._player = EpisodePlayer(model)
        self._history: History | None = None
        self._proposals: Proposals | None = None
        self._entries: tuple[Entry, ...] = ()
        self._opened_at = 0.0  # by the clock of `time.perf_counter`
        self._closed = False

    @property
    def _moment(self) -> Moment:
        return self._opened_history().now

    def _opened_history(self) -> History:
        history = self._history
        if self._closed:
            raise SessionError("session: expected an open one, got one that was closed")
        if history is None:
            raise SessionError("session: expected a scan, got none yet; call set_image() first")
        return history

    # On the scan's own grid

    def mask(self, step: int | None = None) -> NDArray[np.bool_]:
        """The segmentation as the step returned it, (X, Y, Z); before the first empty, or the one of `set_mask`.

        Args:
            step: After which step, from 1; None: now.
        """
        return cast("NDArray[np.bool_]", whole_layer(self._moment, "mask", step))

    def probability(self) -> NDArray[np.float32]:
        """Of foreground, (X, Y, Z), 0 outside what the last step saw."""
        return cast("NDArray[np.float32]", whole_layer(self._moment, "probability"))

    def action(self) -> NDArray[np.float32] | None:
        """Change of each probability that the last step asked for, (X, Y, Z) in [-1, 1]; None before the first step."""
        return whole_layer(self._moment, "action")

    def confidence(self) -> NDArray[np.float32] | None:
        """The agent's confidence in that action, (X, Y, Z) in [0, 1]; None before a step and of methods without one."""
        return whole_layer(self._moment, "confidence")

    def advice(self) -> list[Region]:
        """Regions to click in next, the least confident first; empty before a step and without a guide."""
        return advised_regions(self._moment, self._player)

    def overlay(self, layer: Layer, axis: int, index: int) -> NDArray[Any] | None:
        """One slice of a layer, in milliseconds: the values that `mask()` and the others have there.

        Args:
            layer: Which one. "mask" is bool; "advice" too, True where any region of `advice` lies; "hint" is what the
                clicks tell the agent, in [0, 1].
            axis: 0, 1 or 2.
            index: Of the slice.

        Returns:
            The slice along the two other axes, in their order; None where there is no such layer now.
        """
        moment = self._moment
        _check_slice(axis, index, moment.image.shape)
        return layer_slice(moment, layer, axis, index)

    def image_slice(self, axis: int, index: int, modality: int = 0) -> NDArray[np.float32]:
        """One slice of the scan along the two other axes, in their order."""
        image = self._moment.image
        _check_slice(axis, index, image.shape)
        return image.slice(axis, index, self._checked(modality))

    def intensity_range(self, modality: int = 0) -> tuple[float, float]:
        """A window to begin with: the 1st and the 99th percentile of the scan, padding and metal aside."""
        return self._moment.image.range(self._checked(modality))

    # Where it stands

    @property
    def shape(self) -> Triple:
        """Voxels of the scan, (X, Y, Z)."""
        return self._moment.image.shape

    @property
    def affine(self) -> NDArray[np.float64]:
        """Voxel index to world millimetres (RAS+), (4, 4)."""
        return self._moment.image.affine.copy()

    @property
    def header(self) -> Header | None:
        """What the file of a NIfTI scan says of its place, for `mecca_env.data.saving.save_mask`; None of others."""
        return self._moment.image.header

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Size of a voxel, millimetres."""
        x, y, z = np.linalg.norm(self._moment.image.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def box(self) -> Box | None:
        """The box, high exclusive; None: the whole scan."""
        return self._moment.box

    @property
    def view(self) -> Box:
        """Box that the agent sees and where clicks are taken, high exclusive."""
        return self._moment.view

    @property
    def steps(self) -> int:
        """Steps taken."""
        return len(self._moment.answers)

    @property
    def clicks(self) -> tuple[Click, ...]:
        """Every click, in order; those that wait for the next step have `click.step == session.steps + 1`."""
        return self._moment.clicks

    @property
    def pristine(self) -> bool:
        """Whether there is nothing that another box would take away: no mask, no click and no step."""
        moment = self._moment
        return moment.loaded is None and not moment.clicks and not moment.answers

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the scan's files; none where it was given as an array."""
        return self._moment.image.files

    def moments(self) -> list[Moment]:
        """The moments right after each step since the last box, mask or reset, and the present one: `steps` + 1.

        Raises:
            SessionError: The first steps are beyond what can be undone.
        """
        history = self._opened_history()
        return [*history.moments(), history.now]

    def choices(self) -> list[Chosen | None]:
        """The step at which a person chose of two proposals, for each step since the last box, mask or reset, or None.

        Raises:
            SessionError: As `moments`.
        """
        return [moment.chosen for moment in self._opened_history().moments()]

    @property
    def proposed(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
        """The two masks that one can be chosen of now, (X, Y, Z) each; None where none were asked for at this moment.

        What was done since puts them out of reach, and `undo` brings them back.
        """
        history, found = self._history, self._proposals
        return found.masks if history and found and found.before is history.now else None

    def log(self) -> tuple[Entry, ...]:
        """Everything done since the scan was opened, with its times."""
        self._opened_history()
        return self._entries

    def session_log(self) -> SessionLog:
        """The same with all that is needed to do it again, as `InteractiveSession.save_log` writes it."""
        image, model = self._moment.image, self.model
        return SessionLog(
            method=model.method,
            trained_on=model.trained_on,
            weights=model.weights,
            files=image.files,
            shape=image.shape,
            image=image.identity,
            entries=self._entries,
        )

    def timing(self) -> list[StepTime]:
        """Cost of each step: clicks, seconds of the person, seconds of the agent."""
        return step_times(self.log())[0]

    def waiting(self) -> StepTime:
        """The same of the step that is not taken yet, up to now."""
        return step_times(self.log(), self._seconds())[1]

    @property
    def can_undo(self) -> bool:
        """Whether `undo` has something to take back."""
        return self._opened_history().can_undo

    @property
    def undoable(self) -> int:
        """Actions that `undo` can take back, one after the other."""
        return self._opened_history().undoable

    @property
    def can_redo(self) -> bool:
        """Whether `redo` has something to do again."""
        return self._opened_history().can_redo

    def _seconds(self) -> float:
        """Since the scan was opened."""
        return time.perf_counter() - self._opened_at

    def _checked(self, modality: int) -> int:
        if not 0 <= modality < self.model.modalities:
            raise SessionError(f"modality: expected 0 to {self.model.modalities - 1}, got {modality!r}")
        return modality


def _check_slice(axis: int, index: int, shape: Triple) -> None:
    if axis not in (0, 1, 2):
        raise SessionError(f"axis: expected 0, 1 or 2, got {axis!r}")
    if not 0 <= index < shape[axis]:
        raise SessionError(f"index: expected 0 to {shape[axis] - 1} along axis {axis}, got {index!r}")
