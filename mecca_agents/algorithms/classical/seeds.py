"""Seeds of a segmentation from signed prompts: voxels that are inside the target for sure, and voxels that are not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.bool_]

CORE = 0.25
"""Half-axes of the ellipsoid in the middle of a box that is taken to be inside where nobody has clicked, as a share of
the box's own."""


class Seeds(NamedTuple):
    """Both are (D, H, W); no voxel is in both."""

    inside: Bits
    outside: Bits


def seeds_of(hint: NDArray[np.float32], box: NDArray[np.float32] | None) -> Seeds:
    """What an observation says for sure.

    Inside are the clicks inside with their neighbours, as a brush has them, and the middle of a box. Outside are the
    clicks outside with theirs, and all that lies outside a box; without a box, the border of the grid, which a target
    that is looked at seldom reaches. What clicks say counts before boxes.

    Args:
        hint: Of clicks inside and outside, (2, D, H, W), 1 at a click.
        box: What is shown of a box, (D, H, W) in [0, 1], 0 everywhere where there is none; None: likewise.
    """
    clicked, refused = hint[0] == 1, hint[1] == 1
    inside, outside = _around(clicked) & ~_around(refused), _around(refused) & ~_around(clicked)
    if box is None or not box.any():
        sure, other = np.zeros_like(clicked), _border(clicked.shape)
    else:
        sure, other = core_of(box > 0), box == 0
    inside = clicked & ~refused | inside | (sure & ~_around(refused))
    return Seeds(inside, (refused | outside | other) & ~inside)


def core_of(boxed: Bits) -> Bits:
    """The ellipsoid in the middle of a box, (D, H, W), a quarter as large along each axis; a voxel of it at least."""
    squared = np.zeros(boxed.shape)
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        there = np.flatnonzero(boxed.any(axis=others))
        middle, half = (there[0] + there[-1]) / 2, (there[-1] - there[0] + 1) / 2
        away = (np.arange(boxed.shape[axis]) - middle) / max(CORE * half, 0.5)
        squared += np.expand_dims(away**2, others)
    return np.asarray((squared <= max(1.0, float(squared.min()))) & boxed)


def _around(clicks: Bits) -> Bits:
    from scipy.ndimage import binary_dilation

    return np.asarray(binary_dilation(clicks)) if clicks.any() else clicks


def _border(shape: tuple[int, ...]) -> Bits:
    border = np.ones(shape, bool)
    border[1:-1, 1:-1, 1:-1] = False
    return border
