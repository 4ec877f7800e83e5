"""Files that ITK reads, `.mha` and `.nrrd`: their voxels, with what ITK does not look at looked at here."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mecca_env.data.base import DataError
from mecca_env.data.formats.names import check_utf8
from mecca_env.data.formats.packed import GZIP, ZLIB_OR_GZIP, unpack
from mecca_env.extras import missing

_LONGEST_HEADER = 1 << 20
_ELEMENT_DATA = re.compile(rb"^[ \t]*ElementDataFile[ \t]*[=:]([^\r\n]*)\r?\n?", re.MULTILINE)
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_ADDRESS = re.compile(r"\(0x[0-9a-f]+\)")  # of ITK's reader in memory, in its messages
_NUMBERS = frozenset(b"0123456789+-.eE \t\r\n")
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class _Header:
    """The part of a file before its voxels.

    Attributes:
        fields: Its lines, by their names.
        start: Where the voxels begin, bytes.
    """

    fields: dict[str, str]
    start: int


def is_itk(path: Path) -> bool:
    """Whether a file is called like one that is read here."""
    return path.name.lower().endswith(tuple(_KINDS))


def read_itk(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The voxels of a file, (X, Y, Z) or (X, Y, Z, C), and its affine, (4, 4) RAS+.

    Raises:
        DataError: SimpleITK is not installed; or the file is damaged, or is none of three dimensions.
    """
    reader = _reader(path)
    with _itk_errors(path):
        image = reader.Execute()
    count = image.GetDimension()
    if count not in (3, 4):
        raise DataError(f"{path}: expected a 3-D image, found {count}-D of size {image.GetSize()}")
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (count, count))[:3, :3] * np.asarray(image.GetSpacing()[:3])
    affine[:3, 3] = image.GetOrigin()[:3]
    data = _simpleitk(path).GetArrayFromImage(image)  # (Z, Y, X), of four dimensions (T, Z, Y, X), channels last
    data = np.moveaxis(data, range(count), range(count)[::-1])
    if data.ndim == 5 and data.shape[3] == 1:
        data = data[..., 0, :]
    return data, _LPS_TO_RAS @ affine


def itk_shape(path: Path) -> tuple[int, ...]:
    """Its shape as the header has it, channels included. Raises as `read_itk` does."""
    reader = _reader(path)
    return (*reader.GetSize(), reader.GetNumberOfComponents())


def _reader(path: Path) -> Any:
    """ITK's reader of a file whose header it has read, and whose voxels are all there. Raises `DataError`."""
    check_utf8(path)  # ITK would end the process
    kind = _KINDS[path.suffix.lower()]
    simpleitk = _simpleitk(path)
    with path.open("rb") as file:
        header = kind.header(path, file.read(_LONGEST_HEADER))
    reader = simpleitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(kind.reader)  # else the ending's capitals would count
    with _itk_errors(path):
        reader.ReadImageInformation()
        one = simpleitk.Image([1] * reader.GetDimension(), reader.GetPixelID(), reader.GetNumberOfComponents())
    values = math.prod(reader.GetSize()) * reader.GetNumberOfComponents()
    kind.check(path, header, values, int(one.GetSizeOfPixelComponent()))
    return reader


def _simpleitk(path: Path) -> Any:
    try:
        import SimpleITK
    except ImportError as error:
        raise DataError(missing(f"{path}: a {path.suffix} file", "SimpleITK", "mha")) from error
    return SimpleITK


def _mha_header(path: Path, start: bytes) -> _Header:
    """The header, of a file whose voxels are in it and not in another one."""
    match = _ELEMENT_DATA.search(start)
    if match is None:
        raise DataError(f"{path}: expected a readable image file, found no ElementDataFile in its header")
    if match[1].strip().upper() != b"LOCAL":
        raise DataError(f"{path}: expected voxels in the file itself, found a reference to {match[1].strip()[:80]!r}")
    return _Header(_fields(start[: match.start()], "="), match.end())


