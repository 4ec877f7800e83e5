"""An endless data set of procedural brain tumours on FLAIR-like scans; a case is a pure function of its index.

The head comes from `anatomy`, what grows in it from `tumour`; this file is the scanner and the data set. The label is
what an annotator would draw around core and infiltrated tissue; its signal overlaps with that of healthy tissue, so
that Otsu's threshold inside the evaluation crop reaches a Dice of about 0.6: 0.8 where the tumour is the brightest
thing by far, 0.2 where the threshold falls between brain and fluid or background.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.data.base import PreparedCase, Scan
from mecca_env.data.caching.memory import RecentCases
from mecca_env.data.grid.cutting import prepare
from mecca_env.data.phantom.anatomy import Head, brain_box, healthy
from mecca_env.data.phantom.noise import FIELD_OF_VIEW, Grid, Size
from mecca_env.data.phantom.tumour import Tumour, grow
from mecca_env.tensors.rng import mix

CASES = 2**30
"""Number of cases: every index below it is one."""

DEFAULT_SIZE: Size = (96, 96, 64)
"""Voxels of a scan at 2 mm; other sizes show the same head on a finer or coarser grid."""

MIN_SIDE = 32
"""Fewest voxels along an axis: on a coarser grid the smallest tumours are a handful of voxels."""

_SCALARS, _VOXELS = 0x6D656363, 0x706861  # names of the random streams: scalar parameters, per-voxel draws
_BIAS = 32  # stream of smooth noise, after those of the anatomy and the tumour


@dataclass(frozen=True)
class Acquisition:
    """Everything that differs from one scanner to the next.

    Attributes:
        gain: Scanner units per unit of signal.
        bias: Standard deviation of the smooth multiplicative field.
        noise: Standard deviation of the noise in each of the two channels, in units of signal.
    """

    gain: float
    bias: float
    noise: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Acquisition:
        """A random scanner."""
        return cls(gain=rng.uniform(200.0, 1000.0), bias=rng.uniform(0.03, 0.12), noise=rng.uniform(0.015, 0.05))


def phantom_scan(index: int, *, size: Size = DEFAULT_SIZE, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Draw case `index`; the result depends on nothing else, not even on the device.

    Args:
        index: Case number in [0, 2^30).
        size: Voxels along x (right), y (front) and z (up) of a field of view of 192 x 192 x 128 mm.
        device: Where to draw it and leave it.

    Returns:
        image: (1, X, Y, Z) float32, scanner units, exactly zero outside the brain.
        label: (X, Y, Z) bool, the tumour, one face-connected component inside the brain.

    Raises:
        IndexError: `index` is out of range.
        ValueError: `size` is not three numbers of at least 32.
    """
    index, size = _checked(index, size)
    rng = np.random.default_rng([index, _SCALARS])
    head, scanner = Head.draw(rng), Acquisition.draw(rng)
    tumour = Tumour.draw(rng, head)
    key = int(rng.integers(2**32))
    spacing = _spacing(size)
    x, y, z = (_axis(n, step) for n, step in zip(size, spacing, strict=True))
    brain = brain_box(head, spacing, size)
    grid = Grid((x, y, z), key, torch.device(device)).part(brain)
    anatomy = healthy(grid, head, tumour.mass)
    lesion = grow(grid, head, tumour, anatomy)
    image = torch.zeros(1, *size, dtype=torch.float32, device=device)
    image[0][brain] = _acquire(grid, anatomy.signal, scanner).mul_(anatomy.depth > 0)
    label = torch.zeros(size, dtype=torch.bool, device=device)
    label[brain] = lesion
    return image, label


def _checked(index: int, size: Size) -> tuple[int, Size]:
    if not 0 <= index < CASES:
        raise IndexError(f"phantom case {index}: expected an index in [0, {CASES})")
    if len(size) != 3 or min(size) < MIN_SIDE:
        raise ValueError(f"size: expected three sides of at least {MIN_SIDE} voxels, got {size!r}")
    return int(index), size


