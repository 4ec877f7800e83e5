"""A scan's voxel grid in millimetres, and smooth noise on it that is the same bit for bit on every device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.tensors.rng import mix

FIELD_OF_VIEW = (192.0, 192.0, 128.0)
"""Extent of a phantom scan, mm: the largest head with a margin of background."""

_BITS = 12  # of a spline weight and of a lattice value: 3 * 13 + 12 bits, so every product and sum is exact in float64
_SPLINE_STD = 0.191  # of a cubic B-spline through uniform values in [-1, 1]: sqrt((151 / 315) ** 3 / 3)


Size = tuple[int, int, int]


class Point(NamedTuple):
    """A point or three half-axes, mm."""

    x: float
    y: float
    z: float


@dataclass(frozen=True)
class Grid:
    """Voxel centres of a box, and the stream its noise is drawn from.

    Attributes:
        axes: Coordinates of the voxel centres along each axis, mm.
        key: The case's random stream, in [0, 2^32).
        device: Where fields are computed.
    """

    axes: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
    key: int
    device: torch.device

    def coordinates(self) -> tuple[Tensor, Tensor, Tensor]:
        """The axes as (X, 1, 1), (1, Y, 1) and (1, 1, Z) float32 tensors."""
        x, y, z = (torch.from_numpy(axis).to(self.device, torch.float32) for axis in self.axes)
        return x[:, None, None], y[None, :, None], z[None, None, :]

    def part(self, box: tuple[slice, ...]) -> Grid:
        """The same grid cut to `box`; its noise is the cut of this grid's noise."""
        x, y, z = (axis[cut] for axis, cut in zip(self.axes, box, strict=True))
        return Grid((x, y, z), self.key, self.device)

    def noise(self, stream: int, spacing: float) -> Tensor:
        """Smooth noise of about unit variance with features of `spacing` mm, one field per `stream`.

        Cubic B-splines on a lattice of hashed values. All products and sums are exact, so that their order, which
        differs between devices, does not matter.

        Returns:
            (X, Y, Z) float64.
        """
        sides = zip(self.axes, FIELD_OF_VIEW, strict=True)
        wx, wy, wz = (torch.from_numpy(_weights(axis, spacing, extent)).to(self.device) for axis, extent in sides)
        counter = torch.arange(wx.shape[1] * wy.shape[1] * wz.shape[1], device=self.device)
        word = mix(mix(counter + (stream << 24)) ^ self.key) >> (32 - _BITS)
        lattice = (2 * word + 1).to(torch.float64).mul_(2.0**-_BITS).sub_(1.0)
        field = (wx @ lattice.view(wx.shape[1], -1)).view(wx.shape[0], wy.shape[1], wz.shape[1])
        return (wy @ field @ wz.T).mul_(1 / _SPLINE_STD)


def _weights(axis: NDArray[np.float64], spacing: float, extent: float) -> NDArray[np.float64]:
    """(voxels, knots) values of the cubic B-splines on a lattice over `extent` mm, rounded to `_BITS` binary places."""
    knots = np.arange(-1, int(extent / spacing) + 3)
    t = np.abs((axis[:, None] + extent / 2) / spacing - knots)
    values = np.where(t < 1, 2 / 3 - t**2 + t**3 / 2, np.clip(2 - t, 0, None) ** 3 / 6)
    return np.asarray(np.round(values * 2**_BITS) / 2**_BITS)
