"""One open page: its session, its uploads, its review, and the cases that were done before."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mecca_agents.app.drawing.planes import Plane, planes_of
from mecca_agents.app.tab.box_draft import BoxDraft, around, holds
from mecca_agents.app.tab.brush import covered
from mecca_agents.app.tab.folder import Folder
from mecca_agents.app.tab.joined import Joined
from mecca_agents.app.tab.marks import Mark, Strokes, marks_of
from mecca_agents.app.tab.names import fitting, target_of, with_names
from mecca_agents.app.tab.objects import ObjectList, label_map, names_text
from mecca_agents.app.tab.question import QUESTION, Question
from mecca_agents.app.tab.review import Review
from mecca_agents.app.tab.uploads import Uploads
from mecca_agents.online.live import ProjectLearner
from mecca_agents.session import Click, Entry, InteractiveSession, Model, SessionError, SessionLog
from mecca_agents.session.actions import SetBox, SetMask
from mecca_agents.session.inputs.mask import boxed, open_mask
from mecca_agents.session.timing import only_times, write_timing_table
from mecca_env.atomic import write_text
from mecca_env.data.inventory import stem
from mecca_env.data.saving import save_mask

MOST_CASES = 200
"""Earlier cases of a page whose times are kept for the table."""


class Tab:
    """The state of one page. Its methods work for as long as they need; call them in another thread than the server's.

    Args:
        model: The trained method.
        folder: Where the page may open files.
        most_bytes: Of uploads.
        tolerance: Millimetres that files of a scan may lie apart; None: next to nothing.
        learner: Of the project that accepted masks go into, whose weights each new scan gets; None: no project.

    Attributes:
        key: A random name that nobody else knows.
        session: The session; another one where a scan is opened with other weights.
        learner: As given.
        uploads: What the browser has sent.
        review: The label, if there is one.
        draft: The box as far as it is drawn.
        question: Which of two proposals is better, where that is asked.
        objects: The objects of the scan; the session works on the chosen one.
        name: Of the scan, for people; empty before there is one.
        connected: Whether a browser shows it.
        closed: Whether it is over: the page has to be loaded anew.
    """

    def __init__(
        self,
        model: Model,
        folder: Folder,
        most_bytes: int,
        tolerance: float | None = None,
        learner: ProjectLearner | None = None,
    ) -> None:
        self.key = secrets.token_urlsafe(24)
        self.session = InteractiveSession(model, tolerance=tolerance)
        self.learner = learner
        self.folder = folder
        self.uploads = Uploads(most_bytes)
        self.review: Review | None = None
        self.draft = BoxDraft()
        self.objects = ObjectList()
        self.question = Question(lambda: self.session)
        self.name = ""
        self.connected = True
        self.closed = False
        self._names: tuple[str, ...] = ()
        self._planes: tuple[Plane, ...] = ()
        self._earlier: dict[tuple[str, int], SessionLog] = {}
        self._strokes, self._joined = Strokes(), Joined()
        self._opened: SessionLog | None = None  # as it was when nothing had been done

    @property
    def planes(self) -> tuple[Plane, ...]:
        """The views of the scan; none before there is one."""
        return self._planes

    @property
    def signed(self) -> bool:
        """Whether the agent is told on which side of the target's border a click is."""
        return self.session.model.config.signed

    @property
    def painted(self) -> bool:
        """Whether the brush was used since the object was begun."""
        return len(self._joined) > 0

    @property
    def marks(self) -> list[Mark]:
        """The marks to draw of the session's clicks (`marks_of`)."""
        return marks_of(self.session.clicks, self.session.steps, self._strokes)

    def open_scan(self, paths: Sequence[Path], names: Sequence[str]) -> None:
        """Open a scan, a file for each modality, known by these names; with a project, by the weights that count now.

        Raises:
            mecca_env.data.base.DataError: It cannot be used; what was open stays.
            SessionError: The session is at work.
        """
        times = self._times()
        scan: Any = paths[0] if len(paths) == 1 else list(paths)
        session = self.session if self.learner is None else self.learner.session_after(self.session)
        with_names(paths, names, lambda: session.set_image(scan))
        if session is not self.session:
            before_it, self.session = self.session, session
            before_it.close()
        if self.closed:
            session.close()
        self._earlier = times
        self._planes = planes_of(self.session.affine)
        self._opened = self.session.session_log()
        self._names, self.name = tuple(names), names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")
        self.review, self.draft, self.objects = None, BoxDraft(), ObjectList()
        self._strokes, self._joined = Strokes(), Joined()

    def open_label(self, path: Path, name: str) -> None:
        """Review with a label. Raises `DataError` or `SessionError`."""
        session = self.session
        label = with_names([path], [name], lambda: open_mask(path, session.shape, session.affine, session.tolerance))
        review = Review(name, label)
        review.update(session)
        self.review = review

    def open_mask(self, path: Path, name: str) -> None:
        """Go on from a saved mask. Raises `DataError` or `SessionError`."""
        with_names([path], [name], lambda: self.set_mask(path))

    def open_log(self, path: Path, name: str) -> None:
        """Do again what a log says, on the scan that is open. Raises `SessionError`."""
        with_names([path], [name], lambda: self._load(path))

    # Actions of the session, each of which brings the draft of the box and the review up to date

    def set_box(self, low: Sequence[int] | None = None, high: Sequence[int] | None = None) -> None:
        """Begin anew in a box, or in the whole scan (`InteractiveSession.set_box`)."""
        self.session.set_box(low, high)
        self._box_may_have_changed()

    def set_mask(self, path: Path) -> None:
        """Go on from a saved mask (`InteractiveSession.set_mask`)."""
        self.session.set_mask(path)
        self._box_may_have_changed()

    def add_clicks(self, points: ArrayLike, inside: bool | None = None) -> list[Click]:
        """Mark points on wrong edges, or inside or outside the target (`InteractiveSession.add_clicks`)."""
        return self._marked(self.session.add_clicks(points, inside))

    def add_scribble(self, points: ArrayLike, inside: bool | None = None) -> list[Click]:
        """Mark a line (`InteractiveSession.add_scribble`)."""
        return self._marked(self.session.add_scribble(points, inside))

    def add_lasso(self, points: ArrayLike, inside: bool | None = None) -> list[Click]:
        """Mark an area of a slice (`InteractiveSession.add_lasso`)."""
        return self._marked(self.session.add_lasso(points, inside))

    def step(self) -> None:
        """Let the agent act once (`InteractiveSession.step`)."""
        self.session.step()
        self._update_review()

    def choose(self, index: int) -> None:
        """Take one of the two proposals of the `question` (`Question.take`)."""
        self.question.take(index)
        self._update_review()

    def paint(self, points: Sequence[Sequence[float]], axis: int, radius: float, inside: bool) -> bool:
        """Go on from the mask as a brush or an eraser changes it on one slice; one action of `undo`.

        Where the mask then reaches beyond what the agent sees, the box grows. Where nothing is left, the agent begins
        anew, as in `reset`.

        Args:
            points: (K, 3), voxels of the scan along the stroke, all on one slice.
            axis: That the slices are stacked along.
            radius: In voxels (`brush.covered`).
            inside: Whether it adds, or takes away.

        Returns:
            Whether anything changed.

        Raises:
            SessionError: The points lie on no slice of the scan, or the session is at work.
        """
        session, before = self.session, len(self.session.log())
        index, area = covered(points, axis, radius, session.shape)
        mask = session.mask()
        plane = np.moveaxis(mask, axis, 0)[index]  # a view of the mask
        if (plane[area] == inside).all():
            return False
        plane[area] = inside
        if not mask.any():
            session.reset()
        else:
            self._go_on_from(mask)
        self._joined.join(session.log(), "brush" if inside else "eraser", len(session.log()) - before)
        self._box_may_have_changed()
        return True

    def undo(self) -> str:
        """Take back a question, else the last action; its name (`InteractiveSession.undo`), or "brush", "eraser"."""
        if self.question.end():
            return QUESTION
        return self._back_or_forth(self._joined.to_undo(self.session.log(), self.session.undoable), self.session.undo)

    def redo(self) -> str:
        """Do again what was undone; its name, likewise."""
        return self._back_or_forth(self._joined.to_redo(self.session.log()), self.session.redo)

    def reset(self) -> None:
        """Begin anew in the same box (`InteractiveSession.reset`)."""
        self.session.reset()
        self._update_review()

    # Objects: going to another one keeps the mask of the one that is left

    def add_object(self, name: str = "") -> None:
        """Begin with one more object. Raises `SessionError`."""
        self._go_to(self._up_to_date().added(name))

    def choose_object(self, key: Any) -> None:
        """Go on with another object, from its mask. Raises `SessionError`."""
        if self.objects.find(key).key != self.objects.chosen:
            self._go_to(self._up_to_date().going_to(key))

    def remove_object(self, key: Any) -> None:
        """Throw an object away; where it was chosen, go on with its neighbour. Raises `SessionError`."""
        left = self._up_to_date().removed(key)
        if left.chosen == self.objects.chosen:
            self.objects = left
        else:
            self._go_to(left)

    # Files that the browser saves

    def mask_file(self) -> tuple[str, bytes]:
        """The mask as NIfTI, on the scan's own grid: a name for it and its bytes. Raises `DataError`."""
        return self._made("_mask.nii.gz", self.session.save)

    def labels_files(self) -> tuple[list[tuple[str, bytes]], int]:
        """All objects in one NIfTI file on the scan's own grid, and their names as JSON.

        Returns:
            Each file's name and its bytes; and the number of voxels that more than one object claims (`label_map`).

        Raises:
            SessionError: All of them are empty, or there is no scan.
            mecca_env.data.base.DataError: The disk is full.
        """
        session, objects = self.session, self._up_to_date()
        labels, contested = label_map(objects, session.shape)
        image = self._made("_labels.nii.gz", lambda path: save_mask(labels, session.affine, path, session.header))
        text = names_text(objects.items, labels, image[0])
        return [image, self._made("_labels.json", lambda path: write_text(path, text))], contested

    def log_file(self) -> tuple[str, bytes]:
        """The log as JSON. Raises `SessionError`."""
        return self._made("_session.json", lambda path: self.session.session_log().named(self._names).save(path))

    def times_file(self, ending: str) -> tuple[str, bytes]:
        """The times of this case and of those before it, in the form of Table 7, ".csv" or ".md"."""
        return self._made("_times" + ending, lambda path: write_timing_table([*self._times().values()], path))

    @property
    def cases(self) -> int:
        """Cases that the table of times has, of which a step was taken."""
        return len(self._times())

    def accept(self) -> str:
        """Put scan, mask and log of the chosen object into the project; the name of the case.

        Raises:
            SessionError: There is no project, or as in `names.target_of` and `InteractiveSession.accept`.
            mecca_env.data.base.DataError: A file cannot be written.
        """
        if self.learner is None:
            raise SessionError("accept: expected a project, got none; begin with mecca annotate --project DIR")
        return self.session.accept(self.learner.project, target=target_of(self.objects), names=self._names)

    def close(self) -> None:
        """Let go of everything and delete the uploads; closing twice does nothing."""
        self.closed = True
        self.session.close()
        self.uploads.close()
        self.review = None

    def _up_to_date(self) -> ObjectList:
        """The objects, with what the session makes of the chosen one."""
        mask = self.session.mask()
        return self.objects.left(boxed(mask) if mask.any() else None, self.session.box)

    def _go_to(self, objects: ObjectList) -> None:
        """Begin the session anew with the object that is chosen there: no way leads back into the mask of another."""
        now = objects.now
        log, done = self._opened, list[tuple[str, dict[str, Any]]]()
        if log is None:
            raise SessionError("object: expected a scan, got none yet; open one first")
        if now.box is not None:
            low, high = map(list, now.box)
            done.append((SetBox.name, {"low": low, "high": high}))
        if now.mask is not None:
            done.append((SetMask.name, now.mask.packed().details()))
        (first,) = log.entries
        then = [Entry(name, first.end, 0.0, first.time, details) for name, details in done]
        self._load(replace(log, entries=(first, *then)))
        self.objects = objects

    def _load(self, log: SessionLog | Path) -> None:
        times = self._times()
        self.session.load_log(log)
        self._earlier = times
        self._strokes, self._joined = Strokes.of_log(self.session.log()), Joined()
        if self.review is not None:
            self.review.scores.clear()
        self._box_may_have_changed()

    def _go_on_from(self, mask: NDArray[np.bool_]) -> None:
        """Go on from a mask that may reach beyond what the agent sees; one or two actions of the session."""
        session, view, box = self.session, self.session.view, boxed(mask).box
        if holds(view, box):
            session.set_mask(mask)
            return
        # a view that the agent has found itself it finds anew, around the mask
        session.set_box(*(around(session.box, box) if session.box is not None else (None, None)))
        try:
            session.set_mask(mask)
        except ValueError:
            session.undo()
            raise

    def _back_or_forth(self, joined: tuple[str, int] | None, go: Callable[[], str]) -> str:
        names = [go() for _ in range(1 if joined is None else joined[1])]
        self._box_may_have_changed()
        return names[0] if joined is None else joined[0]

    def _box_may_have_changed(self) -> None:
        self.draft = BoxDraft.of(self.session.box)
        self._update_review()

    def _marked(self, made: list[Click]) -> list[Click]:
        if self.signed:
            self._strokes.add(made)
        self._update_review()
        return made

    def _update_review(self) -> None:
        if self.review is not None:
            self.review.update(self.session)

    def _made(self, ending: str, write: Callable[[Path], Any]) -> tuple[str, bytes]:
        if not self.name:
            raise SessionError("save: expected a scan, got none yet; open one first")
        name = fitting(stem(self._names[0]) or "scan", ending)
        folder = self.uploads.folder / secrets.token_hex(8)
        folder.mkdir()
        try:
            write(folder / name)
            return name, (folder / name).read_bytes()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _times(self) -> dict[tuple[str, int], SessionLog]:
        """The times of the cases so far, by when the scan was opened and by object; of each object the latest."""
        if not self.name or not self.session.steps:
            return self._earlier
        log = self.session.session_log()
        key = (log.entries[0].time, self.objects.chosen)
        others = [(other, times) for other, times in self._earlier.items() if other != key]
        return dict([*others, (key, only_times(log))][-MOST_CASES:])
