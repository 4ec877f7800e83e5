"""The inner loops of a step and a reset, as every implementation of them has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.kernels.interpolation import Coordinates
from mecca_env.state import Progress, State

Columns: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""Probability, gain and situation: a float32, a float32 and an integer tensor of one shape."""


class Cut(NamedTuple):
    """A case's part of a scan, and the points of it that a grid shows."""

    image: Tensor  # (M, X, Y, Z) of any real type
    label: Tensor  # (X, Y, Z) bool
    mean: NDArray[np.float64]  # of each modality, (M,)
    std: NDArray[np.float64]  # likewise
    points: Coordinates  # of the grid's voxels, in voxel indices of the image; on the device of the results


class Loops(Protocol):
    """The loops that `torch_step`, `torch_cpu_step`, `numba_step` and `triton_step` have in common.

    The first six are those of a step, the last three those of a reset.
    """

    def within(self, values: Tensor, least: int, most: int) -> tuple[Tensor, Tensor]:
        """Integers of any kind, each replaced by the nearest in range.

        Args:
            values: Of any shape.
            least: From 0 up.
            most: Up to 255.

        Returns:
            Those, uint8; and by how much the lowest of them was below and the highest above the range, (2,) int64, 0
            where none was.
        """
        ...

    def look_up(self, situation: Tensor, action: Tensor, tables: Columns, worth: Tensor, into: Columns) -> Tensor:
        """Act in every voxel by table; the rewards in it are those of `process.rewards`, Eq. 9 unless told otherwise.

        They were evaluated when the env was made, for every situation and action (`TableTransition`).

        Args:
            situation: `State.situation`, (B, N), label and probability as one number.
            action: (B, N) integers; situation + action is an entry of the tables.
            tables: The probability, gain and situation that each entry leads to, three times (K,).
            worth: What a voxel adds to six sums, (6, K) float64; whole numbers, so that the order does not matter:
                `SCALE` times its reward; 1 if it moved the wrong way far enough to count, and if it did at all; 2 if
                it is rightly foreground; 1 for each of prediction and label in which it is foreground; 1.
            into: Written: what each voxel led to, three times (B, N), contiguous.

        Returns:
            Mean reward, both misunderstandings and Dice, (4, B) float32.
        """
        ...

    def advance(self, step: Tensor, dice: Tensor, keys: Tensor, budgets: Tensor, target: float) -> Progress:
        """Count a step: which episodes are over now, and how often the user may click in the others.

        Args:
            step: Steps taken before it, (B,) int64.
            dice: After it, (B,) float32.
            keys: `State.keys`, (B, T + 1) int64.
            budgets: Clicks before each step and after the last, (T + 1,) int64.
            target: An episode is over at this Dice.
        """
        ...

    def draw_edges(self, state: State, allowed: Tensor | None, budget: Tensor, most: int, key: Tensor) -> Tensor:
        """Click surface voxels of the label that are no surface voxels of the prediction and have not been clicked.

        Args:
            state: B episodes.
            allowed: Where to click, (B, D, H, W) bool; None: anywhere.
            budget: How often in each episode, (B,) int64.
            most: Upper bound of `budget`.
            key: A random stream for each episode, (B,) int64.

        Returns:
            (B, K, 3) int64 coordinates with K <= most, drawn uniformly without replacement, then rows of -1.
        """
        ...

    def append(self, clicks: Tensor, n_clicks: Tensor, made: Tensor) -> tuple[Tensor, Tensor]:
        """Note more clicks.

        Args:
            clicks: Those so far, (B, C, 3) int64, then rows of -1.
            n_clicks: How many those are, (B,) int64.
            made: Further ones, (B, K, 3) int64, rows of -1 are none; there is room for them.

        Returns:
            Both with the further ones, as new tensors.
        """
        ...

    def paste(self, hint: Tensor, clicks: Tensor, patch: Tensor, into: Tensor) -> None:
        """Merge a patch around each click into the hint, by maximum.

        Args:
            hint: (B, D, H, W) float32 in [0, 1].
            clicks: (B, K, 3) int64, rows of -1 are none.
            patch: (P, P, P) float32 in [0, 1], P odd.
            into: Written: the merged hint, (B, D, H, W), contiguous.
        """
        ...

    def label_surface(self, label: Tensor) -> Tensor:
        """The surface voxels of labels: those with a face neighbour outside the mask, or outside the grid.

        Args:
            label: (B, D, H, W) bool.

        Returns:
            Flat indices, ascending, then -1, (B, S) int64.
        """
        ...

    def face_neighbours(self, index: Tensor, shape: tuple[int, int, int]) -> Tensor:
        """The six face neighbours of voxels.

        Args:
            index: Flat indices, -1 for none, (B, S) int64.
            shape: The grid, (D, H, W).

        Returns:
            Flat indices, -1 outside the grid, (B, 6, S) int64.
        """
        ...

    def resample(self, cuts: Sequence[Cut], clip: float, threshold: float, volume: Tensor, label: Tensor) -> None:
        """Interpolate the scans and labels of B cases, z-score and clip the ones, threshold the others.

        Args:
            cuts: B of them.
            clip: z-scored intensities are clipped to plus and minus this.
            threshold: Foreground is what exceeds it.
            volume: Written: (B, M, D, H, W) float32, contiguous.
            label: Written: (B, D, H, W) bool, contiguous.
        """
        ...
