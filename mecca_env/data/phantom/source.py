"""An endless data set of procedural brain tumours on FLAIR-like scans; a case is a pure function of its index.

The head comes from `anatomy`, what grows in it from `tumour`; this file is the scanner and the data set. The label is
what an annotator would draw around core and infiltrated tissue; its signal overlaps with that of healthy tissue, so
that Otsu's threshold inside the evaluation crop reaches a Dice of about 0.6: 0.8 where the tumour is the brightest
thing by far, 0.2 where the threshold falls between brain and fluid or background.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mecca_env.data.base import Scan
from mecca_env.data.phantom.anatomy import Head, brain_box, healthy
from mecca_env.data.phantom.tumour import Tumour, grow
from mecca_env.data.procedural.noise import Grid, Point, Size
from mecca_env.data.procedural.source import ProceduralSource, checked_index

FIELD_OF_VIEW = Point(192.0, 192.0, 128.0)
"""Extent of a phantom scan, mm: the largest head with a margin of background."""

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
    whole = Grid.whole(size, FIELD_OF_VIEW, key, torch.device(device))
    brain = brain_box(head, whole.spacing, size)
    grid = whole.part(brain)
    anatomy = healthy(grid, head, tumour.mass)
    lesion = grow(grid, head, tumour, anatomy)
    image = torch.zeros(1, *size, dtype=torch.float32, device=device)
    image[0][brain] = _acquire(grid, anatomy.signal, scanner).mul_(anatomy.depth > 0)
    label = torch.zeros(size, dtype=torch.bool, device=device)
    label[brain] = lesion
    return image, label


def _checked(index: int, size: Size) -> tuple[int, Size]:
    if len(size) != 3 or min(size) < MIN_SIDE:
        raise ValueError(f"size: expected three sides of at least {MIN_SIDE} voxels, got {size!r}")
    return checked_index(PhantomSource.name, index), size


def _acquire(grid: Grid, signal: Tensor, scanner: Acquisition) -> Tensor:
    """The magnitude image a scanner makes of (X, Y, Z) `signal`: bias field, Rician noise, scanner units."""
    bias = grid.noise(_BIAS, 70.0).float().mul_(scanner.bias).add_(1)
    real, imaginary = (part.mul_(scanner.noise) for part in grid.white(_VOXELS))
    real.add_(bias.mul_(signal))
    return real.square_().add_(imaginary.square_()).sqrt_().mul_(scanner.gain)


class PhantomSource(ProceduralSource):
    """2^30 phantoms as a `VolumeSource`; recently used ones are kept in memory.

    Args:
        size: Voxels of a scan, see `phantom_scan`.
        **settings: See `ProceduralSource`.

    Attributes:
        name: "phantom".
        modalities: 1.

    Raises:
        ValueError: `size` is not three numbers of at least 32.
    """

    name = "phantom"
    words = "the built-in phantom"

    def __init__(self, *, size: Size = DEFAULT_SIZE, **settings: Any) -> None:
        super().__init__(**settings)
        self._size = _checked(0, size)[1]

    def scan(self, index: int) -> Scan:
        """Case `index` on its whole grid."""
        image, label = phantom_scan(index, size=self._size, device=self._device)
        grid = Grid.whole(self._size, FIELD_OF_VIEW, 0, torch.device("cpu"))
        return Scan(self.case_name(index), image.cpu().numpy(), label.cpu().numpy(), grid.affine)
