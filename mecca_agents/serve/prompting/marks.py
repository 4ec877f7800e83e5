"""Scribbles and lassos, which viewers send as masks, as the voxels that a session is told of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

MOST_SIDED = 4096
"""Voxels of one mark that a run which knows signs is told of; more than an agent's grid has on a slice."""

MOST_EDGES = 10
"""Voxels of one mark that a run without signs is told of: in training it met 5 to 25 clicks a step."""


def sided_voxels(mark: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Voxels of a mark, (N, 3), the one nearest to its middle first; evenly thinned where there are very many.

    Args:
        mark: (X, Y, Z), one voxel at least.
    """
    voxels = np.argwhere(mark)
    if len(voxels) > MOST_SIDED:
        voxels = voxels[np.linspace(0, len(voxels) - 1, MOST_SIDED).astype(int)]
    return _from_the_middle(voxels)


def edge_voxels(mark: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Voxels on the outline of a mark, (N, 3), as far from each other as can be; the one nearest its middle first.

    The outline is that on the slice, where the mark lies on one; a line is its own outline.

    Args:
        mark: (X, Y, Z), one voxel at least.
    """
    voxels = np.argwhere(mark)
    low, high = voxels.min(0), voxels.max(0) + 1
    part = mark[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    across = [bool(side > 1) for side in high - low]
    inner = binary_erosion(part, _cross(across)) if sum(across) > 1 else np.zeros_like(part)
    outline = _from_the_middle(np.argwhere(part & ~inner) + low)
    chosen = [0]
    distance = np.linalg.norm(outline - outline[0], axis=1)
    while len(chosen) < MOST_EDGES and distance.max() > 0:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(outline - outline[chosen[-1]], axis=1))
    return outline[chosen]


def _cross(across: list[bool]) -> NDArray[np.bool_]:
    """Neighbours along the axes in which a mark is more than one voxel thick."""
    cross: NDArray[Any] = np.zeros((3, 3, 3), bool)
    cross[1, 1, 1] = True
    for axis, thick in enumerate(across):
        if thick:
            np.moveaxis(cross, axis, 0)[:, 1, 1] = True
    return cross


def _from_the_middle(voxels: NDArray[np.intp]) -> NDArray[np.intp]:
    first = int(((voxels - voxels.mean(axis=0)) ** 2).sum(axis=1).argmin())
    return np.concatenate([voxels[first : first + 1], voxels[:first], voxels[first + 1 :]])
