"""A session at one moment: what it shows, what was clicked and answered, and between which masks a person chose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from mecca_agents.session.inputs.mask import BoxedMask
from mecca_agents.session.inputs.scan import Image
from mecca_env.data.base import Box, Triple
from mecca_env.data.grid.placement import Placement
from mecca_env.state import State


@dataclass(frozen=True)
class Click:
    """A click.

    Attributes:
        point: Where, in voxels of the scan, fractions included.
        voxel: The voxel of the agent's grid that it lies in, -1s where it is beyond what the agent sees.
        step: Number of the step that it is for, from 1.
        repeated: That the voxel was clicked before; with signs, that of the scan, and the last word on it was the same.
            Nobody learns anything from it, and it is not kept.
        inside: Which side of the target's border it is on, where clicks have signs.
    """

    point: tuple[float, float, float]
    voxel: Triple
    step: int
    repeated: bool = False
    inside: bool | None = None


class Answer(NamedTuple):
    """What a step has led to.

    Attributes:
        placement: Where the agent's grid lay in the scan.
        probability: After the step, (D, H, W).
    """

    placement: Placement
    probability: Tensor


@dataclass(frozen=True, eq=False)
class Chosen:
    """A step that a person chose of two.

    Attributes:
        index: Which, 0 or 1.
        action: What the agent did in it, as the environment takes it.
        other: The mask that the other one led to, (D, H, W) bool, on the grid of the step.
    """

    index: int
    action: Any
    other: Tensor


@dataclass(frozen=True, eq=False)
class Moment:
    """A session at one moment; nothing in it is ever written to.

    Attributes:
        image: The scan.
        box: What the person drew; None: the whole scan.
        placement: Where the agent's grid lies in the scan.
        first: The state that the episode began with.
        answered: The state that the last step has left, before any click.
        state: The same with the clicks made since.
        clicks: All that were new to the agent, in order.
        answers: Of each step, on the grid that it was taken on.
        acted: The state that the last step acted on, likewise.
        change: What the last step asked to add to each probability, (D, H, W) float32.
        confidence: In that, (D, H, W) float32, where the agent has one.
        loaded: The mask that the episode goes on from, as long as no step has changed it.
        chosen: The last step, where a person chose it of two.
    """

    image: Image
    box: Box | None
    placement: Placement
    first: State
    answered: State
    state: State
    clicks: tuple[Click, ...] = ()
    answers: tuple[Answer, ...] = ()
    acted: State | None = None
    change: Tensor | None = None
    confidence: Tensor | None = None
    loaded: BoxedMask | None = None
    chosen: Chosen | None = None

    @property
    def waiting(self) -> tuple[Click, ...]:
        """The clicks that the agent has not seen yet."""
        return tuple(click for click in self.clicks if click.step > len(self.answers))

    @property
    def view(self) -> Box:
        """Box that the agent sees of the scan."""
        return self.placement.low, self.placement.high
