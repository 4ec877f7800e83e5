"""Scores of masks on the grid of their case's scan, whatever a data set keeps of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mecca_agents.evaluation.protocols.cvpr25 import ScanScores, scan_scores
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
        """DSC and NSD at 2 mm (`scan_scores`) of a mask.

        No more is looked at than the smallest box that holds mask and label: both surfaces lie in it, so the scores are
        those of the whole scan.

        Args:
            mask: On the scan's grid, (X, Y, Z) bool.

        Raises:
            ValueError: The mask has another shape than the scan.
        """
        label = self._label
        if mask.shape != label.scan_shape:
            raise ValueError(f"mask: expected the shape of its scan, {label.scan_shape}, got {mask.shape}")
        box = _around(label.box, bounding_box(mask)) if mask.any() else label.box
        return scan_scores(mask[_slices(box)], label.within(box), spacing=label.spacing)

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
    spacing: tuple[float, float, float]  # millimetres

    def within(self, box: Box) -> NDArray[np.bool_]:
        """The label in a larger box of the scan."""
        found = np.zeros([high - low for low, high in zip(*box, strict=True)], np.bool_)
        found[tuple(slice(a - o, b - o) for a, b, o in zip(*self.box, box[0], strict=True))] = self.inside
        return found


def _around(one: Box, other: Box) -> Box:
    low = [min(corners) for corners in zip(one[0], other[0], strict=True)]
    high = [max(corners) for corners in zip(one[1], other[1], strict=True)]
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def _moved(voxel: Triple, by: Triple) -> Triple:
    a, b, c = (v + o for v, o in zip(voxel, by, strict=True))
    return a, b, c


def _slices(box: Box) -> tuple[slice, ...]:
    return tuple(slice(low, high) for low, high in zip(*box, strict=True))
