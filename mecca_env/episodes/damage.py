"""Masks to go on from: a label as somebody, or some program, may have drawn it, with one or two things wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.bool_]
Damage = Callable[[Bits, np.random.Generator], Bits]

MOST_SHIFT = 0.15
"""Share of the label's extent by which a mask is shifted at most along each axis."""

TRIES = 8
"""Draws after which a label that nothing of would be left, small as it is, is taken as it is."""


def damaged(label: Bits, rng: np.random.Generator) -> Bits:
    """A label with one or two of five kinds of damage: shifted, grown, shrunk, a piece lost, a piece added.

    Args:
        label: (D, H, W), not empty.
        rng: What all of it is drawn from.

    Returns:
        A new mask, (D, H, W), not empty.
    """
    kinds: tuple[Damage, ...] = (shifted, grown, shrunk, bitten, lumped)
    for _ in range(TRIES):
        mask = label
        for number in rng.permutation(len(kinds))[: rng.integers(1, 2, endpoint=True)]:
            mask = kinds[number](mask, rng)
            if not mask.any():
                break
        else:
            return mask.copy()
    return label.copy()


def shifted(mask: Bits, rng: np.random.Generator) -> Bits:
    """Moved by up to `MOST_SHIFT` of its extent, one voxel at least; what leaves the grid is lost."""
    spans = [int(np.ptp(where)) + 1 for where in np.nonzero(mask)]
    reach = [max(round(MOST_SHIFT * span), 1) for span in spans]
    by = [int(rng.integers(-r, r, endpoint=True)) for r in reach]
    moved = np.zeros_like(mask)
    there = tuple(slice(max(b, 0), n + min(b, 0)) for b, n in zip(by, mask.shape, strict=True))
    here = tuple(slice(max(-b, 0), n + min(-b, 0)) for b, n in zip(by, mask.shape, strict=True))
    moved[there] = mask[here]
    return moved


def grown(mask: Bits, rng: np.random.Generator) -> Bits:
    """A voxel or two larger."""
    from scipy.ndimage import binary_dilation

    found: Bits = binary_dilation(mask, iterations=int(rng.integers(1, 2, endpoint=True)))
    return found


def shrunk(mask: Bits, rng: np.random.Generator) -> Bits:
    """A voxel or two smaller; at the grid's border it goes on beyond."""
    from scipy.ndimage import binary_erosion

    found: Bits = binary_erosion(mask, iterations=int(rng.integers(1, 2, endpoint=True)), border_value=1)
    return found


def bitten(mask: Bits, rng: np.random.Generator) -> Bits:
    """Without a ball around one of its voxels, of up to half its size across."""
    return mask & ~_ball(mask, rng, 0.15, 0.5)


def lumped(mask: Bits, rng: np.random.Generator) -> Bits:
    """With a ball added around one of the voxels of its surface, of up to a third of its size across."""
    from scipy.ndimage import binary_erosion

    surface = mask & ~binary_erosion(mask, border_value=1)
    return mask | _ball(surface if surface.any() else mask, rng, 0.1, 0.33)


def _ball(centres: Bits, rng: np.random.Generator, least: float, most: float) -> Bits:
    """A ball around one of some voxels, its radius a share of half their extent, drawn."""
    voxels = np.argwhere(centres)
    centre = voxels[rng.integers(len(voxels))]
    radius = max(rng.uniform(least, most) * float(np.ptp(voxels, axis=0).mean() + 1), 1.0)
    distances = [(np.arange(n) - c) ** 2 for n, c in zip(centres.shape, centre, strict=True)]
    inside: Bits = np.add.outer(np.add.outer(distances[0], distances[1]), distances[2]) <= radius**2
    return inside
