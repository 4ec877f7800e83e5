"""Whether the mask does what the prompts say: at once, and still at the end."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

from mecca_agents.evaluation.play import PlayedStep
from mecca_agents.tables import plural
from mecca_env.metrics import obeyed
from mecca_env.process.signs import signs_of
from mecca_env.state import State


class Prompts(NamedTuple):
    """The clicks of one episode: voxels (K, 3) int64, and signs (K,), 1 inside of the target and -1 outside."""

    voxels: Tensor
    signs: Tensor


def prompts_of(state: State, first: int = 0) -> Prompts:
    """The clicks that an agent has seen in a state of one episode.

    Where the protocol has no signs, a click says what the label says there; all clicks on edges are inside.

    Args:
        state: Of one episode.
        first: The number of clicks to leave out, from the first.
    """
    clicks = state.clicks[:, first : int(state.n_clicks[0])]
    signs = signs_of(clicks, state.label) if state.signs is None else state.signs[:, first : first + clicks.shape[1]]
    return Prompts(clicks[0], signs[0])


def obeyed_so_far(played: PlayedStep) -> float:
    """The share of the clicks up to a step that are on the right side of the mask after it; NaN before the first."""
    found = obeyed(played.after.prediction[0], *prompts_of(played.before))
    return float(found.double().mean()) if len(found) else math.nan


class Obedience:
    """Counts prompts that were obeyed; an observer of evaluations. Every voxel of a line is a prompt."""

    def __init__(self) -> None:
        self._seen = 0  # clicks of this episode that were there before the step
        self._new = self._new_obeyed = self._last_obeyed = 0

    def __call__(self, played: PlayedStep) -> None:
        """Take in a step."""
        prediction, before = played.after.prediction[0], played.before
        new = obeyed(prediction, *prompts_of(before, self._seen if played.step > 1 else 0))
        self._new += len(new)
        self._new_obeyed += int(new.sum())
        self._seen = int(before.n_clicks[0])
        if played.over:
            self._last_obeyed += int(obeyed(prediction, *prompts_of(before)).sum())

    @property
    def prompts(self) -> int:
        """The number of prompts that an agent has answered, over all episodes that are over."""
        return self._new

    @property
    def at_once(self) -> float:
        """The share of them that the mask obeyed after the step that they were made for; NaN where there are none."""
        return self._new_obeyed / self._new if self._new else math.nan

    @property
    def at_end(self) -> float:
        """The share of them that the last mask of their episode obeys; NaN where there are none."""
        return self._last_obeyed / self._new if self._new else math.nan

    def line(self) -> str:
        """Both, as text."""
        if not self._new:
            return "obedience: there were no prompts"
        shares = f"{100 * self.at_once:.1f} % at once, {100 * self.at_end:.1f} % at the end"
        return f"obedience: of {plural(self._new, 'prompt')} the mask obeyed {shares}"
