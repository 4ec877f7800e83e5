"""One file of voxels: its header, and what it holds."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mecca_env.data.base import DataError
from mecca_env.data.formats.itk import is_itk, itk_shape, read_itk
from mecca_env.data.formats.npz import is_npz, npz_shape, read_npz_volume
from mecca_env.data.formats.packed import is_gzip, unpacked
from mecca_env.data.world.grids import is_invertible
from mecca_env.data.world.nifti import affine_of, voxel_file

_MOST_SURPLUS = 1 << 26  # bytes before or after the voxels; what unpacks to much more was made to do harm
_REAL = "fiub"  # kinds of NumPy's types
_LONGEST_START = 540  # bytes of a NIfTI-2 header


@dataclass
class Volume:
    """The content of a file: data (X, Y, Z) or (X, Y, Z, C), affine (4, 4), voxel index to millimetres (RAS+)."""

    path: Path
    data: NDArray[Any]
    affine: NDArray[np.float64]


def read_volume(path: Path, *, label: bool = False, affine: NDArray[np.float64] | None = None) -> Volume:
    """Read a .nii, .nii.gz, .hdr, .mha or .nrrd file; it holds 3-D, or 4-D with channels last, of real numbers.

    Of a NIfTI pair the file is the header; its voxels are in the .img file beside it. An .npz file may hold a scan and
    its label (`formats.npz`).

    Args:
        path: The file.
        label: Of an .npz file the label is wanted, and not the scan.
        affine: That of its scan, for a label in an .npz file without a spacing.

    Raises:
        DataError: It is damaged or holds something else.
        Exception: Of a dozen unrelated types, which the readers raise at damaged bytes.
    """
    _check_there(path)
    if is_npz(path):
        return checked(Volume(path, *read_npz_volume(path, label, affine)))
    return checked(Volume(path, *read_itk(path)) if is_itk(path) else _read_nifti(path))


def header_shape(path: Path, *, label: bool = False) -> tuple[int, ...]:
    """Its shape as the header has it, trailing ones and channels included; arguments and errors as of `read_volume`."""
    _check_there(path)
    if is_npz(path):
        return npz_shape(path, label)
    if is_itk(path):
        return itk_shape(path)
    return tuple(int(n) for n in _nifti_header(path).shape)


def checked(volume: Volume) -> Volume:
    """A volume without trailing sides of one, where its voxels and its affine can be used. Raises `DataError`."""
    data, affine = volume.data, volume.affine
    while data.ndim > 3 and data.shape[-1] == 1:
        data = data[..., 0]
    if data.ndim not in (3, 4) or data.size == 0:
        raise DataError(f"{volume.path}: expected a 3-D image or a 4-D one of channels, found shape {data.shape}")
    if data.dtype.kind not in _REAL:
        raise DataError(f"{volume.path}: expected real numbers, found {data.dtype}")
    if not is_invertible(affine):
        raise DataError(f"{volume.path}: expected an affine that can be inverted, found {affine.tolist()}")
    return Volume(volume.path, data, affine)


def _check_there(path: Path) -> None:
    if not path.is_file():
        lost = "a link that leads nowhere" if path.is_symlink() else "no such file"
        raise DataError(f"{path}: expected a readable image file, found {'a folder' if path.is_dir() else lost}")


def _read_nifti(path: Path) -> Volume:
    image, size = _nifti_header(path), voxel_file(path).stat().st_size
    needed, proxy = _bytes_needed(path, image.dataobj), image.dataobj
    if _is_packed(path):
        proxy, size = _unpacked_voxels(path, proxy, needed)
    if size < needed:
        raise DataError(f"{path}: expected {needed} bytes as its header says, found {size}: truncated")
    affine = affine_of(path, image)
    if proxy.dtype.kind == "f" or (proxy.slope, proxy.inter) != (1, 0):
        with np.errstate(over="ignore"):  # an overflow to infinity is reported with the other infinite voxels
            return Volume(path, np.asarray(proxy, dtype=np.float32), affine)
    return Volume(path, np.asarray(proxy), affine)


def _nifti_header(path: Path) -> Any:
    """Nibabel's image of a file, of which no more than the header is read; of a packed file its voxels cannot be."""
    import nibabel  # late, since it takes longer to import than an env to make

    if not _is_packed(path):
        return nibabel.load(path)
    start = b""
    with unpacked(path) as pieces:
        while len(start) < _LONGEST_START and (piece := next(pieces, b"")):
            start += piece
    large = start[:4] in ((540).to_bytes(4, "little"), (540).to_bytes(4, "big"))
    kind = nibabel.Nifti2Image if large else nibabel.Nifti1Image
    no_extensions = bytes(4)  # nibabel would read whatever length the header gives them
    return kind.from_bytes(start[: kind.header_class.sizeof_hdr] + no_extensions)


def _is_packed(path: Path) -> bool:
    """Whether nibabel cannot be left alone with a file: it is gzipped, or is called so."""
    return path.name.lower().endswith(".gz") or is_gzip(path)


def _bytes_needed(path: Path, proxy: Any) -> int:
    """The length of a NIfTI image's file, by its header. Raises `DataError` where it cannot be used."""
    if proxy.dtype.kind not in _REAL:
        raise DataError(f"{path}: expected real numbers, found {proxy.dtype}")
    if proxy.offset > _MOST_SURPLUS:
        raise DataError(f"{path}: expected voxels in the first {_MOST_SURPLUS >> 20} MiB, found them at {proxy.offset}")
    return int(proxy.offset) + int(np.prod(proxy.shape, dtype=object)) * int(proxy.dtype.itemsize)


def _unpacked_voxels(path: Path, proxy: Any, needed: int) -> tuple[Any, int]:
    """The voxels that are packed in a file, as nibabel's array of what it holds, and how long that is.

    It is read to the end, though not kept: nibabel stops before the checksum, so a damaged file would pass.
    """
    import nibabel

    voxels, size = io.BytesIO(), 0
    with unpacked(path) as pieces:
        for piece in pieces:
            first, last = max(proxy.offset - size, 0), max(needed - size, 0)
            voxels.write(memoryview(piece)[first:last])
            size += len(piece)
            if size > needed + _MOST_SURPLUS:
                raise DataError(f"{path}: expected {needed} bytes as its header says, found far more")
    spec = (proxy.shape, proxy.dtype, 0, proxy.slope, proxy.inter)
    return nibabel.arrayproxy.ArrayProxy(voxels, spec), size
