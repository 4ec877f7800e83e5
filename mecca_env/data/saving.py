"""Writing a mask as NIfTI, on the scan's own grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mecca_env.atomic import atomically, os_errors_as
from mecca_env.data.base import DataError


def save_mask(mask: NDArray[np.bool_], affine: NDArray[np.float64], path: Path | str) -> None:
    """Write a mask (X, Y, Z) as NIfTI, type uint8; the file appears complete or not at all.

    Args:
        mask: Foreground.
        affine: (4, 4), voxel index to world millimetres (RAS+); the scan's own.
        path: A name that ends in .nii or .nii.gz, in a folder that exists; a file of this name is replaced.

    Raises:
        DataError: The name or the folder cannot be used, or the disk is full.
    """
    import nibabel  # late, as in `reading`

    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise DataError(f"{path}: expected a name that ends in .nii or .nii.gz, found {path.name!r}")
    if not path.parent.is_dir():
        raise DataError(f"{path}: expected an existing folder {path.parent}, found none")
    image = nibabel.Nifti1Image(np.asarray(mask).astype(np.uint8), affine)
    image.header.set_xyzt_units("mm")
    with os_errors_as(lambda reason: DataError(f"{path}: the mask cannot be written ({reason})")):
        atomically(path, lambda temporary: nibabel.save(image, temporary))
