"""The three orthogonal views of a scan: which voxel axes run where, and what lies at their edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WORLD = (("L", "R"), ("P", "A"), ("I", "S"))
_NAMES = {2: "Axial", 1: "Coronal", 0: "Sagittal"}


@dataclass(frozen=True)
class Plane:
    """One view.

    Attributes:
        name: "Axial", "Coronal" or "Sagittal", whichever the scan's own axes come nearest to.
        axis: Voxel axis that the slices are stacked along.
        right: Voxel axis that runs across the view.
        up: Voxel axis that runs along it.
        flip_right: Whether the first voxel of `right` is on the right.
        flip_up: Whether the first voxel of `up` is at the top.
        edges: What lies at the left, the right, the top and the bottom: L R A P S I.
    """

    name: str
    axis: int
    right: int
    up: int
    flip_right: bool
    flip_up: bool
    edges: tuple[str, str, str, str]

    def picture(self, plane: NDArray[Any]) -> NDArray[Any]:
        """A slice along the two other axes, in their order, as rows from the top and columns from the left."""
        rows = plane if self.up < self.right else plane.T
        rows = rows if self.flip_up else rows[::-1]
        return rows[:, ::-1] if self.flip_right else rows


def planes_of(affine: NDArray[np.float64]) -> tuple[Plane, Plane, Plane]:
    """The views of a scan with this affine, (4, 4): axial, coronal, sagittal.

    Anterior and superior are at the top, the patient's left is on the right (as if seen from the feet) and anterior on
    the left, whatever the order and direction of the scan's axes.
    """
    from nibabel.orientations import io_orientation  # late, since it takes longer to import than a page to draw

    world, direction = io_orientation(affine).T
    axis_of = {int(w): a for a, w in enumerate(world)}
    grows = {int(w): bool(d > 0) for w, d in zip(world, direction, strict=True)}  # towards R, A, S with the index
    return tuple(_plane(normal, across, along, axis_of, grows) for normal, across, along in _VIEWS)  # type: ignore[return-value]


_VIEWS = ((2, 0, 1), (1, 0, 2), (0, 1, 2))  # world axes: through the view, across it, along it


def _plane(normal: int, across: int, along: int, axis_of: dict[int, int], grows: dict[int, bool]) -> Plane:
    low, high = _WORLD[across]
    bottom, top = _WORLD[along]
    return Plane(
        name=_NAMES[normal],
        axis=axis_of[normal],
        right=axis_of[across],
        up=axis_of[along],
        flip_right=grows[across],  # across a view the left or the back is on the right
        flip_up=not grows[along],
        edges=(high, low, top, bottom),
    )
