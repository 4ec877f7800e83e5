"""Files with headers of every kind, and where SimpleITK and nibabel see what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from tests.support.volumes import write_mha

Affine = NDArray[np.float64]
MILLIMETRES = {"unknown": 1.0, "meter": 1e3, "mm": 1.0, "micron": 1e-3}


def itk_affine(path: Path) -> Affine | None:
    """Voxel index to millimetres (RAS+), (4, 4), as SimpleITK has it; None where it cannot read the file."""
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        image = SimpleITK.ReadImage(str(path))
    except RuntimeError:
        return None
    dimensions, affine = image.GetDimension(), np.eye(4)
    direction = np.reshape(image.GetDirection(), (dimensions, dimensions))[:3, :3]
    affine[:3, :3], affine[:3, 3] = direction * image.GetSpacing()[:3], image.GetOrigin()[:3]
    return np.diag([-1.0, -1, 1, 1]) @ affine


def nibabel_affine(path: Path) -> Affine | None:
    """The same as nibabel has it, in millimetres; None of a file that is not NIfTI."""
    if not path.name.endswith((".nii", ".nii.gz", ".hdr")):
        return None
    image = nibabel.load(path)
    scale = MILLIMETRES[image.header.get_xyzt_units()[0]]
    return np.diag([scale, scale, scale, 1]) @ image.affine


def seen(path: Path) -> tuple[Affine | None, Affine | None]:
    """Where SimpleITK and nibabel see a file."""
    return itk_affine(path), nibabel_affine(path)


def write_header(
    path: Path,
    data: NDArray[Any],
    *,
    sform: Affine,
    qform: Affine,
    codes: tuple[int, int],
    unit: str = "mm",
    version: int = 1,
    order: str = "<",
    scaling: tuple[float, float] | None = None,
) -> Path:
    """Write a NIfTI file whose two forms need not agree; of a name that ends in .hdr, a pair.

    Args:
        path: Of the file.
        data: Voxels.
        sform: (4, 4).
        qform: (4, 4).
        codes: Of both, in this order.
        unit: Of space.
        version: 1 or 2.
        order: Of bytes, "<" or ">".
        scaling: Slope and intercept; None: of nibabel's choice.
    """
    module = nibabel.nifti1 if version == 1 else nibabel.nifti2
    kind = getattr(module, f"Nifti{version}{'Pair' if path.suffix == '.hdr' else 'Image'}")
    header = kind.header_class(endianness=order)
    header.set_data_dtype(data.dtype)
    header.set_qform(qform, codes[1])
    header.set_sform(sform, codes[0])
    header.set_xyzt_units(unit)
    if scaling is not None:
        header.set_slope_inter(*scaling)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(kind(data, None, header), path)
    return path


def write_itk(path: Path, data: NDArray[Any], affine: Affine) -> Path:
    """Write an .mha or .nrrd file, whose affine has no shear."""
    return write_mha(path, data, affine)