def _spacing(size: Size) -> tuple[float, float, float]:
    x, y, z = (extent / n for extent, n in zip(FIELD_OF_VIEW, size, strict=True))
    return x, y, z


def _axis(voxels: int, spacing: float) -> NDArray[np.float64]:
    return np.asarray((np.arange(voxels) - (voxels - 1) / 2) * spacing, np.float64)


def _acquire(grid: Grid, signal: Tensor, scanner: Acquisition) -> Tensor:
    """The magnitude image a scanner makes of (X, Y, Z) `signal`: bias field, Rician noise, scanner units."""
    bias = grid.noise(_BIAS, 70.0).float().mul_(scanner.bias).add_(1)
    key = mix(torch.tensor(grid.key ^ _VOXELS, device=grid.device))
    word = mix(mix(torch.arange(signal.numel(), device=grid.device)) ^ key)
    quantiles = _normal_quantiles(grid.device)
    real = quantiles[word & 0xFFFF].view_as(signal).mul_(scanner.noise).add_(bias.mul_(signal))
    imaginary = quantiles[word >> 16].view_as(signal).mul_(scanner.noise)
    return real.square_().add_(imaginary.square_()).sqrt_().mul_(scanner.gain)


@lru_cache(maxsize=4)
def _normal_quantiles(device: torch.device) -> Tensor:
    """(65536,) float32 quantiles of the standard normal: a table gives the same draws on every device."""
    levels = (torch.arange(2**16, dtype=torch.float64, device="cpu") + 0.5) / 2**16
    quantiles: Tensor = torch.special.ndtri(levels)
    return quantiles.float().to(device)


class PhantomSource:
    """2^30 phantoms as a `VolumeSource`; recently used ones are kept in memory.

    Args:
        extension: Least and most voxels a training crop extends beyond the label on each side.
        rotation: Largest rotation about the slice axis in training, degrees.
        evaluation_extension: Voxels an evaluation crop extends beyond the label on each side.
        whole: Keep whole scans, for crops that lie anywhere in them.
        size: Voxels of a scan, see `phantom_scan`.
        device: Where scans are drawn; prepared cases lie on the CPU.
        memory_bytes: How much prepared cases may take before the least recently used is dropped.

    Attributes:
        name: "phantom".
        modalities: 1.

    Raises:
        ValueError: `size` is not three numbers of at least 32.
    """

    name = "phantom"
    modalities = 1

    def __init__(
        self,
        *,
        extension: tuple[int, int] = (1, 11),
        rotation: float = 15.0,
        evaluation_extension: int = 6,
        whole: bool = False,
        size: Size = DEFAULT_SIZE,
        device: torch.device | str = "cpu",
        memory_bytes: int = 256 * 2**20,
    ) -> None:
        self._settings: dict[str, Any] = {
            "extension": extension,
            "rotation": rotation,
            "evaluation_extension": evaluation_extension,
            "whole": whole,
        }
        self._size = _checked(0, size)[1]
        self._device = torch.device(device)
        self._recent = RecentCases(memory_bytes)

    def __len__(self) -> int:
        """2^30."""
        return CASES

    def case_name(self, index: int) -> str:
        """`phantom_` and the index in ten digits."""
        return f"phantom_{_checked(index, self._size)[0]:010d}"

    def scan(self, index: int) -> Scan:
        """Case `index` on its whole grid."""
        image, label = phantom_scan(index, size=self._size, device=self._device)
        affine = np.diag([*_spacing(self._size), 1.0])
        affine[:3, 3] = [_axis(n, step)[0] for n, step in zip(self._size, _spacing(self._size), strict=True)]
        return Scan(self.case_name(index), image.cpu().numpy(), label.cpu().numpy(), affine)

    def case(self, index: int) -> PreparedCase:
        """Case `index`, cut around its label. Raises `IndexError` when out of range."""
        index = _checked(index, self._size)[0]
        return self._recent.get(index, lambda: prepare(self.scan(index), **self._settings))
