"""Episodes in which what somebody has given is given again: which they are, and where it lies on their grids."""

from __future__ import annotations

import numpy as np
import torch

from mecca_env.data.grid.placement import Placement
from mecca_env.data.recorded import RecordedPrompts, most_of
from mecca_env.data.selection import Cases
from mecca_env.process.choices import WORDS, Purpose
from mecca_env.process.config import EnvConfig
from mecca_env.process.simulator import GivenPrompts
from mecca_env.tensors.rng import word


class PromptGiver:
    """Gives episodes what was recorded of their cases.

    Args:
        cases: Which, and what was recorded of them.
        config: Settings of the decision process.
    """

    def __init__(self, cases: Cases, config: EnvConfig) -> None:
        self._cases, self._horizon = cases, config.horizon
        recordings = cases.every_recording()
        self._given = bool(recordings)
        self._at_once, self._most = most_of(recordings, config.horizon)

    def drawn(self, index: int, key: int) -> RecordedPrompts | None:
        """What the episode with stream `key` of case `index` is given; None: a user prompts."""
        found = self._cases.recorded(index)
        if found is None:
            return None
        recorded, share = found
        return recorded if word(key, Purpose.RECORDED) < share * WORDS else None

    def on_grid(self, recorded: RecordedPrompts | None, placement: Placement) -> GivenPrompts | None:
        """The same on the grid of an episode, each voxel once for a step and side; None where no case has any.

        What lies beyond the grid is left out.
        """
        if not self._given:
            return None
        voxels = np.full((self._horizon, self._at_once, 3), -1, np.int64)
        signs = np.zeros((self._horizon, self._at_once), np.int8)
        given = [] if recorded is None else list(zip(recorded.points, recorded.signs, strict=True))[: self._horizon]
        for step, (points, sides) in enumerate(given):
            found = np.column_stack((placement.voxels(points), sides))
            _, first = np.unique(found, axis=0, return_index=True)
            found = found[np.sort(first)]
            found = found[found[:, 0] >= 0]
            voxels[step, : len(found)], signs[step, : len(found)] = found[:, :3], found[:, 3]
        return GivenPrompts(torch.from_numpy(voxels), torch.from_numpy(signs), len(given), self._most)
