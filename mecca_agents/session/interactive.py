"""The session: what may be done to a scan, one thing at a time, and what is kept of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from os import PathLike
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Self

from mecca_agents.session.accepting import put_case
from mecca_agents.session.actions import AddClicks, Choose, Redo, Reset, Save, SetBox, SetMask, Step, Undo
from mecca_agents.session.choosing import next_seed, propose
from mecca_agents.session.errors import SessionError
from mecca_agents.session.history import Action, History, Result
from mecca_agents.session.inputs.drawn import along, enclosed
from mecca_agents.session.inputs.mask import MaskLike
from mecca_agents.session.inputs.scan import Image, ImageLike, open_image
from mecca_agents.session.log import SET_IMAGE, Entry, SessionLog, read_log, replay
from mecca_agents.session.playing.layers import whole_layer
from mecca_agents.session.playing.model import Model, load_model
from mecca_agents.session.playing.moment import Click
from mecca_agents.session.queries import SessionQueries
from mecca_env.data.saving import refuse_over
from mecca_env.data.world.grids import checked_tolerance

MOST_VOXELS = 1 << 28
"""Scans of more voxels than this, over all modalities, are refused: 512 x 512 x 1024, a gigabyte as float32."""


class InteractiveSession(SessionQueries):
    """The environment's episode with a person in place of a simulated user: same dynamics, hints, guide, resampling.

    Everything is in voxels of the scan's own grid, (X, Y, Z) in nibabel's axis order: voxel (i, j, k) reaches from
    i - 0.5 to i + 0.5 along the first axis, so clicks may be fractions. The box plays the part that the label's box
    plays in the environment: the agent sees it and `EnvConfig.evaluation_extension` voxels more on every side, within
    the scan (`view`). Without a box it sees the whole scan.

    A call that is refused raises one `ValueError` that says what was expected and what was given, and changes nothing.

    Threads: the methods of this class that change the session, or save, work one at a time; while one of them works
    in another thread, they are refused (`busy`). What only looks (`SessionQueries`) may be
    called from any thread at any time, never waits, and shows the session as it was before a change or as it is after.

    Steps may be taken without clicks, the agent then goes on by itself; and more of them than an episode of the
    environment has.

    Args:
        run: A run's folder, a `Model` that sessions share, the name of one that comes with the package, or None:
            `mecca_agents.runs.shipped.DEFAULT`.
        checkpoint: "last" or "best".
        device: "auto", "cpu" or "cuda"; a `Model` has its own.
        most_voxels: Larger scans are refused, by the file's header, before they are read.
        tolerance: Millimetres that files of a scan, and masks of it, may lie apart; None: next to nothing
            (`mecca_env.data.world.grids.same_grid`).

    Attributes:
        tolerance: As given.

    Raises:
        mecca_agents.runs.RunError: The folder is no run, its weights are missing or damaged, or its method sees no
            hints.
        ValueError: There is no such device, or the tolerance is none.
    """

    def __init__(
        self,
        run: str | PathLike[str] | Model | None = None,
        *,
        checkpoint: str = "last",
        device: str = "auto",
        most_voxels: int = MOST_VOXELS,
        tolerance: float | None = None,
    ) -> None:
        super().__init__(run if isinstance(run, Model) else load_model(run, checkpoint=checkpoint, device=device))
        self._most_voxels = most_voxels
        self.tolerance = checked_tolerance(tolerance)
        self._working = threading.Lock()

    @property
    def busy(self) -> bool:
        """Whether a thread is changing the session right now."""
        return self._working.locked()

    def set_image(self, image: ImageLike, affine: ArrayLike | None = None) -> None:
        """Open a scan; what was there before is gone, history and log included.

        Args:
            image: A `.nii`, `.nii.gz`, `.hdr`, `.mha` or `.nrrd` file; one for each modality, in the order of the
                training; or intensities, (X, Y, Z) or (M, X, Y, Z). Read or copied at once: the file may vanish
                afterwards.
            affine: Of an array: (4, 4), voxel index to world millimetres (RAS+); None: the identity.

        Raises:
            mecca_env.data.base.DataError: No such file or no image; too large; another number of modalities than in
                the training; NaN or infinite voxels; a constant.
        """
        self._begin(lambda: self._open(image, affine))

    def reopen(self) -> None:
        """Begin with the scan that is open as if it was opened now. Raises `SessionError` where there is none."""
        self._begin(lambda: self._moment.image)

    def set_box(self, low: Sequence[int] | None = None, high: Sequence[int] | None = None) -> None:
        """Begin anew in a box around what is to be segmented, or in the whole scan; can be undone.

        Args:
            low: First voxel.
            high: Opposite corner, exclusive.

        Raises:
            SessionError: It is no box of the scan, or the scan is constant there.
        """
        self._do(SetBox(low, high))

    def set_mask(self, mask: MaskLike) -> None:
        """Go on from a mask, a saved one say; no clicks, and steps count from 1. Can be undone.

        Each probability is the one that a single step could have led to: a half and the largest adjustment, up in the
        mask and down around it. Until the next step `mask` is this one, voxel by voxel. Without a box, the mask's own
        is set. A method that does not look at the probability (DeepIGeoS) begins anew all the same.

        Args:
            mask: A file on the scan's grid, or (X, Y, Z), of numbers that need not be whole; what is above 0 is
                foreground, NaN is not.

        Raises:
            SessionError: It reaches beyond `view`, or the scan is constant there.
            mecca_env.data.base.DataError: It is none, is empty, or lies on another grid.
        """
        self._do(SetMask(mask))

    def add_clicks(self, points: ArrayLike, inside: bool | None = None) -> list[Click]:
        """Mark points; the agent sees them in the next step. All of them or, refused, none.

        An agent that was trained as in the paper wants points on wrong edges; one with signs, points that lie inside
        or outside the target.

        A point in a voxel of the agent's grid that was clicked before tells it nothing: it comes back `repeated` and
        is not kept. With signs the scan's voxel counts, and the side that was said of it last.

        Args:
            points: (K, 3) or (3,), voxels of the scan, inside `view`.
            inside: Whether they lie inside the target, for a run that was trained with signs (`signed=True`); None for
                any other.

        Returns:
            Each of them.

        Raises:
            SessionError: One of them lies outside `view`, or they are no points; or the run knows no signs and one was
                given, or the other way round; or it is neither True nor False.
        """
        return self._do(AddClicks(points, inside))

    def add_scribble(self, points: ArrayLike, inside: bool | None = None) -> list[Click]:
        """Mark a line: every voxel of the scan that it passes is a click.

        Args:
            points: (K, 3), voxels of the scan, one after another along the line.
            inside: As in `add_clicks`.

        Returns:
            The clicks.

        Raises:
            SessionError: As in `add_clicks`.
        """
        return self._do(AddClicks(along(points, self._player.reach(self._moment)), inside))

    def add_lasso(self, points: ArrayLike, inside: bool | None = None) -> list[Click]:
        """Mark an area: every voxel of a slice that lies within its outline is a click.

        Args:
            points: (K, 3), voxels of the scan, three at least, all on one slice; the last is joined to the first.
            inside: As in `add_clicks`.

        Returns:
            The clicks.

        Raises:
            SessionError: The points lie on no slice, or as in `add_clicks`.
        """
        return self._do(AddClicks(enclosed(points, self._player.reach(self._moment)), inside))

    def step(self) -> NDArray[np.bool_]:
        """Let the agent act once and return the new `mask`.

        Raises:
            SessionError: The agent's answer is no action, or not finite.
        """
        return cast("NDArray[np.bool_]", self._do(Step()))

    def proposals(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Two masks that the next step might lead to, (X, Y, Z) each, for `choose`; asked again, two others.

        They are two samples of the agent's policy that differ where it is in doubt (`mecca_agents.learning.proposals`).
        The session stays what it is: a step may as well be taken, or clicks made, after which these two are void.

        Raises:
            SessionError: The agent is in no doubt, proposes nothing, or its answer is no action.
        """
        with self._exclusively():
            history = self._opened_history()
            seed = next_seed(self._proposals, history.now, len(self._entries))
            self._proposals = propose(history.player, history.now, seed)
            return self._proposals.masks

    def choose(self, index: int) -> NDArray[np.bool_]:
        """Take a step to one of the two `proposals`, 0 or 1, and return its mask; can be undone. The log keeps both.

        Raises:
            SessionError: There is no such proposal, or something was done since they were asked for.
        """
        return self._do(Choose(index, self._proposals))

    def undo(self) -> str:
        """Take back the last box, mask, clicks (of one call), step, choice or reset, exactly; its name, as in the log.

        Raises:
            SessionError: There is none.
        """
        return self._do(Undo())

    def redo(self) -> str:
        """Do again what was undone; its name.

        Raises:
            SessionError: There is none.
        """
        return self._do(Redo())

    def reset(self) -> None:
        """Begin anew in the same box: no clicks, every probability a half. Can be undone."""
        self._do(Reset())

    def save(self, path: str | PathLike[str]) -> None:
        """Write the mask as NIfTI, on the scan's own grid: whole or not at all.

        Of a NIfTI scan it has all that the header says of the place, so that every reader sees it where it sees the
        scan.

        Args:
            path: A name that ends in .nii or .nii.gz, in a folder that exists; a file of this name is replaced, unless
                it is read-only or the scan.

        Raises:
            mecca_env.data.base.DataError: The name or the folder cannot be used, the file there is the scan or
                read-only, or the disk is full.
        """
        self._do(Save(path))

    def save_log(self, path: str | PathLike[str]) -> None:
        """Write the log as JSON, for `load_log`: whole or not at all, and not over the scan.

        Raises:
            SessionError: It cannot be written.
            mecca_env.data.base.DataError: The file there is the scan.
        """
        refuse_over(path, self._moment.image.places)
        self.session_log().save(path)

    def accept(
        self,
        project: str | PathLike[str],
        *,
        target: str | None = None,
        link: bool = False,
        names: Sequence[str] | None = None,
    ) -> str:
        """Put scan, mask and log into a project's folder, for `mecca learn`; what of this scan was there is replaced.

        The folder holds plain NIfTI and JSON, and `MECCA-Volumes-v0` reads it (`mecca_agents.session.accepting`).
        Several sessions and processes may do this at once.

        Args:
            project: The folder; made where it is missing.
            target: What was segmented, in one word, where a project is about several things.
            link: Put a link to the scan's file there, in place of a copy.
            names: Of the scan's files, as people know them; None: those that were opened, with their folders.

        Returns:
            The name of the case.

        Raises:
            SessionError: The mask is empty, the run wants several modalities, the target is no word, a link cannot be
                made, or the folder cannot be written to; what was there stays.
            mecca_env.data.base.DataError: A file cannot be written; likewise.
        """
        with self._exclusively():
            moment = self._opened_history().now
            mask = cast("NDArray[np.bool_]", whole_layer(moment, "mask"))
            log = self.session_log() if names is None else self.session_log().named(names)
            return put_case(Path(project), moment.image, mask, log, target=target, link=link)

    def load_log(self, log: SessionLog | str | PathLike[str], image: ImageLike | None = None) -> None:
        """Do everything again that a log says, and go on from there with its times.

        Args:
            log: The log or its file.
            image: The scan; None: the one that is open. A log names the files that it was made with
                (`SessionLog.files`), but they are not opened by themselves.

        Raises:
            SessionError: It is no log, or one of another model or of another scan.
            mecca_env.data.base.DataError: The scan cannot be used.
        """
        with self._exclusively():
            found = log if isinstance(log, SessionLog) else read_log(log)
            if found.weights != self.model.weights:
                ours = f"{self.model.method} with weights {self.model.weights[:12]}"
                raise SessionError(f"log: expected one of {ours}, got {found.method} with {found.weights[:12]}")
            scan = self._moment.image if image is None else self._open(image, None)
            if scan.identity != found.image:
                raise SessionError("log: expected the scan that it was made with, got another one")
            history = History(self._player, scan)
            replay(found.entries[1:], history)
            self._replace(history, found.entries, time.perf_counter() - found.entries[-1].end)

    def close(self) -> None:
        """Let go of scan and history; a closed session refuses everything. Closing twice does nothing."""
        self._closed = True
        self._history = self._proposals = None
        self._entries = ()

    def __enter__(self) -> Self:
        """The session."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def _open(self, image: ImageLike, affine: ArrayLike | None) -> Image:
        return open_image(image, affine, self.model.modalities, self._most_voxels, self.tolerance)

    def _begin(self, opened: Callable[[], Image]) -> None:
        with self._exclusively():
            begun, stamp = time.perf_counter(), _now()
            history = History(self._player, opened())
            self._replace(history, (Entry(SET_IMAGE, 0.0, time.perf_counter() - begun, stamp, {}),), begun)

    def _do(self, action: Action[Result]) -> Result:
        """Do something with the history, and note it."""
        with self._exclusively():
            at, stamp = self._seconds(), _now()
            details, result = action.do(self._opened_history())
            self._note(action.name, at, stamp, details)
            return result

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        """Refuse whoever comes while another thread is at it. Raises `SessionError`."""
        if not self._working.acquire(blocking=False):
            raise SessionError("session: expected one that is idle, got one that is at work; wait until it is done")
        try:
            if self._closed:
                self._opened_history()
            yield
        finally:
            self._working.release()

    def _note(self, action: str, at: float, stamp: str, details: dict[str, Any]) -> None:
        if self._closed:
            return
        self._entries = (*self._entries, Entry(action, at, self._seconds() - at, stamp, details))
        self.version += 1

    def _replace(self, history: History, entries: tuple[Entry, ...], opened_at: float) -> None:
        if self._closed:
            return
        self._history, self._entries, self._opened_at = history, entries, opened_at
        self._proposals = None
        self.version += 1


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
