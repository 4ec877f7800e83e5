"""Arrays as viewers send them: a header of 8 bytes and more, then chunks that blosc2 has compressed.

| bytes | what |
|---|---|
| 4 | `NNIA` |
| 1, 1, 1, 1 | version, codec (1 Zstandard, 2 LZ4), dimensions, length of the next |
| n | name of the type, ASCII |
| 8 each | size along each dimension, signed, little-endian |
| 4 | number of chunks |
| 8, 8, packed | of each chunk: bytes unpacked, bytes packed, and these |

A header may say anything. So it is read and compared with what is allowed before any memory is taken for what it says.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mecca_env.extras import missing

MAGIC = b"NNIA"
VERSION = 1
CODECS = {1: "ZSTD", 2: "LZ4"}
TYPES = (
    *("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
    *("float16", "float32", "float64"),
)
"""Types that an array may have."""

LARGEST_CHUNK = 1 << 30
"""Bytes of a chunk, unpacked."""

_START = struct.Struct("<4s4B")
_COUNT = struct.Struct("<I")
_SIZES = struct.Struct("<QQ")


class WireError(ValueError):
    """An array did not arrive as it should; the message says what was expected and what was found."""


class TooLarge(WireError):
    """It says that it is larger than what is allowed."""


@dataclass(frozen=True)
class Header:
    """The header of an array.

    Attributes:
        dtype: One of `TYPES`.
        shape: Sizes, one at least each.
        chunks: How many follow.
        length: Bytes of the header.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    chunks: int
    length: int

    @property
    def size(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * self.dtype.itemsize


def pack(array: NDArray[Any]) -> bytes:
    """Pack an array.

    Raises:
        ImportError: blosc2 is not installed.
    """
    blosc2 = import_blosc2()
    name = array.dtype.name.encode("ascii")
    raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    starts = range(0, len(raw), LARGEST_CHUNK)
    parts = [_START.pack(MAGIC, VERSION, 2, array.ndim, len(name)), name]
    parts += [struct.pack(f"<{array.ndim}q", *array.shape), _COUNT.pack(len(starts))]
    for start in starts:
        chunk = raw[start : start + LARGEST_CHUNK]
        packed = blosc2.compress2(chunk, typesize=array.itemsize, codec=blosc2.Codec.LZ4, clevel=5, nthreads=1)
        parts += [_SIZES.pack(len(chunk), len(packed)), packed]
    return b"".join(parts)


def read_header(data: bytes | bytearray, *, most: int) -> Header:
    """The header of a packed array.

    Args:
        data: All of it, or its first bytes.
        most: Bytes that the array may have.

    Raises:
        WireError: It is none, of another version, or of a type that is not allowed.
        TooLarge: The array would have more.
    """
    try:
        magic, version, codec, ndim, named = _START.unpack_from(data)
        name = bytes(data[_START.size : _START.size + named])
        shape = struct.unpack_from(f"<{ndim}q", data, _START.size + named)
        (chunks,) = _COUNT.unpack_from(data, _START.size + named + 8 * ndim)
    except struct.error as error:
        raise WireError(f"array: expected a packed one, found {len(data)} bytes that end in its header") from error
    if magic != MAGIC or version != VERSION:
        raise WireError(f"array: expected {MAGIC!r} and version {VERSION}, found {magic!r} and {version}")
    if codec not in CODECS:
        raise WireError(f"array: expected a codec of {CODECS}, found {codec}")
    if name.decode("latin-1") not in TYPES:
        raise WireError(f"array: expected a type of {', '.join(TYPES)}, found {name[:40]!r}")
    if not 1 <= ndim <= 4 or min(shape) < 1:
        raise WireError(f"array: expected 1 to 4 sizes of at least 1, found {shape[:8]}")
    header = Header(np.dtype(name.decode("ascii")), shape, chunks, _START.size + named + 8 * ndim + _COUNT.size)
    if header.size > most:
        raise TooLarge(f"array: expected at most {most} bytes, found one of {shape} {header.dtype}")
    return header


def unpack(data: bytes | bytearray, *, most: int) -> NDArray[Any]:
    """Unpack an array.

    Args:
        data: All of it.
        most: Bytes that the array may have.

    Raises:
        WireError: As `read_header`; or the chunks are damaged, or make another array than the header says.
        TooLarge: The array would have more.
        ImportError: blosc2 is not installed.
    """
    blosc2 = import_blosc2()
    header = read_header(data, most=most)
    chunks = list(_chunks(data, header, blosc2))  # all sizes are looked at before any memory is taken
    if sum(size for size, _ in chunks) != header.size:
        raise WireError(f"array: expected {header.size} bytes as its header says, found chunks of another size")
    raw = np.zeros(header.size, np.uint8)
    start = 0
    for size, packed in chunks:
        try:
            blosc2.decompress2(packed, dst=raw[start : start + size].data, nthreads=1)
        except (ValueError, RuntimeError, TypeError) as error:
            raise WireError(f"array: expected a chunk of blosc2, found a damaged one ({error})") from error
        start += size
    return raw.view(header.dtype).reshape(header.shape)


def _chunks(data: bytes | bytearray, header: Header, blosc2: Any) -> Iterator[tuple[int, bytes]]:
    """Bytes unpacked, and packed bytes, of each chunk."""
    at, view = header.length, memoryview(data)
    if header.chunks > header.size // LARGEST_CHUNK + 16:
        raise WireError(f"array: expected chunks of up to {LARGEST_CHUNK} bytes, found {header.chunks} chunks")
    for _ in range(header.chunks):
        try:
            size, length = _SIZES.unpack_from(data, at)
        except struct.error as error:
            raise WireError("array: expected another chunk, found the end") from error
        at += _SIZES.size
        if not 0 < size <= min(header.size, LARGEST_CHUNK) or length > len(data) - at:
            raise WireError(f"array: expected a chunk within the array and the body, found {size} in {length} bytes")
        packed = bytes(view[at : at + length])
        try:
            unpacked, own, _ = blosc2.get_cbuffer_sizes(packed)
        except (ValueError, RuntimeError) as error:
            raise WireError(f"array: expected a chunk of blosc2, found none ({error})") from error
        if (unpacked, own) != (size, length):
            raise WireError(f"array: expected a chunk of {size} bytes in {length}, found {unpacked} in {own}")
        yield size, packed
        at += length
    if at != len(data):
        raise WireError(f"array: expected {at} bytes, found {len(data)}")


def import_blosc2() -> Any:
    """The library. Raises `ImportError` that says how it is installed."""
    try:
        import blosc2
    except ImportError as error:
        raise ImportError(missing("mecca serve", "blosc2", "serve")) from error
    return blosc2
