"""The scan of a session: opened or refused, and kept as small as its intensities allow."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import index
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mecca_agents.session.errors import SessionError
from mecca_env.data.base import Box, DataError, Scan, Triple
from mecca_env.data.caching.smallest import smallest_type
from mecca_env.data.grid.intensities import usual_range
from mecca_env.data.inventory import SUFFIXES, stem
from mecca_env.data.reading import checked_image, read_image
from mecca_env.data.world.nifti import Header, read_header

ImageLike: TypeAlias = ArrayLike | PathLike[str] | Sequence["str | PathLike[str]"]
"""A file, one for each modality, or intensities, (X, Y, Z) or (M, X, Y, Z)."""


@dataclass(frozen=True, eq=False)
class Image:
    """A scan without a label.

    Attributes:
        files: What it was read from; none of an array.
        intensities: (M, X, Y, Z), uint8, int16 or float32.
        affine: (4, 4), voxel index to world millimetres (RAS+).
        identity: SHA-256 of both.
        places: Where the files lay when they were read, whatever the current folder is since.
        header: Of the first file where that is NIfTI, for masks.
        tolerance: Millimetres that its masks may lie apart; None: next to nothing.
    """

    files: tuple[str, ...]
    intensities: Tensor
    affine: NDArray[np.float64]
    identity: str
    places: tuple[Path, ...] = ()
    header: Header | None = None
    tolerance: float | None = None
    _ranges: dict[int, tuple[float, float]] = field(default_factory=dict)

    @property
    def shape(self) -> Triple:
        """(X, Y, Z)."""
        _, x, y, z = self.intensities.shape
        return x, y, z

    @property
    def scan(self) -> Scan:
        """As the environment's preprocessing takes it; its label is empty and takes no memory."""
        nothing = np.broadcast_to(np.False_, self.shape)
        return Scan("image", self.intensities.numpy(), nothing, self.affine)

    def slice(self, axis: int, index: int, modality: int) -> NDArray[np.float32]:
        """One slice of one modality, along the two other axes, in their order."""
        plane: NDArray[np.float32] = self.intensities[modality].select(axis, index).numpy().astype(np.float32)
        return plane

    def range(self, modality: int) -> tuple[float, float]:
        """The 1st and the 99th percentile of its usual intensities, of about a million voxels."""
        if modality not in self._ranges:
            every = self.intensities[modality].flatten()
            values = every[:: max(len(every) >> 20, 1)].numpy()
            lowest, highest = usual_range(values)
            low, high = np.percentile(values[(values >= lowest) & (values <= highest)], (1, 99))
            self._ranges[modality] = (float(low), float(high))
        return self._ranges[modality]


def open_image(
    image: ImageLike, affine: ArrayLike | None, modalities: int, most_voxels: int, tolerance: float | None = None
) -> Image:
    """Read or copy a scan.

    Args:
        image: See `ImageLike`.
        affine: Of an array, (4, 4); None: the identity. Files have their own.
        modalities: M.
        most_voxels: The most that M modalities may have together.
        tolerance: Millimetres that its files, and masks of it, may lie apart; None: next to nothing.

    Raises:
        DataError: It is none that a session can use; one line for each fault.
    """
    files = files_of(image)
    if files:
        if affine is not None:
            raise DataError("affine: expected none for files, which have their own, got one")
        intensities, own = read_image(files, modalities, most_voxels, tolerance)
    else:
        array = _array_of(image, modalities, most_voxels)
        intensities, own = checked_image(array, _affine_of(affine), modalities)
    smallest = smallest_type(torch.from_numpy(intensities))
    found = hashlib.sha256(np.ascontiguousarray(own).tobytes())
    found.update(f"{smallest.dtype} {tuple(smallest.shape)}".encode())
    found.update(smallest.numpy().data)
    return Image(
        files=tuple(map(str, files)),
        intensities=smallest,
        affine=own,
        identity=found.hexdigest(),
        places=tuple(path.resolve() for path in files),
        header=read_header(files[0]) if files else None,
        tolerance=tolerance,
    )


def files_of(image: ImageLike) -> list[Path]:
    """The files that are named; none where it is an array. Raises `DataError` where one is called like no image."""
    given: Any = [image] if isinstance(image, (str, PathLike)) else image
    if not isinstance(given, (list, tuple)) or not any(isinstance(each, (str, PathLike)) for each in given):
        return []
    if not all(isinstance(each, (str, PathLike)) for each in given):
        raise DataError(f"image: expected files or an array, found {image!r:.80}")
    files = [Path(fspath(each)) for each in given]
    for path in files:
        if stem(path) is None:
            raise DataError(f"{path}: expected an image, {', '.join(SUFFIXES)}, found {path.name!r}")
    return files


def read_box(low: Sequence[int] | None, high: Sequence[int] | None, shape: Triple) -> Box | None:
    """A box of the scan, high exclusive; None where neither corner is given. Raises `SessionError`."""
    if low is None and high is None:
        return None
    try:
        corners = [
            (index(a), index(b)) for a, b in zip([] if low is None else low, [] if high is None else high, strict=True)
        ]
    except (TypeError, ValueError):
        corners = []
    if len(corners) != 3 or not all(0 <= a < b <= n for (a, b), n in zip(corners, shape, strict=True)):
        raise SessionError(f"box: expected whole numbers 0 <= low < high <= {shape}, got low={low!r}, high={high!r}")
    (a, b), (c, d), (e, f) = corners
    return (a, c, e), (b, d, f)


def _array_of(image: ImageLike, modalities: int, most_voxels: int) -> NDArray[Any]:
    try:
        array = np.asarray(image)
    except ValueError as error:  # a nest of lists that is no array
        raise DataError(f"image: expected an array, found {type(image).__name__} ({error})") from error
    expected = "(X, Y, Z)" if modalities == 1 else f"({modalities}, X, Y, Z)"
    if array.ndim not in (3, 4) or (array.ndim == 4 and len(array) != modalities):
        raise DataError(f"image: expected intensities {expected}, found shape {array.shape}")
    if array.size > most_voxels:
        raise DataError(f"image: expected at most {most_voxels} voxels, found {array.size}")
    return array


def _affine_of(affine: ArrayLike | None) -> NDArray[np.float64]:
    try:
        matrix = np.eye(4) if affine is None else np.array(affine, np.float64)
    except (ValueError, TypeError) as error:
        raise DataError(f"affine: expected numbers (4, 4), found {affine!r:.80}") from error
    if matrix.shape != (4, 4) or not np.array_equal(matrix[3], (0, 0, 0, 1)):
        raise DataError(f"affine: expected (4, 4) with 0 0 0 1 last, found {matrix.tolist()!r:.120}")
    return matrix
