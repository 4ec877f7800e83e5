"""The header of a NIfTI file: where it says that its voxels lie, and the same said of a mask.

A header says it up to three times: by a matrix (sform), by a rotation (qform), and by the size of a voxel alone. Which
of them counts is for the reader to choose: nibabel takes the sform wherever there is one, ITK only where nothing speaks
against it. So a mask lies where its scan lies, in every reader, only if it says all that the scan says.
"""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mecca_env.atomic import os_errors_as
from mecca_env.data.base import DataError

Header: TypeAlias = bytes
"""The first 348 bytes of a NIfTI-1 file, or the first 540 of a NIfTI-2 file, as they are stored."""

_NIFTI2 = 540  # bytes of its header
_GZIP = b"\x1f\x8b"
_MOST_SIDE = 32767  # voxels along an axis of NIfTI-1, which has 16 bits for it
_MOST_ROUNDING = 0.1  # of a voxel, in a header of single precision
_MILLIMETRES = {1: 1e3, 3: 1e-3}  # of metres and microns; what is unknown is taken for millimetres, as ITK does
_SPACE = 7  # those of the bits of `xyzt_units` that are the unit of space
_PLACE = (
    "qform_code",
    "sform_code",
    *("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z"),
    "xyzt_units",
)


def read_header(path: Path) -> Header | None:
    """The header of a NIfTI file, for masks that lie where it lies (`saving.save_mask`); None of any other file.

    Raises:
        DataError: It cannot be read.
    """
    with os_errors_as(lambda reason: DataError(f"{path}: expected a readable image file, found {reason}")):
        with path.open("rb") as file:
            packed = file.read(len(_GZIP)) == _GZIP
        with (gzip.open if packed else open)(path, "rb") as file:
            start = file.read(_NIFTI2)
    for order in ("little", "big"):
        size = int.from_bytes(start[:4], order)
        if size in (348, _NIFTI2) and len(start) >= size:
            return start[:size]
    return None


def voxel_file(path: Path) -> Path:
    """The file that holds the voxels: the .img file of a NIfTI pair, any other file itself.

    Raises:
        DataError: There is no such file, or a link leads to one that lies elsewhere than its header.
    """
    if not path.name.lower().endswith(".hdr"):
        return path
    beside = next((path.with_suffix(ending) for ending in (".img", ".IMG") if path.with_suffix(ending).is_file()), None)
    if beside is None:
        raise DataError(f"{path}: expected its voxels in {path.with_suffix('.img').name} beside it, found no such file")
    if beside.resolve().parent != path.resolve().parent:
        raise DataError(f"{path}: expected its voxels beside it, found a link to another folder")
    return beside


def affine_of(path: Path, image: Any) -> NDArray[np.float64]:
    """Voxel index to world millimetres (RAS+), (4, 4), as nibabel reads it.

    Nibabel leaves the unit to its caller; ITK has it in millimetres, too.

    Args:
        path: The file, for the message.
        image: Nibabel's.

    Raises:
        DataError: It is of a kind that does not say where it lies, or not in this way.
    """
    from nibabel import Nifti1Pair  # late, as in `image_files`

    if not isinstance(image, Nifti1Pair):  # of which the other kinds of NIfTI are subclasses
        raise DataError(f"{path}: expected a NIfTI file, found one for nibabel's {type(image).__name__}")
    affine = np.array(image.header.get_best_affine(), np.float64)
    affine[:3] *= _MILLIMETRES.get(int(image.header["xyzt_units"]) & _SPACE, 1.0)
    return affine


def mask_image(mask: NDArray[Any], affine: NDArray[np.float64], header: Header | None) -> Any:
    """A mask, or intensities, as nibabel's image, where the scan lies.

    Args:
        mask: (X, Y, Z), of a type that NIfTI has; stored as it is.
        affine: The scan's, (4, 4) in millimetres; it counts where there is no header.
        header: The scan's. The image is of its version, and takes over all that it says of place and unit.

    Returns:
        A NIfTI image. Without a header it is NIfTI-1, and NIfTI-2 where NIfTI-1 cannot hold it: more than 32767 voxels
        along an axis, or so far from the origin that single precision would move it by a tenth of a voxel. An affine
        without shear is in it twice, as ITK writes it; one with shear only as sform, so that a reader that wants a
        rotation refuses it and does not show it elsewhere.
    """
    from nibabel import nifti1, nifti2

    if header is None:
        return _with_affine(mask, affine, nifti1 if _fits_nifti1(mask.shape, affine) else nifti2)
    version = nifti2.Nifti2Image if len(header) == _NIFTI2 else nifti1.Nifti1Image
    scan = version.header_class.from_fileobj(io.BytesIO(header), check=False)
    own = version.header_class(endianness=scan.endianness)
    for name in _PLACE:
        own[name] = scan[name]
    own["pixdim"][:4] = scan["pixdim"][:4]  # the handedness of the qform, and the size of a voxel
    own.set_data_dtype(mask.dtype)
    return version(mask, None, own)


def rounding(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """What single precision cannot tell apart in each entry of an affine."""
    return np.spacing(np.abs(affine).astype(np.float32)).astype(np.float64)


def _with_affine(mask: NDArray[Any], affine: NDArray[np.float64], module: Any) -> Any:
    image = getattr(module, f"Nifti{2 if module.__name__.endswith('2') else 1}Image")(mask, affine)
    image.header.set_xyzt_units("mm")
    image.header.set_sform(affine, code="scanner")
    if not _is_sheared(affine):
        image.header.set_qform(affine, code="scanner")
    return image


def _fits_nifti1(shape: tuple[int, ...], affine: NDArray[np.float64]) -> bool:
    moved = rounding(affine)[:3, 3].max() / 2
    return max(shape) <= _MOST_SIDE and bool(moved <= _MOST_ROUNDING * np.linalg.norm(affine[:3, :3], axis=0).min())


def _is_sheared(affine: NDArray[np.float64]) -> bool:
    """Whether its axes are not at right angles, as far as single precision can tell."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return not np.allclose(axes.T @ axes, np.eye(3), rtol=0, atol=1e-5)