def _check_mha(path: Path, header: _Header, values: int, size: int) -> None:
    def says(name: str) -> bool:
        return header.fields.get(name, "").startswith(("T", "t", "1"))

    expected = values * size
    if says("CompressedData"):
        packed = header.fields.get("CompressedDataSize", "none")
        if not packed.isdecimal():  # ITK would return memory that nobody has written to
            raise DataError(f"{path}: expected the number of compressed bytes as CompressedDataSize, found {packed}")
        found = _unpacked_bytes(path, header.start, ZLIB_OR_GZIP, expected, int(packed))
    elif says("BinaryData"):
        found = path.stat().st_size - header.start
    else:
        words = path.read_bytes()[header.start :]
        found = size * len(words.split()) if _NUMBERS.issuperset(words) else 0
    _check_length(path, expected, found)


def _nrrd_header(path: Path, start: bytes) -> _Header:
    """The header, of a file whose voxels are in it and not in another one."""
    match = _BLANK_LINE.search(start)
    if not start.startswith(b"NRRD"):
        raise DataError(f"{path}: expected a readable image file, found none that begins with NRRD")
    fields = {name.lower(): value for name, value in _fields(start[: match.start() if match else None], ":").items()}
    reference = fields.get("data file", fields.get("datafile"))
    if reference is not None:
        raise DataError(f"{path}: expected voxels in the file itself, found a reference to {reference[:80]!r}")
    if match is None:
        raise DataError(f"{path}: expected a readable image file, found no voxels behind its header")
    return _Header(fields, match.end())


def _check_nrrd(path: Path, header: _Header, values: int, size: int) -> None:
    """Look at what is gzipped, whose checksum ITK does not, and at the length; it knows other encodings better."""
    encoding = header.fields.get("encoding", "").lower()
    skips = [name for name in ("line skip", "lineskip", "byte skip", "byteskip") if name in header.fields]
    if encoding not in ("raw", "gzip", "gz") or (encoding == "raw" and skips):
        return
    if skips:
        raise DataError(f"{path}: expected compressed voxels right behind the header, found a {skips[0]}")
    packed = encoding != "raw"
    found = _unpacked_bytes(path, header.start, GZIP, values * size) if packed else path.stat().st_size - header.start
    _check_length(path, values * size, found)


def _fields(header: bytes, separator: str) -> dict[str, str]:
    """The lines of a header by their names, in capitals and small letters as they are."""
    lines = (line.partition(separator) for line in header.decode("latin-1").splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def _check_length(path: Path, expected: int, found: int) -> None:
    if found != expected:
        short = ": truncated" if found < expected else ""
        raise DataError(f"{path}: expected {expected} bytes of voxels as its header says, found {found}{short}")


def _unpacked_bytes(path: Path, start: int, kind: int, expected: int, packed: int | None = None) -> int:
    """How much there is in a compressed stream; it is not read on once there is more than expected."""
    found = 0
    with path.open("rb") as file:
        file.seek(start)
        for piece in unpack(path, file, kind, packed):
            found += len(piece)
            if found > expected:
                raise DataError(f"{path}: expected {expected} bytes of voxels as its header says, found more")
    return found


@dataclass(frozen=True)
class _Kind:
    """One format: the reader's name in ITK, how its header is read, and how its voxels are looked at before ITK is."""

    reader: str
    header: Callable[[Path, bytes], _Header]
    check: Callable[[Path, _Header, int, int], None]


_KINDS = {
    ".mha": _Kind("MetaImageIO", _mha_header, _check_mha),
    ".nrrd": _Kind("NrrdImageIO", _nrrd_header, _check_nrrd),
}


@contextmanager
def _itk_errors(path: Path) -> Iterator[None]:
    """Say what ITK says in one line."""
    try:
        yield
    except RuntimeError as error:
        reason = " ".join(_ADDRESS.sub("", str(error)).partition("ERROR: ")[2].split()) or error
        raise DataError(f"{path}: expected a readable image file, found {reason}") from error
