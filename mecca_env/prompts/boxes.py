"""The box of the CVPR 2025 challenge of interactive segmentation: drawn on one slice, with a first and a last one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Corner: TypeAlias = tuple[int, int, int]

WIDEST = 5
"""The most pixels that a box of a slice of 256 x 256 pixels is widened by on each side."""

_SIDE = 256  # pixels of the slices that `WIDEST` is about


@dataclass(frozen=True)
class SliceBox:
    """A box that is drawn on one slice and goes from a first to a last slice, in the axis order of its array.

    Attributes:
        axis: The axis across the slices.
        middle: The slice that it is drawn on.
        low: Its first voxel.
        high: Its opposite corner, exclusive.
    """

    axis: int
    middle: int
    low: Corner
    high: Corner

    @property
    def drawn(self) -> tuple[Corner, Corner]:
        """The part of it on the slice that it is drawn on: first voxel, and opposite corner, exclusive."""
        return _with(self.low, self.axis, self.middle), _with(self.high, self.axis, self.middle + 1)


def middle_slice_box(
    label: NDArray[np.bool_], generator: np.random.Generator, *, axis: int = 0, widest: int = WIDEST
) -> SliceBox:
    """The box that the challenge gives for an object.

    Along the slices it goes from the first to the last one with a voxel of the object. Within them it is the object's
    box on the middle one, which is wider on all four sides by a number of pixels that is drawn once, for slices of 256
    x 256 pixels, and scaled to the real ones: d x side / 256, rounded down. It is clipped to the scan. The middle slice
    is the middle one of those that have a voxel of the object, the upper one of two. The box may miss parts of the
    object on other slices; that is how the challenge means it.

    Args:
        label: The object, bool, three axes in any order.
        generator: What d is drawn from, 0 to `widest` inclusive.
        axis: The axis across the slices: 0 for the challenge's (D, H, W), 2 for (X, Y, Z).
        widest: The largest d; with 0 nothing is drawn.

    Returns:
        The box, in the label's axis order.

    Raises:
        ValueError: The label is empty or has not three axes, there is no such axis, or `widest` is below 0.
        TypeError: The label is not bool.
    """
    label = checked_mask("label", label)
    if axis not in (0, 1, 2):
        raise ValueError(f"axis: expected 0, 1 or 2, got {axis!r}")
    if widest < 0:
        raise ValueError(f"widest: expected a number of pixels of at least 0, got {widest!r}")
    across = tuple(a for a in range(3) if a != axis)
    slices = np.flatnonzero(label.any(axis=across))
    if not len(slices):
        raise ValueError("label: expected an object to draw a box around, got an empty mask")
    middle = int(slices[len(slices) // 2])
    drawn = np.moveaxis(label, axis, 0)[middle]
    pixels = int(generator.integers(widest, endpoint=True)) if widest else 0
    low, high = [0, 0, 0], [0, 0, 0]
    low[axis], high[axis] = int(slices[0]), int(slices[-1]) + 1
    for own, a in enumerate(across):
        side, wider = label.shape[a], pixels * label.shape[a] // _SIDE
        there = np.flatnonzero(drawn.any(axis=1 - own))
        low[a], high[a] = max(int(there[0]) - wider, 0), min(int(there[-1]) + 1 + wider, side)
    return SliceBox(axis, middle, (low[0], low[1], low[2]), (high[0], high[1], high[2]))


def checked_mask(name: str, mask: Any) -> NDArray[np.bool_]:
    """A mask of three axes as an array; a tensor on the host shares its memory. Raises as `middle_slice_box` does."""
    array = np.asarray(mask)
    if array.dtype != bool:
        raise TypeError(f"{name}: expected a bool mask, got {array.dtype}")
    if array.ndim != 3:
        raise ValueError(f"{name}: expected three axes, got shape {array.shape}")
    return array


def _with(corner: Corner, axis: int, value: int) -> Corner:
    a, b, c = (value if i == axis else own for i, own in enumerate(corner))
    return a, b, c
