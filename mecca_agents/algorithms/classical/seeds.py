"""Seeds of a segmentation from signed prompts: voxels that are inside the target for sure, and voxels that are not.

A box of one slice says what lies outside of it there, and which slices the target does not reach. On the slices between
the target may be wider than on the middle one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mecca_agents.networks.evidence import CORE

Bits = NDArray[np.bool_]
Floats = NDArray[np.float64]

BRUSH = 2
"""Voxels around a click that are taken to be on its side, as with a brush."""

WIDER = 4
"""On other slices a target may exceed the box of one slice by one such part of its side, as the crop does."""


class Seeds(NamedTuple):
    """Both are (D, H, W); no voxel is in both."""

    inside: Bits
    outside: Bits


def seeds_of(hint: NDArray[np.float32], box: NDArray[np.float32] | None) -> Seeds:
    """What an observation says for sure.

    Inside are the clicks inside with all that is near them, as a brush has it, and the middle of a box but for what is
    nearer to a click outside. Outside are the clicks outside with what is near them, and all that lies outside a box;
    without a box, or where it is the whole grid, the border of the grid, which a target that is looked at seldom
    reaches. What clicks say counts before boxes, and a voxel that was clicked on both sides says nothing.

    Args:
        hint: Of clicks inside and outside, (2, D, H, W), 1 at a click.
        box: What is shown of a box, (D, H, W) in [0, 1], 0 everywhere where there is none; None: likewise.
    """
    wanted, refused = _away_from(hint[0] == 1), _away_from(hint[1] == 1)
    if box is None or not box.any():
        core, beyond = np.zeros(wanted.shape, bool), _border(wanted.shape)
    else:
        core, beyond = core_of(box > 0, refused), outside_of(box)
    brushed_in = (wanted <= BRUSH) & (wanted < refused) & ~beyond | ((wanted == 0) & (refused > 0))
    brushed_out = (refused <= BRUSH) & (refused < wanted)
    inside = brushed_in | (core & ~brushed_out)
    return Seeds(inside, (beyond | brushed_out) & ~inside)


def core_of(boxed: Bits, refused: Floats) -> Bits:
    """The ellipsoid in the middle of a box, (D, H, W), a third as large along each axis; a voxel of it at least.

    Args:
        boxed: The box, (D, H, W).
        refused: Distance of each voxel to the nearest click outside, (D, H, W) voxels; what is nearer to one than to
            the middle is left out.
    """
    squared, far = np.zeros(boxed.shape), np.zeros(boxed.shape)
    for axis in range(3):
        first, last = _reach(boxed, axis)
        away = np.expand_dims(np.arange(boxed.shape[axis]) - (first + last) / 2, _others(axis))
        squared += (away / (CORE * (last - first + 1) / 2)) ** 2
        far += away**2
    core = (squared <= max(1.0, float(squared.min()))) & boxed
    return np.asarray(core & (np.sqrt(far) < refused))


def outside_of(box: NDArray[np.float32]) -> Bits:
    """Voxels that a box leaves outside for sure, (D, H, W); of a box that is the whole grid, the border of that.

    Args:
        box: As in the observation, (D, H, W): 1 inside; of a box of one slice of the third axis 1 there alone.
    """
    boxed = box > 0
    drawn = (box == 1).any(axis=(0, 1)) | ~boxed.any(axis=(0, 1))  # slices that it says all of, (W,)
    wide = np.ones(box.shape, bool)
    for axis in (0, 1):
        first, last = _reach(boxed, axis)
        more, along = (last - first + 1) / WIDER, np.arange(box.shape[axis])
        wide &= np.expand_dims((along >= first - more) & (along <= last + more), _others(axis))
    outside = ~boxed & (drawn | ~wide)
    return outside if outside.any() else _border(box.shape)


def _others(axis: int) -> tuple[int, ...]:
    return tuple(other for other in range(3) if other != axis)


def _reach(boxed: Bits, axis: int) -> tuple[int, int]:
    """The first and the last layer of a box along an axis."""
    there = np.flatnonzero(boxed.any(axis=_others(axis)))
    return int(there[0]), int(there[-1])


def _away_from(clicks: Bits) -> Floats:
    """Distance of each voxel to the nearest click, (D, H, W) voxels; infinite where there is none."""
    from scipy.ndimage import distance_transform_edt

    return np.asarray(distance_transform_edt(~clicks)) if clicks.any() else np.full(clicks.shape, np.inf)


def _border(shape: tuple[int, ...]) -> Bits:
    border = np.ones(shape, bool)
    border[1:-1, 1:-1, 1:-1] = False
    return border
