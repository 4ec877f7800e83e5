"""The `.npz` files of the CVPR 2025 challenge of interactive segmentation: scan, label, spacing and boxes in one file.

| array | holds |
|---|---|
| `imgs` | the scan, (D, H, W), real numbers; the challenge's are 0 to 255 |
| `gts` | classes, (D, H, W), integers, 0 for none; not in the files of a test |
| `spacing` | millimetres between voxels, (3,), in the order (x, y, z), which is W, H, D |
| `boxes` | one box for each class, optional |
| `segs` | a prediction, in the place of `gts` |

The order of the spacing is that of ITK, which the challenge's files were made with; the arrays have it the other way
round. Here everything is turned to (X, Y, Z). A file says neither where its first voxel lies nor which way its axes
run; they are taken for ITK's own: left, posterior, superior, from a first voxel at 0.

Nothing is ever unpickled, since that can run anything. The challenge stores `boxes` as pickled dicts; those are left
alone, and a box is made by the challenge's rule from the label (`mecca_env.prompts.middle_slice_box`). Who trusts the
files can store plain numbers in their place, which are read:

    boxes = np.load(path, allow_pickle=True)["boxes"]
    plain = np.array([[box[key] for key in BOX_KEYS] for box in boxes])
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mecca_env.data.base import DataError, Triple
from mecca_env.prompts.boxes import SliceBox

ENDING = ".npz"
"""What a file of this format is called."""

BOX_KEYS = ("z_min", "z_max", "z_mid", "z_mid_x_min", "z_mid_y_min", "z_mid_x_max", "z_mid_y_max")
"""The numbers of a box, in the order in which they are read: first, last and middle slice, and the box on that one;
the largest ones are inclusive."""

_IMAGE, _LABELS, _SPACING, _BOXES = "imgs", ("gts", "segs"), "spacing", "boxes"
_AXIS = 2  # across the slices, of (X, Y, Z)


@dataclass(frozen=True, eq=False)
class NpzCase:
    """The content of one file, in the axis order (X, Y, Z).

    Attributes:
        image: The scan, (X, Y, Z), in the file's type.
        classes: Integers, (X, Y, Z), 0 for none; None where the file has no label.
        spacing: Millimetres between voxels, (x, y, z).
        affine: (4, 4) float64, voxel index to millimetres (RAS+).
        boxes: One for each class in ascending order; None where the file has none in plain numbers.
    """

    image: NDArray[Any]
    classes: NDArray[Any] | None
    spacing: tuple[float, float, float]
    affine: NDArray[np.float64]
    boxes: tuple[SliceBox, ...] | None


def is_npz(path: Path) -> bool:
    """Whether a file is called like one that is read here."""
    return path.name.lower().endswith(ENDING)


def read_npz(path: Path | str) -> NpzCase:
    """Read a file with all that it has.

    Args:
        path: The file.

    Raises:
        DataError: It is damaged or no such file; it has no `imgs` or no `spacing`; or an array is of another shape or
            type than the format says.
    """
    path = Path(path)
    with _opened(path) as archive:
        image = archive.volume(_IMAGE, "fiub")
        name = archive.name_of_label()
        classes = None if name is None else archive.volume(name, "iub")
        spacing = archive.spacing()
        boxes = archive.boxes(image.shape)
    if classes is not None and classes.shape != image.shape:
        found = f"{classes.shape[::-1]} and {image.shape[::-1]}"
        raise DataError(f"{path}: expected {name} and {_IMAGE} of one shape (D, H, W), found {found}")
    return NpzCase(image, classes, spacing, _affine(spacing), boxes)


def read_npz_volume(
    path: Path, label: bool, affine: NDArray[np.float64] | None
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The scan of a file or its classes, (X, Y, Z), and its affine, (4, 4) RAS+.

    Args:
        path: The file.
        label: The classes are wanted.
        affine: What stands for that of classes which are without a spacing, as challenges publish them: their scan's.

    Raises:
        DataError: As `read_npz` does, of what is read.
    """
    with _opened(path) as archive:
        name = archive.wanted(label)
        data = archive.volume(name, "iub" if label else "fiub")
        if label and affine is not None and _SPACING not in archive.names:
            return data, affine
        return data, _affine(archive.spacing())


def npz_shape(path: Path, label: bool) -> Triple:
    """The shape that `read_npz_volume` would return, by the header. Raises as it does."""
    with _opened(path) as archive:
        shape, _ = archive.header(archive.wanted(label))
        return archive.volume_shape(archive.wanted(label), shape)


