"""Review: a label beside the masks of a session, with Dice and surface distance after each step."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mecca_agents.session import InteractiveSession
from mecca_env.data.base import DataError
from mecca_env.data.image_files import header_shape
from mecca_env.data.reading import AFFINE_TOLERANCE, read_label
from mecca_env.metrics import dice, surface_metrics


@dataclass(frozen=True)
class Score:
    """How good a mask is.

    Attributes:
        dice: In [0, 1].
        assd: Average symmetric surface distance, millimetres; the scan's diagonal where the mask is empty.
    """

    dice: float
    assd: float


@dataclass
class Review:
    """A label, and what each step scores against it.

    Attributes:
        name: Of the label, for people.
        label: (X, Y, Z) bool, on the scan's grid.
        scores: Of each step taken.
    """

    name: str
    label: NDArray[np.bool_]
    scores: list[Score] = field(default_factory=list)

    def update(self, session: InteractiveSession) -> None:
        """Score the steps that have no score yet, and forget those that were taken back.

        After every action of the session: each of them leads to one step more, to one less, or to none, or back.
        """
        del self.scores[session.steps :]
        while len(self.scores) < session.steps:
            mask = session.mask(len(self.scores) + 1)
            self.scores.append(score(mask, self.label, session.spacing))


def open_label(path: Path, name: str, session: InteractiveSession) -> Review:
    """Read a label for the scan of a session; everything above 0 is foreground.

    Raises:
        DataError: It is none, or on another grid.
        SessionError: There is no scan.
    """
    _check_size(path, name, session)
    try:
        label, affine = read_label(path)
    except DataError as error:
        raise DataError(str(error).replace(str(path), name)) from error
    difference = float(np.abs(affine - session.affine).max())
    if label.shape != session.shape or difference > AFFINE_TOLERANCE:
        raise DataError(
            f"{name}: expected a label on the scan's grid, {session.shape} with its affine, "
            f"found {label.shape} with an affine that differs by up to {difference:.3g}"
        )
    return Review(name, label)


def _check_size(path: Path, name: str, session: InteractiveSession) -> None:
    """Look at the header first: a file that is much larger than the scan is not read at all."""
    shape = session.shape
    try:
        found = header_shape(path)
    except DataError as error:
        raise DataError(str(error).replace(str(path), name)) from error
    except Exception as error:  # damaged bytes make the readers raise from a dozen unrelated types
        raise DataError(f"{name}: expected a label, found no readable image ({type(error).__name__})") from error
    if int(np.prod(found, dtype=object)) != int(np.prod(shape)):
        raise DataError(f"{name}: expected a label of the scan's shape {shape}, found {found}")


def score(mask: NDArray[np.bool_], label: NDArray[np.bool_], spacing: tuple[float, float, float]) -> Score:
    """How good a mask is, both (X, Y, Z)."""
    overlap = float(dice(torch.from_numpy(mask)[None], torch.from_numpy(label)[None]))
    part = _around(mask | label) if mask.any() and label.any() else (slice(None),) * 3
    return Score(overlap, surface_metrics(mask[part], label[part], spacing=spacing).assd)


def _around(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Where a mask lies; distances between surfaces within it do not depend on what is outside."""
    found = []
    for axis in range(3):
        occupied = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        found.append(slice(occupied[0], occupied[-1] + 1))
    return tuple(found)
