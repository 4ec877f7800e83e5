"""The three parts of the decision process that anyone can replace: rewards, hints, simulated users."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

from torch import Tensor

from mecca_env.state import State

Reward: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(probability before, probability after, label), each (B, D, H, W) -> voxel reward (B, D, H, W) float32."""


class SignedClicks(NamedTuple):
    """Clicks that say themselves which side of the border they are on."""

    voxels: Tensor  # (B, K, 3) int64, rows of -1 are none
    signs: Tensor  # (B, K) int, 1 inside the target, -1 outside of it; where there is no voxel, anything


@runtime_checkable
class Hint(Protocol):
    """Turns clicks into a map that a network can read.

    With `signed=True` it is asked for two maps an episode, of clicks inside the target and of clicks outside of it, as
    if they were two episodes. An object that cannot be meant so says `signed = False`, and is refused there.
    """

    def add(self, hint: Tensor, clicks: Tensor, volume: Tensor) -> Tensor:
        """The hint map with more clicks in it.

        Args:
            hint: The map so far, (B, D, H, W) float32 in [0, 1]; not written to.
            clicks: New clicks, (B, K, 3) int64, rows of -1 are none.
            volume: The scan, (B, M, D, H, W) float32.

        Returns:
            A new map of the same shape; 1 at every click, nowhere below what `hint` was.
        """
        ...


@runtime_checkable
class SimulatedUser(Protocol):
    """Someone who looks at a segmentation and clicks where it is wrong.

    Two attributes are optional. `repeats = True`: a voxel may be clicked again. `voxels_per_prompt = V`: a prompt is of
    up to V voxels, a scribble for one; the budget counts prompts, and up to V times as many voxels may be returned.
    """

    def click(self, state: State, budget: Tensor, most: int, key: Tensor) -> Tensor | SignedClicks:
        """Voxels to click next.

        Args:
            state: B episodes.
            budget: How often the user may click in each of them, (B,) int64; 0 where an episode has just ended.
            most: The largest number that `budget` can hold here, known without looking at it.
            key: A random stream for each episode and step, (B,) int64, for `mecca_env.tensors.rng`.

        Returns:
            (B, K, 3) int64 voxel coordinates, K <= most; rows of -1 are none. Inside the grid, none given twice, none
            in `state.clicks`, at most `budget` of them. Their signs, where the env has any (`signed=True`), are those
            of the label at the voxel; a user who means it otherwise returns `SignedClicks`.
        """
        ...
