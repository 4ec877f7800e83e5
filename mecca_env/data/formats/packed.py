"""Compressed streams, read piece by piece to their very end, where the checksum is."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mecca_env.data.base import DataError

GZIP, ZLIB_OR_GZIP = 31, 47  # what zlib calls them
_MAGIC = b"\x1f\x8b"
_PIECE = 1 << 20


def is_gzip(path: Path) -> bool:
    """Whether a file begins as a gzipped one does, whatever it is called."""
    with path.open("rb") as file:
        return file.read(2) == _MAGIC


@contextmanager
def unpacked(path: Path) -> Iterator[Iterator[bytes]]:
    """The content of a file in pieces, of a gzipped one what is in it. Raises `DataError` where that is damaged."""
    with path.open("rb") as file:
        yield unpack(path, file) if is_gzip(path) else iter(lambda: file.read(_PIECE), b"")


def unpack(path: Path, file: BinaryIO, kind: int = GZIP, most: int | None = None) -> Iterator[bytes]:
    """What is compressed in a file from where it stands, in pieces of a mebibyte at most.

    Gzip streams may follow each other; what stands behind the last of them is nobody's, and is left alone as gzip does.

    Args:
        path: Its name, for messages.
        file: The file.
        kind: `GZIP`, or `ZLIB_OR_GZIP`.
        most: Compressed bytes that are looked at; None: all.

    Raises:
        DataError: A stream is damaged, or ends too early.
    """
    left = most
    unpacker, data = zlib.decompressobj(kind), b""
    while True:
        if not data:
            data = file.read(_PIECE if left is None else min(_PIECE, left))
            left = None if left is None else left - len(data)
        try:
            piece = unpacker.decompress(data, _PIECE) if data else unpacker.flush()
        except zlib.error as error:
            raise _damaged(path, str(error)) from error
        if piece:
            yield piece
        if unpacker.eof:
            data = _next_stream(unpacker.unused_data, file) if kind == GZIP else b""
            if not data:
                return
            unpacker = zlib.decompressobj(kind)
        elif not data:
            raise _damaged(path, "they end too early")
        else:
            data = unpacker.unconsumed_tail


def _next_stream(rest: bytes, file: BinaryIO) -> bytes:
    """The beginning of the stream that follows, behind zeros that pad the one before; nothing where none does."""
    while len(rest := rest.lstrip(b"\0")) < len(_MAGIC):
        more = file.read(_PIECE)
        if not more:
            return b""
        rest += more
    return rest if rest.startswith(_MAGIC) else b""


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(f"{path}: expected a readable image file, found damaged compressed bytes ({reason})")
