"""The three parts of the decision process that anyone can replace: rewards, hints, simulated users."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

from torch import Tensor

from mecca_env.state import State

Reward: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(probability before, probability after, label), each (B, D, H, W) -> voxel reward (B, D, H, W) float32."""


@runtime_checkable
class Hint(Protocol):
    """Turns clicks into a map that a network can read."""

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
    """Someone who looks at a segmentation and clicks where it is wrong."""

    def click(self, state: State, budget: Tensor, most: int, key: Tensor) -> Tensor:
        """Voxels to click next.

        Args:
            state: B episodes.
            budget: How often the user may click in each of them, (B,) int64; 0 where an episode has just ended.
            most: The largest number that `budget` can hold here, known without looking at it.
            key: A random stream for each episode and step, (B,) int64, for `mecca_env.tensors.rng`.

        Returns:
            (B, K, 3) int64 voxel coordinates, K <= most; rows of -1 are none. Inside the grid, none given twice, none
            in `state.clicks`, at most `budget` of them.
        """
        ...