class _Archive:
    """An open file, array by array."""

    def __init__(self, path: Path, file: zipfile.ZipFile) -> None:
        self._path, self._file = path, file
        self.names = [name.removesuffix(".npy") for name in file.namelist()]

    def name_of_label(self) -> str | None:
        """Which array holds the classes, if one does."""
        return next((name for name in _LABELS if name in self.names), None)

    def wanted(self, label: bool) -> str:
        """The array of the scan or of its classes; the first of the possible names where there is none."""
        return (self.name_of_label() or _LABELS[0]) if label else _IMAGE

    def volume(self, name: str, kinds: str) -> NDArray[Any]:
        """A volume, (X, Y, Z), of one of these kinds of numbers."""
        shape, kind = self.header(name)
        self.volume_shape(name, shape)
        if kind.kind not in kinds:
            wanted = "integers" if kinds == "iub" else "real numbers"
            raise DataError(f"{self._path}: expected {wanted} in {name}, found {kind}")
        return np.transpose(self._array(name))

    def volume_shape(self, name: str, shape: tuple[int, ...]) -> Triple:
        """A stored shape (D, H, W) as (X, Y, Z)."""
        if len(shape) != 3 or 0 in shape:
            raise DataError(f"{self._path}: expected {name} of three axes (D, H, W), found shape {shape}")
        return shape[2], shape[1], shape[0]

    def spacing(self) -> tuple[float, float, float]:
        """Millimetres between voxels, (x, y, z)."""
        shape, kind = self.header(_SPACING)
        found: Any = f"shape {shape} of {kind}"
        if shape == (3,) and kind.kind in "fiu":
            x, y, z = (float(side) for side in self._array(_SPACING))
            if all(0 < side < math.inf for side in (x, y, z)):
                return x, y, z
            found = (x, y, z)
        raise DataError(f"{self._path}: expected three finite numbers above 0 as {_SPACING}, found {found}")

    def boxes(self, shape: tuple[int, ...]) -> tuple[SliceBox, ...] | None:
        """The boxes of a scan (X, Y, Z), where they are plain numbers."""
        if _BOXES not in self.names:
            return None
        stored, kind = self.header(_BOXES, pickled=True)
        if kind.hasobject:
            return None
        if kind.kind not in "iu" or len(stored) != 2 or stored[1] != len(BOX_KEYS):
            wanted = f"integers of shape (classes, {len(BOX_KEYS)})"
            raise DataError(f"{self._path}: expected {wanted} as {_BOXES}, found shape {stored} of {kind}")
        return tuple(self._box(row, shape) for row in self._array(_BOXES).tolist())

    def _box(self, numbers: list[int], shape: tuple[int, ...]) -> SliceBox:
        z_min, z_max, middle, x_min, y_min, x_max, y_max = numbers
        low, last = (x_min, y_min, z_min), (x_max, y_max, z_max)
        inside = all(0 <= a <= b < side for a, b, side in zip(low, last, shape, strict=True))
        if not inside or not z_min <= middle <= z_max:
            shown = dict(zip(BOX_KEYS, numbers, strict=True))
            raise DataError(f"{self._path}: expected {_BOXES} inside the scan {shape[::-1]}, found {shown}")
        return SliceBox(_AXIS, middle, low, (x_max + 1, y_max + 1, z_max + 1))

    def header(self, name: str, pickled: bool = False) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape and type of an array that is there in full."""
        if name not in self.names:
            found = ", ".join(self.names) or "none"
            raise DataError(f"{self._path}: expected an array {name}, found {found}")
        with self._file.open(f"{name}.npy") as file:
            version = np.lib.format.read_magic(file)
            if version not in ((1, 0), (2, 0)):
                raise DataError(f"{self._path}: expected {name} in NumPy's format 1 or 2, found {version[0]}")
            one = version == (1, 0)
            read = np.lib.format.read_array_header_1_0 if one else np.lib.format.read_array_header_2_0
            shape, _, kind = read(file)
            needed = file.tell() + math.prod(shape) * kind.itemsize
        if kind.hasobject and not pickled:
            raise DataError(f"{self._path}: expected numbers in {name}, found pickled objects, which are never read")
        there = self._file.getinfo(f"{name}.npy").file_size
        if not kind.hasobject and there != needed:
            raise DataError(f"{self._path}: expected {needed} bytes of {name} as its header says, found {there}")
        return shape, kind

    def _array(self, name: str) -> NDArray[Any]:
        """An array whose header has been looked at; to its end, where zip files have their checksum."""
        with self._file.open(f"{name}.npy") as file:
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        return array


@contextmanager
def _opened(path: Path) -> Iterator[_Archive]:
    try:
        with zipfile.ZipFile(path) as file:
            yield _Archive(path, file)
    except DataError:
        raise
    except Exception as error:  # damaged zip files raise from many unrelated types
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: expected a readable {ENDING} file, found {type(error).__name__}: {reason}") from error


def _affine(spacing: tuple[float, float, float]) -> NDArray[np.float64]:
    x, y, z = spacing
    return np.diag([-x, -y, z, 1.0])  # left and posterior are the other ways of RAS+
