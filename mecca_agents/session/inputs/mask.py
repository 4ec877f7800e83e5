"""A mask that a session goes on from: opened or refused, and kept as small as the box around it."""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mecca_agents.session.errors import SessionError
from mecca_agents.session.inputs.scan import files_of, read_box
from mecca_env.data.base import Box, DataError, Triple
from mecca_env.data.grid.cutting import bounding_box
from mecca_env.data.reading import read_mask

MaskLike: TypeAlias = ArrayLike | PathLike[str]
"""A file, or an array (X, Y, Z), of numbers that need not be whole; what is above 0 is foreground."""


@dataclass(frozen=True, eq=False)
class BoxedMask:
    """The smallest box that holds a mask, and what is in it.

    Attributes:
        box: On the scan's grid, high exclusive.
        part: Of the box's shape.
    """

    box: Box
    part: NDArray[np.bool_]

    def whole(self, shape: Triple) -> NDArray[np.bool_]:
        """The mask on a scan, (X, Y, Z)."""
        mask = np.zeros(shape, bool)
        mask[tuple(slice(a, b) for a, b in zip(*self.box, strict=True))] = self.part
        return mask

    def packed(self) -> LoggedMask:
        """The mask as a log has it."""
        bits = zlib.compress(np.packbits(self.part).tobytes())
        low, high = self.box
        return LoggedMask(list(low), list(high), base64.b64encode(bits).decode())


@dataclass(frozen=True)
class LoggedMask:
    """A mask as a log has it, which may be anything.

    Attributes:
        low: First voxel of its box.
        high: Opposite corner, exclusive.
        bits: What is in the box: bits, compressed, as text in base64.
    """

    low: Sequence[int] | None
    high: Sequence[int] | None
    bits: str

    def details(self) -> dict[str, Any]:
        """Its fields by name."""
        return asdict(self)

    def unpacked(self, shape: Triple) -> BoxedMask:
        """The mask on a scan of this shape, (X, Y, Z). Raises `SessionError`."""
        box = read_box(self.low, self.high, shape)
        if box is None:
            raise SessionError("log: expected the box of a mask, found none")
        sides = [b - a for a, b in zip(*box, strict=True)]
        size = math.prod(sides)
        try:
            unpacker = zlib.decompressobj()
            content = unpacker.decompress(base64.b64decode(self.bits, validate=True), (size + 7) // 8 + 1)
        except (binascii.Error, ValueError, zlib.error) as error:
            raise SessionError(f"log: expected the bits of a mask, found something else ({error})") from error
        if len(content) != (size + 7) // 8 or not unpacker.eof:
            raise SessionError(f"log: expected the bits of a mask of {sides} voxels, found more or fewer")
        return BoxedMask(box, np.unpackbits(np.frombuffer(content, np.uint8), count=size).reshape(sides).astype(bool))


def boxed(mask: NDArray[np.bool_]) -> BoxedMask:
    """A mask that is not empty, (X, Y, Z)."""
    box = bounding_box(mask)
    return BoxedMask(box, mask[tuple(slice(a, b) for a, b in zip(*box, strict=True))].copy())


def open_mask(
    mask: MaskLike, shape: Triple, affine: NDArray[np.float64], tolerance: float | None = None
) -> NDArray[np.bool_]:
    """Read or copy a mask for a scan.

    Args:
        mask: See `MaskLike`.
        shape: Of the scan, (X, Y, Z).
        affine: Of the scan, (4, 4).
        tolerance: Millimetres that a file may lie apart from the scan; None: next to nothing.

    Raises:
        DataError: It is none, is empty, or lies on another grid.
    """
    if files := files_of(mask):
        if len(files) > 1:
            raise DataError(f"mask: expected one file, found {len(files)}")
        return read_mask(files[0], (shape, affine), tolerance)
    try:
        array = np.asarray(mask)
    except ValueError as error:  # a nest of lists that is no array
        raise DataError(f"mask: expected an array, found {type(mask).__name__} ({error})") from error
    if array.shape != shape or array.dtype.kind not in "fiub":
        raise DataError(f"mask: expected numbers on the scan's grid {shape}, found {array.dtype} {array.shape}")
    found = np.asarray(array > 0)  # also where it is NaN: background
    if not found.any():
        raise DataError("mask: expected foreground, values above 0, found none")
    return found
