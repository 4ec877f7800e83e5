"""Review: a label beside the masks of a session, with Dice and surface distance after each step."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from mecca_agents.session import InteractiveSession
from mecca_env.data.grid.cutting import bounding_box
from mecca_env.metrics import dice, surface_metrics


@dataclass(frozen=True)
class Score:
    """Quality of a mask.

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


def score(mask: NDArray[np.bool_], label: NDArray[np.bool_], spacing: tuple[float, float, float]) -> Score:
    """Compare a mask with a label, both (X, Y, Z)."""
    overlap = float(dice(torch.from_numpy(mask)[None], torch.from_numpy(label)[None]))
    if mask.any() and label.any():  # distances between surfaces do not depend on what is around both
        part = tuple(slice(a, b) for a, b in zip(*bounding_box(mask | label), strict=True))
        mask, label = mask[part], label[part]
    return Score(overlap, surface_metrics(mask, label, spacing=spacing).assd)
