"""The box that several drawn ones make: on one slice, on two that cross, or in three dimensions at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mecca_env.data.base import Box, Triple


@dataclass(frozen=True)
class DrawnBoxes:
    """The boxes that a person has drawn; each says something along the axes in which it has more than one voxel.

    Attributes:
        boxes: On the scan's grid, high exclusive.
    """

    boxes: tuple[Box, ...] = ()

    def also(self, box: Box) -> DrawnBoxes:
        """With one more."""
        return DrawnBoxes((*self.boxes, box))

    def guessed(self, shape: Triple) -> tuple[int, ...]:
        """Axes along which nobody has said how far the target reaches."""
        return tuple(
            axis for axis in range(3) if shape[axis] > 1 and not any(_side(box, axis) > 1 for box in self.boxes)
        )

    def whole(
        self, shape: Triple, spacing: Sequence[float], *, usual: float, reach: float = 1.0, also: Box | None = None
    ) -> Box:
        """The box around the target.

        Along an axis that some of them know it is their union, and it holds the slices of the others. Along one that
        none knows, the target is taken to be as deep as its box on the slice is large, on average, with the slice in
        its middle.

        Args:
            shape: Of the scan.
            spacing: Size of a voxel, millimetres.
            usual: Millimetres that a target of one voxel is taken to have.
            reach: Times that what is guessed is larger than that.
            also: What else it has to hold along the axes that are guessed, a mask's box say.
        """
        low, high = np.array(shape), np.zeros(3, int)
        guessed = self.guessed(shape)
        for box in self.boxes:
            for axis in range(3):
                first, last = box[0][axis], box[1][axis]
                if axis in guessed:
                    half = reach * _depth(box, spacing, usual) / 2 / spacing[axis]
                    middle = (first + last - 1) / 2
                    first, last = int(np.floor(middle - half + 0.5)), int(np.ceil(middle + half + 0.5))
                low[axis], high[axis] = min(low[axis], first), max(high[axis], last)
        if also is not None:
            for axis in guessed:
                low[axis], high[axis] = min(low[axis], also[0][axis]), max(high[axis], also[1][axis])
        low, high = np.maximum(low, 0), np.minimum(high, shape)
        return _triple(low), _triple(np.maximum(high, low + 1))


def read_drawn(low: Sequence[float], high: Sequence[float], shape: Triple) -> Box | None:
    """A box of whole voxels inside the scan, one voxel deep at least; None where it lies outside.

    Args:
        low: First voxel; fractions are rounded, halves up.
        high: Opposite corner, exclusive.
        shape: Of the scan.
    """
    size = np.array(shape, float)
    a = np.floor(np.clip(np.minimum(low, high), -1, size) + 0.5)
    b = np.maximum(np.floor(np.clip(np.maximum(low, high), -1, size + 1) + 0.5), a + 1)
    if (b <= 0).any() or (a >= size).any():
        return None
    return _triple(np.maximum(a, 0)), _triple(np.minimum(b, size))


def _side(box: Box, axis: int) -> int:
    return box[1][axis] - box[0][axis]


def _depth(box: Box, spacing: Sequence[float], usual: float) -> float:
    """Millimetres that a target is taken to be deep behind its box on a slice."""
    known = [_side(box, axis) * spacing[axis] for axis in range(3) if _side(box, axis) > 1]
    return sum(known) / len(known) if known else usual


def _triple(values: NDArray[Any]) -> Triple:
    a, b, c = (int(v) for v in values)
    return a, b, c
