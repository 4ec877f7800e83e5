"""A box drawn in two views: each gives the extent along its own two axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mecca_agents.session import SessionError
from mecca_env.data.base import Box, Triple

Extent = tuple[int, int]
"""First voxel and, exclusive, last one."""


@dataclass(frozen=True)
class BoxDraft:
    """A box, as far as it is known.

    Attributes:
        extents: Along each axis; None where it has not been drawn yet.
    """

    extents: tuple[Extent | None, Extent | None, Extent | None] = (None, None, None)

    @classmethod
    def of(cls, box: Box | None) -> BoxDraft:
        """A finished box, or nothing."""
        if box is None:
            return cls()
        (a, b, c), (d, e, f) = box
        return cls(((a, d), (b, e), (c, f)))

    def drawn(self, axis: int, start: Sequence[float], end: Sequence[float], shape: Triple) -> BoxDraft:
        """With what was drawn in the view along `axis`, from one point of the scan to another.

        Raises:
            SessionError: It has no area within the scan.
        """
        extents = list(self.extents)
        for a in (0, 1, 2):
            if a != axis:
                extents[a] = _extent(start[a], end[a], shape[a])
        if any(extents[a] is None for a in (0, 1, 2) if a != axis):
            raise SessionError(f"box: expected a rectangle in the scan, got one from {start} to {end} (voxels)")
        return replace(self, extents=(extents[0], extents[1], extents[2]))

    @property
    def box(self) -> Box | None:
        """The box; None as long as an extent is missing."""
        first, second, third = self.extents
        if first is None or second is None or third is None:
            return None
        return (first[0], second[0], third[0]), (first[1], second[1], third[1])

    @property
    def missing(self) -> list[int]:
        """The axes along which it has not been drawn."""
        return [axis for axis, extent in enumerate(self.extents) if extent is None]


def holds(outer: Box, inner: Box) -> bool:
    """Whether one box lies within another one."""
    return bool((np.less_equal(outer[0], inner[0]) & np.less_equal(inner[1], outer[1])).all())


def around(one: Box, other: Box) -> tuple[list[int], list[int]]:
    """The corners of the smallest box that holds both."""
    return np.minimum(one[0], other[0]).tolist(), np.maximum(one[1], other[1]).tolist()


def _extent(one: float, other: float, sides: int) -> Extent | None:
    """The voxels that a stretch touches, within the scan; voxel i reaches from i - 0.5 to i + 0.5."""
    low, high = sorted((one, other))
    first, last = max(math.floor(low + 0.5), 0), min(math.ceil(high + 0.5), sides)
    return (first, last) if first < last and high - low > 0 else None
