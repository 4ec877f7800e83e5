"""A mask that a session goes on from: opened or refused, and kept as small as the box around it."""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mecca_agents.session.log import SessionError
from mecca_agents.session.scan import files_of
from mecca_env.data.base import Box, DataError, Triple
from mecca_env.data.grid.cutting import bounding_box
from mecca_env.data.reading import read_label

MaskLike: TypeAlias = ArrayLike | PathLike[str]
"""A file, or an array (X, Y, Z); what is above 0 is foreground."""


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

    def details(self) -> dict[str, Any]:
        """As a log has it: the corners of the box, and its bits, compressed, as text."""
        bits = zlib.compress(np.packbits(self.part).tobytes())
        low, high = self.box
        return {"low": list(low), "high": list(high), "bits": base64.b64encode(bits).decode()}


def boxed(mask: NDArray[np.bool_]) -> BoxedMask:
    """A mask that is not empty, (X, Y, Z)."""
    box = bounding_box(mask)
    return BoxedMask(box, mask[tuple(slice(a, b) for a, b in zip(*box, strict=True))].copy())


def unpacked(details: Mapping[str, Any], box: Box) -> BoxedMask:
    """What `BoxedMask.details` has made, where the box has been read already. Raises `SessionError`."""
    shape = [b - a for a, b in zip(*box, strict=True)]
    size = math.prod(shape)
    try:
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(base64.b64decode(details["bits"], validate=True), (size + 7) // 8 + 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise SessionError(f"log: expected the bits of a mask, found something else ({error})") from error
    if len(content) != (size + 7) // 8 or not unpacker.eof:
        raise SessionError(f"log: expected the bits of a mask of {shape} voxels, found more or fewer")
    return BoxedMask(box, np.unpackbits(np.frombuffer(content, np.uint8), count=size).reshape(shape).astype(bool))


def open_mask(mask: MaskLike, shape: Triple, affine: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Read or copy a mask for a scan.

    Args:
        mask: See `MaskLike`.
        shape: Of the scan, (X, Y, Z).
        affine: Of the scan, (4, 4).

    Raises:
        DataError: It is none, is empty, or lies on another grid.
    """
    if files := files_of(mask):
        if len(files) > 1:
            raise DataError(f"mask: expected one file, found {len(files)}")
        return read_label(files[0], like=(shape, affine))[0]
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
