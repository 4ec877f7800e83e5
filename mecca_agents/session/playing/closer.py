"""A second look, twice as close, where the agent's grid is coarser than the scan: the parts it is taken in."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool3d

from mecca_env.data.base import Box, Triple
from mecca_env.data.grid.placement import Placement

COARSE = 1.5
"""Along an axis where a voxel of the grid is as many voxels of the scan long, the view is cut in two."""

OVERLAP = 0.25
"""Share of its side that is seen of what lies beside a part, on every side."""


def parts(placement: Placement) -> list[tuple[Box, Box]]:
    """The parts of a view, each with what is seen for it; one alone where the grid is as fine as the scan.

    Args:
        placement: Where the agent's grid lies in the scan.

    Returns:
        Boxes of the scan, high exclusive; the parts fill the view, and what is seen stays within it.
    """
    cores, seen = [], []
    for low, high, voxels in zip(placement.low, placement.high, placement.shape, strict=True):
        count = 2 if high - low >= COARSE * voxels else 1
        ends = np.rint(np.linspace(low, high, count + 1)).astype(int).tolist()
        margin = math.ceil(OVERLAP * (high - low) / count)
        cores.append(list(itertools.pairwise(ends)))
        seen.append([(max(a - margin, low), min(b + margin, high)) for a, b in cores[-1]])
    return list(zip(_boxes(cores), _boxes(seen), strict=True))


def border(mask: Tensor) -> Tensor:
    """Voxels of a mask (D, H, W) that have another one beside them, corners included, that is not like them."""
    values = torch.stack((mask, ~mask)).float()[:, None]
    target, background = max_pool3d(values, 3, stride=1, padding=1)[:, 0].bool()
    return target & background


def _boxes(spans: Sequence[Sequence[tuple[int, int]]]) -> Iterator[Box]:
    for x, y, z in itertools.product(*spans):
        low: Triple = (x[0], y[0], z[0])
        high: Triple = (x[1], y[1], z[1])
        yield low, high
