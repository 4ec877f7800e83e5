"""Writing masks and maps of classes on the scan's own grid, over nothing that is not to be lost."""

from __future__ import annotations

import os
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mecca_env.atomic import atomically, os_errors_as
from mecca_env.data.base import DataError
from mecca_env.data.formats.npz import is_npz
from mecca_env.data.world.nifti import Header, mask_image

_MOST_SMALL_CLASS, _MOST_CLASS = 255, 65535


def save_mask(
    mask: NDArray[np.bool_] | NDArray[np.integer],
    affine: NDArray[np.float64],
    path: Path | str,
    header: Header | None = None,
) -> None:
    """Write a mask (X, Y, Z) as NIfTI, type uint8; the file appears complete or not at all.

    Args:
        mask: Foreground; or the values of a label map, written as uint16 where one is above 255.
        affine: (4, 4), voxel index to world millimetres (RAS+); the scan's own.
        path: A name that ends in .nii or .nii.gz, in a folder that exists; a file of this name is replaced, unless it
            is read-only.
        header: Of a NIfTI scan (`world.nifti.read_header`); the mask takes over all that it says of place and unit, so
            that every reader sees the mask where it sees the scan. None: the affine is all that there is to say
            (`world.nifti.mask_image`).

    Raises:
        DataError: The name or the folder cannot be used, the file there is read-only, the disk is full; or a value is
            not from 0 to 65535.
    """
    path, values = Path(path), np.asarray(mask)
    _save(values.astype(_smallest(values, path)), affine, path, header, "mask")


def save_scan(
    intensities: NDArray[np.generic], affine: NDArray[np.float64], path: Path | str, header: Header | None = None
) -> None:
    """Write intensities (X, Y, Z) as NIfTI, of the type that they have; otherwise as `save_mask`.

    Args:
        intensities: uint8, int16 or float32.
        affine: As of `save_mask`.
        path: Likewise.
        header: Likewise; nothing but the place is taken over, no name and no date.

    Raises:
        DataError: As `save_mask`.
    """
    _save(np.asarray(intensities), affine, Path(path), header, "scan")


def _save(values: NDArray[Any], affine: NDArray[np.float64], path: Path, header: Header | None, what: str) -> None:
    import nibabel  # late, as in `reading`

    if not path.name.endswith((".nii", ".nii.gz")):
        raise DataError(f"{path}: expected a name that ends in .nii or .nii.gz, found {path.name!r}")
    _check_folder(path)
    image = mask_image(values, affine, header)
    with os_errors_as(lambda reason: DataError(f"{path}: the {what} cannot be written ({reason})")):
        atomically(path, lambda temporary: nibabel.save(image, temporary))


def save_classes(classes: NDArray[np.integer] | NDArray[np.bool_], path: Path | str) -> None:
    """Write a segmentation as the CVPR 2025 challenge wants it: `segs` (D, H, W) in an .npz file.

    The file appears complete or not at all.

    Args:
        classes: (X, Y, Z), 0 for none; written as uint8, or as uint16 where a class is above 255.
        path: A name that ends in .npz, in a folder that exists; a file of this name is replaced, unless it is
            read-only.

    Raises:
        DataError: The name or the folder cannot be used, the file there is read-only, the disk is full; or the classes
            are no integers from 0 to 65535 on three axes.
    """
    path, array = Path(path), np.asarray(classes)
    if not is_npz(path):
        raise DataError(f"{path}: expected a name that ends in .npz, found {path.name!r}")
    _check_folder(path)
    if array.ndim != 3 or array.dtype.kind not in "biu" or not array.size:
        raise DataError(f"{path}: expected integers (X, Y, Z) to write, found shape {array.shape} of {array.dtype}")
    segs = np.ascontiguousarray(np.transpose(array), _smallest(array, path))
    with os_errors_as(lambda reason: DataError(f"{path}: the segmentation cannot be written ({reason})")):
        atomically(path, lambda temporary: np.savez_compressed(temporary, segs=segs))


def refuse_over(path: str | PathLike[str], files: Iterable[Path]) -> None:
    """Raise `DataError` where a file to be written would take the place of one of these."""
    for file in files:
        try:
            same = os.path.samefile(path, file)
        except OSError:  # one of them is not there
            continue
        if same:
            raise DataError(f"{path}: expected another name than the data's own, found that of {file}; it was left")


def _smallest(classes: NDArray[Any], path: Path) -> type[np.unsignedinteger[Any]]:
    """The type that a file has for such classes. Raises `DataError`."""
    least, most = int(classes.min()), int(classes.max())
    if least < 0 or most > _MOST_CLASS:
        raise DataError(f"{path}: expected classes from 0 to {_MOST_CLASS} to write, found {least} to {most}")
    return np.uint8 if most <= _MOST_SMALL_CLASS else np.uint16


def _check_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise DataError(f"{path}: expected an existing folder {path.parent}, found none")
