"""Scores of masks on the grid of their case's scan, whatever a data set keeps of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mecca_agents.evaluation.protocols.cvpr25 import LEAST_DSC, TOLERANCE, ScanScores
from mecca_agents.evaluation.protocols.surfaces import Spacing, Surface, surface_dice_of, surface_of
from mecca_env.data.base import Box, Triple, VolumeSource
from mecca_env.data.grid.cutting import bounding_box


class CaseOnScan:
    """The label of one case on its scan's own grid, for all masks that are scored against it.

    A prepared case may hold only what lies around its label, but all of the label. The case is asked for when the first
    mask is scored, and its image is not kept.

    Args:
        source: The data set.
        index: Of the case.
    """

    def __init__(self, source: VolumeSource, index: int) -> None:
        self._source, self._index = source, index

    def scores(self, mask: NDArray[np.bool_]) -> ScanScores:
        """What `scan_scores` says of a mask at 2 mm; nothing is looked at but the boxes that hold mask and label.

        Args:
            mask: On the scan's grid, (X, Y, Z) bool.

        Raises:
            ValueError: The mask has another shape than the scan.
        """
        label = self._label
        if mask.shape != label.scan_shape:
            raise ValueError(f"mask: expected the shape of its scan, {label.scan_shape}, got {mask.shape}")
        found, wanted = np.count_nonzero(mask), np.count_nonzero(label.inside)
        dsc = float(2 * np.count_nonzero(mask[_slices(label.box)] & label.inside) / (found + wanted))
        if dsc <= LEAST_DSC:
            return ScanScores(dsc, 0.0)
        box = bounding_box(mask)
        surface = surface_of(mask[_slices(box)], box[0], label.spacing)
        return ScanScores(dsc, surface_dice_of(surface, label.surface, TOLERANCE))

    @cached_property
    def _label(self) -> _Label:
        case = self._source.case(self._index)
        cut = case.label.cpu().numpy()
        low, high = bounding_box(cut)
        a, b, c = (float(side) for side in np.linalg.norm(case.affine[:3, :3], axis=0))
        box = (_moved(low, case.origin), _moved(high, case.origin))
        return _Label(cut[_slices((low, high))].copy(), box, case.scan_shape, (a, b, c))


@dataclass(frozen=True, eq=False)
class _Label:
    """A label that is not empty, and where it lies."""

    inside: NDArray[np.bool_]  # what is in its box
    box: Box  # on the scan's grid
    scan_shape: Triple
    spacing: Spacing  # millimetres

    @cached_property
    def surface(self) -> Surface:
        """Its surface."""
        return surface_of(self.inside, self.box[0], self.spacing)


def _moved(voxel: Triple, by: Triple) -> Triple:
    a, b, c = (v + o for v, o in zip(voxel, by, strict=True))
    return a, b, c


def _slices(box: Box) -> tuple[slice, ...]:
    return tuple(slice(low, high) for low, high in zip(*box, strict=True))
