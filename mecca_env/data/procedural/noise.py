"""A scan's voxel grid in millimetres, and noise on it that is the same bit for bit on every device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.tensors.rng import mix

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
        extent: Sides of the field of view, mm, which smooth noise is defined in; its middle is the origin.
    """

    axes: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
    key: int
    device: torch.device
    extent: Point

    @classmethod
    def whole(cls, size: Size, extent: Point, key: int, device: torch.device) -> Grid:
        """The grid of a whole scan of `size` voxels that fill `extent`."""
        x, y, z = (_axis(n, side / n) for n, side in zip(size, extent, strict=True))
        return cls((x, y, z), key, device, extent)

    @property
    def shape(self) -> Size:
        """Voxels along each axis."""
        x, y, z = map(len, self.axes)
        return x, y, z

    @property
    def spacing(self) -> Point:
        """Distances between voxels, mm."""
        return Point(*(float(axis[1] - axis[0]) for axis in self.axes))

    @property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4), from voxels to mm."""
        affine = np.diag([*(axis[1] - axis[0] for axis in self.axes), 1.0])
        affine[:3, 3] = [axis[0] for axis in self.axes]
        return affine

    def coordinates(self) -> tuple[Tensor, Tensor, Tensor]:
        """The axes as (X, 1, 1), (1, Y, 1) and (1, 1, Z) float32 tensors."""
        x, y, z = (torch.from_numpy(axis).to(self.device, torch.float32) for axis in self.axes)
        return x[:, None, None], y[None, :, None], z[None, None, :]

    def part(self, box: tuple[slice, ...]) -> Grid:
        """The same grid cut to `box`; its noise is the cut of this grid's noise."""
        x, y, z = (axis[cut] for axis, cut in zip(self.axes, box, strict=True))
        return replace(self, axes=(x, y, z))

    def noise(self, stream: int, spacing: float | Point) -> Tensor:
        """Smooth noise of about unit variance with features of `spacing` mm, one field per `stream`.

        Cubic B-splines on a lattice of hashed values. All products and sums are exact, so that their order, which
        differs between devices, does not matter.

        Args:
            stream: Which field.
            spacing: Of the lattice, mm, along all axes or along each.

        Returns:
            (X, Y, Z) float64.
        """
        steps = spacing if isinstance(spacing, Point) else Point(spacing, spacing, spacing)
        sides = zip(self.axes, steps, self.extent, strict=True)
        wx, wy, wz = (torch.from_numpy(_weights(*side)).to(self.device) for side in sides)
        counter = torch.arange(wx.shape[1] * wy.shape[1] * wz.shape[1], device=self.device)
        word = mix(mix(counter + (stream << 24)) ^ self.key) >> (32 - _BITS)
        lattice = (2 * word + 1).to(torch.float64).mul_(2.0**-_BITS).sub_(1.0)
        field = (wx @ lattice.view(wx.shape[1], -1)).view(wx.shape[0], wy.shape[1], wz.shape[1])
        return (wy @ field @ wz.T).mul_(1 / _SPLINE_STD)

    def white(self, purpose: int) -> tuple[Tensor, Tensor]:
        """Two independent normal deviates for every voxel of the whole grid, (X, Y, Z) float32 each.

        Args:
            purpose: Name of the random stream.
        """
        key = mix(torch.tensor(self.key ^ purpose, device=self.device))
        x, y, z = self.shape
        word = mix(mix(torch.arange(x * y * z, device=self.device)) ^ key)
        quantiles = _normal_quantiles(self.device)
        return quantiles[word & 0xFFFF].view(x, y, z), quantiles[word >> 16].view(x, y, z)


@lru_cache(maxsize=4)
def _normal_quantiles(device: torch.device) -> Tensor:
    """(65536,) float32 quantiles of the standard normal: a table gives the same draws on every device."""
    levels = (torch.arange(2**16, dtype=torch.float64, device="cpu") + 0.5) / 2**16
    quantiles: Tensor = torch.special.ndtri(levels)
    return quantiles.float().to(device)


def _axis(voxels: int, spacing: float) -> NDArray[np.float64]:
    return np.asarray((np.arange(voxels) - (voxels - 1) / 2) * spacing, np.float64)


def _weights(axis: NDArray[np.float64], spacing: float, extent: float) -> NDArray[np.float64]:
    """(voxels, knots) values of the cubic B-splines on a lattice over `extent` mm, rounded to `_BITS` binary places."""
    knots = np.arange(-1, int(extent / spacing) + 3)
    t = np.abs((axis[:, None] + extent / 2) / spacing - knots)
    values = np.where(t < 1, 2 / 3 - t**2 + t**3 / 2, np.clip(2 - t, 0, None) ** 3 / 6)
    return np.asarray(np.round(values * 2**_BITS) / 2**_BITS)
