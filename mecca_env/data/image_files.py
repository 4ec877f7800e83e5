"""One file of voxels: its header, and what it holds."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mecca_env.data.base import DataError
from mecca_env.data.world.grids import is_invertible
from mecca_env.data.world.nifti import affine_of, voxel_file
from mecca_env.extras import missing

_LONGEST_HEADER = 1 << 16
_MOST_SURPLUS = 1 << 26  # bytes before or after the voxels; what unpacks to much more was made to do harm
_REAL = "fiub"  # kinds of NumPy's types
_PIECE = 1 << 20
_ELEMENT_DATA = re.compile(rb"^ElementDataFile[ \t]*=([^\r\n]*)", re.MULTILINE)
_ADDRESS = re.compile(r"\(0x[0-9a-f]+\)")  # of ITK's reader in memory, in its messages
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass
class Volume:
    """The content of a file: data (X, Y, Z) or (X, Y, Z, C), affine (4, 4), voxel index to millimetres (RAS+)."""

    path: Path
    data: NDArray[Any]
    affine: NDArray[np.float64]


def read_volume(path: Path) -> Volume:
    """Read a .nii, .nii.gz, .hdr or .mha file; what it holds is 3-D, or 4-D with channels last, of real numbers.

    Of a NIfTI pair the file is the header; its voxels are in the .img file beside it.

    Raises:
        DataError: It is damaged or holds something else.
        Exception: Of a dozen unrelated types, which the readers raise at damaged bytes.
    """
    return checked(_read_mha(path) if _is_mha(path) else _read_nifti(path))


def header_shape(path: Path) -> tuple[int, ...]:
    """Its shape as the header has it, trailing ones and channels included; raises as `read_volume` does."""
    if _is_mha(path):
        simpleitk = _simpleitk(path)
        reader = simpleitk.ImageFileReader()
        reader.SetFileName(str(path))
        with _itk_errors(path):
            reader.ReadImageInformation()
        return (*reader.GetSize(), reader.GetNumberOfComponents())
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


def _is_mha(path: Path) -> bool:
    return path.name.lower().endswith(".mha")


def _read_nifti(path: Path) -> Volume:
    image, size = _nifti_header(path), voxel_file(path).stat().st_size
    needed = _bytes_needed(path, image.dataobj)
    if _is_gz(path):
        content = _inflate(path, needed)
        image, size = type(image).from_bytes(content), len(content)
    proxy = image.dataobj
    if size < needed:
        raise DataError(f"{path}: expected {needed} bytes as its header says, found {size}: truncated")
    affine = affine_of(path, image)
    if proxy.dtype.kind == "f" or (proxy.slope, proxy.inter) != (1, 0):
        with np.errstate(over="ignore"):  # an overflow to infinity is reported with the other infinite voxels
            return Volume(path, np.asarray(proxy, dtype=np.float32), affine)
    return Volume(path, np.asarray(proxy), affine)


def _nifti_header(path: Path) -> Any:
    """Nibabel's image of a file, of which no more than the header is read; of a .gz file its voxels cannot be."""
    import nibabel  # late, since it takes longer to import than an env to make

    if not _is_gz(path):
        return nibabel.load(path)
    with gzip.open(path) as file:
        start = file.read(_LONGEST_HEADER)  # nibabel would read whatever length the header gives its extensions
    header_size = {start[:4]} & {(540).to_bytes(4, "little"), (540).to_bytes(4, "big")}
    return (nibabel.Nifti2Image if header_size else nibabel.Nifti1Image).from_bytes(start)


def _is_gz(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _bytes_needed(path: Path, proxy: Any) -> int:
    """The length of a NIfTI image's file, by its header. Raises `DataError` where it cannot be used."""
    if proxy.dtype.kind not in _REAL:
        raise DataError(f"{path}: expected real numbers, found {proxy.dtype}")
    if proxy.offset > _MOST_SURPLUS:
        raise DataError(f"{path}: expected voxels in the first {_MOST_SURPLUS >> 20} MiB, found them at {proxy.offset}")
    return int(proxy.offset) + int(np.prod(proxy.shape, dtype=object)) * int(proxy.dtype.itemsize)


def _inflate(path: Path, needed: int) -> bytes:
    """The first bytes of what is compressed in a file, as many as are needed.

    It is read to the end, though not kept: nibabel stops before the checksum, so a damaged file would pass.
    """
    with gzip.open(path) as file:
        content = file.read(needed)
        left = _MOST_SURPLUS
        while more := len(file.read(_PIECE)):
            left -= more
            if left < 0:
                raise DataError(f"{path}: expected {needed} bytes as its header says, found far more")
    return content


def _read_mha(path: Path) -> Volume:
    simpleitk = _simpleitk(path)
    with _itk_errors(path):
        image = simpleitk.ReadImage(str(path))
    if image.GetDimension() != 3:
        raise DataError(f"{path}: expected a 3-D image, found {image.GetDimension()}-D of size {image.GetSize()}")
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    data = simpleitk.GetArrayFromImage(image)  # (Z, Y, X) or (Z, Y, X, C)
    return Volume(path, np.swapaxes(data, 0, 2), _LPS_TO_RAS @ affine)


def _simpleitk(path: Path) -> Any:
    """The reader of .mha files, for one whose header does not send it to another file."""
    try:
        import SimpleITK
    except ImportError as error:
        raise DataError(missing(f"{path}: a .mha file", "SimpleITK", "mha")) from error
    with path.open("rb") as file:
        match = _ELEMENT_DATA.search(file.read(_LONGEST_HEADER))
    if match and match[1].strip().upper() != b"LOCAL":
        raise DataError(f"{path}: expected voxels in the file itself, found a reference to {match[1][:80]!r}")
    return SimpleITK


@contextmanager
def _itk_errors(path: Path) -> Iterator[None]:
    """Say what ITK says in one line."""
    try:
        yield
    except RuntimeError as error:
        reason = " ".join(_ADDRESS.sub("", str(error)).partition("ERROR: ")[2].split()) or error
        raise DataError(f"{path}: expected a readable image file, found {reason}") from error
