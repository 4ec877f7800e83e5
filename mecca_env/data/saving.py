"""Writing a mask as NIfTI, on the scan's own grid, over nothing that is not to be lost."""

from __future__ import annotations

import os
from collections.abc import Iterable
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mecca_env.atomic import atomically, os_errors_as
from mecca_env.data.base import DataError
from mecca_env.data.world.nifti import Header, mask_image


def save_mask(
    mask: NDArray[np.bool_], affine: NDArray[np.float64], path: Path | str, header: Header | None = None
) -> None:
    """Write a mask (X, Y, Z) as NIfTI, type uint8; the file appears complete or not at all.

    Args:
        mask: Foreground.
        affine: (4, 4), voxel index to world millimetres (RAS+); the scan's own.
        path: A name that ends in .nii or .nii.gz, in a folder that exists; a file of this name is replaced, unless it
            is read-only.
        header: Of a NIfTI scan (`world.nifti.read_header`); the mask takes over all that it says of place and unit, so
            that every reader sees the mask where it sees the scan. None: the affine is all that there is to say
            (`world.nifti.mask_image`).

    Raises:
        DataError: The name or the folder cannot be used, the file there is read-only, or the disk is full.
    """
    import nibabel  # late, as in `reading`

    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise DataError(f"{path}: expected a name that ends in .nii or .nii.gz, found {path.name!r}")
    if not path.parent.is_dir():
        raise DataError(f"{path}: expected an existing folder {path.parent}, found none")
    image = mask_image(np.asarray(mask).astype(np.uint8), affine, header)
    with os_errors_as(lambda reason: DataError(f"{path}: the mask cannot be written ({reason})")):
        atomically(path, lambda temporary: nibabel.save(image, temporary))


def refuse_over(path: str | PathLike[str], files: Iterable[Path]) -> None:
    """Raise `DataError` where a file to be written would take the place of one of these."""
    for file in files:
        try:
            same = os.path.samefile(path, file)
        except OSError:  # one of them is not there
            continue
        if same:
            raise DataError(f"{path}: expected another name than the data's own, found that of {file}; it was left")
