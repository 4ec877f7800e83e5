"""Data sets as the environment sees them: named cases, each a scan cropped around its label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


class DataError(ValueError):
    """A file or folder of a data set cannot be used; the message names it, what was expected and what was found."""


@dataclass(frozen=True, eq=False)
class Scan:
    """One labelled scan on its own grid, in nibabel's axis order.

    Attributes:
        name: Case name, unique in its data set.
        image: Intensities, (M, X, Y, Z) float32 with M modalities.
        label: Foreground, (X, Y, Z) bool.
        affine: (4, 4) float64, voxel index to world millimetres (RAS+).
    """

    name: str
    image: NDArray[np.float32]
    label: NDArray[np.bool_]
    affine: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PreparedCase:
    """A scan cut down to what episodes can see: the label's bounding box and a margin around it.

    Attributes:
        name: Case name, unique in its data set.
        image: Raw intensities of the cut, (M, x, y, z) float32.
        label: Foreground of the cut, (x, y, z) bool.
        origin: Where voxel (0, 0, 0) of the cut lies on the scan's grid.
        box: The label's bounding box on the scan's grid, ((low, low, low), (high, high, high)), high exclusive.
        scan_shape: Shape of the whole scan, (X, Y, Z).
        affine: The scan's affine, (4, 4) float64, voxel index to world millimetres (RAS+).
        mean: Mean intensity of each modality inside the evaluation crop, (M,) float64 (for the z-score), without
            padding and metal.
        std: Standard deviation likewise, (M,) float64, above 0.
        usual: Lowest and highest usual intensity of each modality in the whole scan, (M, 2) float64
            (`grid.intensities`), for crops that are measured by themselves; None: all are usual.
    """

    name: str
    image: Tensor
    label: Tensor
    origin: tuple[int, int, int]
    box: tuple[tuple[int, int, int], tuple[int, int, int]]
    scan_shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    usual: NDArray[np.float64] | None = None


@runtime_checkable
class VolumeSource(Protocol):
    """A data set: anything with these members can stand behind an environment.

    Attributes:
        name: The data set's name, written into every result.
        modalities: M, the number of channels of every case.
    """

    name: str
    modalities: int

    def __len__(self) -> int:
        """Number of cases; a procedural source has as many as it has seeds."""
        ...

    def case_name(self, index: int) -> str:
        """Name of case `index`, without loading it."""
        ...

    def case(self, index: int) -> PreparedCase:
        """The prepared case `index`, 0 <= index < len(self). Raises `DataError` where its files are at fault."""
        ...


Triple = tuple[int, int, int]


Box = tuple[Triple, Triple]
"""First voxel and opposite corner, exclusive."""
