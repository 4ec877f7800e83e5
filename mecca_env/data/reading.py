"""Reading one case from its files, and saying everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mecca_env.data.base import DataError, Scan, Triple
from mecca_env.data.image_files import Volume, checked, header_shape, read_volume
from mecca_env.data.inventory import CaseFiles
from mecca_env.data.world.grids import distance, same_grid

Found = TypeVar("Found")
Grid = tuple[Triple, NDArray[np.float64]]
"""Shape and affine of a scan."""

_INTEGER_TOLERANCE = 1e-4


def read_scan(files: CaseFiles, labels: Sequence[int] | None, modalities: int, tolerance: float | None = None) -> Scan:
    """Read one case and check it.

    Args:
        files: Its images (one file per modality, or one file with a fourth axis) and its label map.
        labels: Values of the label map that are foreground; None takes all above 0.
        modalities: M, the number of channels the case must have.
        tolerance: Millimetres that the files may lie apart; None: next to nothing (`world.grids.same_grid`).

    Returns:
        The scan: image (M, X, Y, Z) float32 with the file's own scaling applied, label (X, Y, Z) bool.

    Raises:
        DataError: Anything `examine` finds, one line per fault.
    """
    scan, faults = examine(files, labels, modalities, tolerance)
    if scan is None:
        raise DataError("\n".join(faults))
    return scan


def read_numbers(files: CaseFiles, modalities: int, tolerance: float | None = None) -> tuple[Scan, NDArray[Any]]:
    """Read one case whose label values are told apart, and check it.

    Args:
        files: As for `read_scan`.
        modalities: Likewise.
        tolerance: Likewise.

    Returns:
        The scan, foreground being all above 0; and the label map, (X, Y, Z), whole numbers in whatever type.

    Raises:
        DataError: As `read_scan`.
    """
    scan, numbers, faults = _examine(files, None, modalities, tolerance)
    if scan is None or numbers is None:
        raise DataError("\n".join(faults))
    return scan, numbers


def read_image(
    files: Sequence[Path], modalities: int, most_voxels: int | None = None, tolerance: float | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Read an image without a label and check it.

    Args:
        files: One file per modality, or one file with a fourth axis.
        modalities: M, the number of channels it must have.
        most_voxels: With more than this, over all its files, it is refused by its headers and not read; None reads all.
        tolerance: As for `read_scan`.

    Returns:
        Image (M, X, Y, Z) with the files' own scaling applied, and its affine, (4, 4).

    Raises:
        DataError: Anything that `examine` finds of images, one line per fault; or it is too large.
    """
    faults: list[str] = []
    if most_voxels is not None:
        _check_sizes(files, most_voxels, faults)
    volumes = [] if faults else [_try_read(path, faults) for path in files]
    return _image_of([v for v in volumes if v is not None], modalities, faults, tolerance)


def checked_image(
    image: NDArray[Any], affine: NDArray[Any], modalities: int
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The same for an array, (X, Y, Z) or (M, X, Y, Z); affine (4, 4). Raises `DataError`."""
    faults: list[str] = []
    data = np.moveaxis(image, 0, -1) if image.ndim == 4 else image
    volume = Volume(Path("image"), data, np.asarray(affine, np.float64))
    return _image_of([checked(volume)], modalities, faults)


def read_label(
    path: Path, labels: Sequence[int] | None = None, like: Grid | None = None, tolerance: float | None = None
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """A label map alone: foreground (X, Y, Z) and its affine.

    Args:
        path: The file.
        labels: Values that are foreground; None takes all above 0.
        like: The grid of the scan that it belongs to; one of another size is not read. None: any.
        tolerance: As for `read_scan`.

    Raises:
        DataError: Anything that `examine` finds of labels; or it lies on another grid than its scan.
    """
    faults: list[str] = []
    volume = _read_on(like, path, faults, tolerance)
    numbers = None if volume is None else _whole_numbers(volume, faults)
    found = None if numbers is None else _foreground(path, numbers, labels, faults)
    if volume is None or found is None or faults:
        raise DataError("\n".join(faults))
    return found, volume.affine


def read_mask(path: Path, like: Grid, tolerance: float | None = None) -> NDArray[np.bool_]:
    """A mask, (X, Y, Z): where a file has numbers above 0, whole or not; NaN is background.

    Args:
        path: The file.
        like: The grid of the scan that it belongs to; one of another size is not read.
        tolerance: As for `read_scan`.

    Raises:
        DataError: It cannot be read, is no 3-D image, has nothing above 0, or lies on another grid than its scan.
    """
    faults: list[str] = []
    volume = _read_on(like, path, faults, tolerance)
    if volume is None or faults:
        raise DataError("\n".join(faults))
    found = np.asarray(volume.data > 0)
    if not found.any():
        raise DataError(f"{path}: empty label; expected values above 0, found none")
    return found


def examine(
    files: CaseFiles, labels: Sequence[int] | None, modalities: int, tolerance: float | None = None
) -> tuple[Scan | None, list[str]]:
    """Read one case; return it, or None and every fault: each names the file, what was expected and what was found."""
    scan, _, faults = _examine(files, labels, modalities, tolerance)
    return scan, faults


def _examine(
    files: CaseFiles, labels: Sequence[int] | None, modalities: int, tolerance: float | None
) -> tuple[Scan | None, NDArray[Any] | None, list[str]]:
    """`examine`, and the label map in whole numbers."""
    faults: list[str] = []
    volumes = [_try_read(path, faults) for path in files.images]
    images = [v for v in volumes if v is not None]
    known = images[0].affine if images else np.eye(4)  # without an image there is nothing that it could contradict
    of_one_file = files.label in files.images and not images  # which has been found at fault
    label = None if of_one_file else _try_read(files.label, faults, label=True, affine=known)
    channels = [c for v in images for c in _channels(v, modalities if len(files.images) == 1 else 1, faults)]
    _check_number(files.images, modalities, faults)
    numbers = None if label is None else _whole_numbers(label, faults)
    foreground = None if label is None or numbers is None else _foreground(label.path, numbers, labels, faults)
    present = [*images, label] if label is not None else images
    for other in present[1:]:
        _compare_grids(present[0], other, faults, tolerance)
    for path, channel in channels:
        _check_intensities(path, channel, faults)
    if faults or foreground is None:
        return None, None, faults
    image = np.stack([channel for _, channel in channels]).astype(np.float32, copy=False)
    return Scan(files.name, image, foreground, images[0].affine), numbers, []


def _image_of(
    volumes: Sequence[Volume], modalities: int, faults: list[str], tolerance: float | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The channels of all volumes in one array, and the affine. Raises `DataError` with these and further faults."""
    channels = [c for v in volumes for c in _channels(v, modalities if len(volumes) == 1 else 1, faults)]
    if not faults:
        _check_number([v.path for v in volumes], modalities, faults)
    for other in volumes[1:]:
        _compare_grids(volumes[0], other, faults, tolerance)
    for path, channel in channels:
        _check_intensities(path, channel, faults)
    if faults:
        raise DataError("\n".join(faults))
    image = np.empty((len(channels), *channels[0][1].shape), np.float32)
    for (_, channel), out in zip(channels, image, strict=True):
        out[...] = channel
    return image, volumes[0].affine


def _check_number(files: Sequence[Path], modalities: int, faults: list[str]) -> None:
    """Whether there is a file for each modality; of a single file `_channels` counts what it holds."""
    if len(files) not in (1, modalities):
        faults.append(f"{files[0]}: expected {modalities} files, one for each modality, found {len(files)}")


def _try_read(
    path: Path, faults: list[str], *, label: bool = False, affine: NDArray[np.float64] | None = None
) -> Volume | None:
    return _trying(path, faults, partial(read_volume, label=label, affine=affine))


def _trying(path: Path, faults: list[str], read: Callable[[Path], Found]) -> Found | None:
    """The result of `read` for a file; None with a fault where it cannot."""
    try:
        return read(path)
    except DataError as error:
        faults.append(str(error))
    except Exception as error:  # damaged bytes make the readers raise from a dozen unrelated types
        faults.append(f"{path}: expected a readable image file, found {type(error).__name__}: {error}")
    return None


def _check_sizes(files: Sequence[Path], most: int, faults: list[str]) -> None:
    """Add up the voxels of all files by their headers."""
    shapes = [_trying(path, faults, header_shape) for path in files]
    voxels = sum(int(np.prod(shape, dtype=object)) for shape in shapes if shape is not None)
    if voxels > most:
        faults.append(f"{files[0]}: expected at most {most} voxels, found {voxels}; it was not read")


def _check_label_size(path: Path, shape: Triple, faults: list[str]) -> None:
    found = _trying(path, faults, partial(header_shape, label=True))
    if found is not None and int(np.prod(found, dtype=object)) != int(np.prod(shape, dtype=object)):
        faults.append(f"{path}: expected shape {shape} as in the scan, found {found}; it was not read")


def _channels(volume: Volume, expected: int, faults: list[str]) -> list[tuple[Path, NDArray[Any]]]:
    """The file's channels, each (X, Y, Z)."""
    data = volume.data if volume.data.ndim == 4 else volume.data[..., None]
    if data.shape[3] != expected:
        plural = "" if expected == 1 else "s"
        shape = volume.data.shape
        faults.append(f"{volume.path}: expected {expected} channel{plural}, found {data.shape[3]} (shape {shape})")
        return []
    return [(volume.path, data[..., c]) for c in range(expected)]


def _whole_numbers(volume: Volume, faults: list[str]) -> NDArray[Any] | None:
    data = volume.data
    if data.ndim != 3:
        faults.append(f"{volume.path}: expected a 3-D label, found shape {data.shape}")
        return None
    if data.dtype.kind == "f":
        if not np.isfinite(data).all():
            faults.append(f"{volume.path}: expected integer labels, found NaN or infinite voxels")
            return None
        rounded = np.rint(data)
        odd = np.abs(data - rounded) > _INTEGER_TOLERANCE
        if odd.any():
            faults.append(f"{volume.path}: expected integer labels, found {odd.sum()} others such as {data[odd][0]:g}")
            return None
        data = rounded
    return data


def _foreground(
    path: Path, data: NDArray[Any], labels: Sequence[int] | None, faults: list[str]
) -> NDArray[np.bool_] | None:
    mask: NDArray[np.bool_] = data > 0 if labels is None else np.isin(data, np.asarray(labels))
    if not mask.any():
        asked = "values above 0" if labels is None else f"values {sorted(labels)}"
        present = np.unique(data)
        shown = ", ".join(f"{v:g}" for v in present[:10]) + (" ..." if present.size > 10 else "")
        faults.append(f"{path}: empty label; expected {asked}, found {shown}")
        return None
    return mask


def _read_on(like: Grid | None, path: Path, faults: list[str], tolerance: float | None) -> Volume | None:
    """A file on a scan's grid; on any grid where there is no scan."""
    if like is None:
        return _try_read(path, faults, label=True)
    _check_label_size(path, like[0], faults)
    volume = None if faults else _try_read(path, faults, label=True, affine=like[1])
    if volume is not None:
        _compare_grids(
            Volume(Path("the scan"), np.broadcast_to(np.False_, like[0]), like[1]), volume, faults, tolerance
        )
    return volume


def _compare_grids(one: Volume, other: Volume, faults: list[str], tolerance: float | None) -> None:
    (a, b, c), found = one.data.shape[:3], other.data.shape[:3]
    if (a, b, c) != found:
        faults.append(f"{other.path}: expected shape {(a, b, c)} as in {one.path}, found {found}")
    if not same_grid(one.affine, other.affine, (a, b, c), tolerance):
        apart = distance(one.affine, other.affine, (a, b, c))
        faults.append(
            f"{other.path}: expected the affine of {one.path}, {_shown(one.affine)}, found {_shown(other.affine)}: "
            f"up to {apart:.3g} mm apart, more than the tolerance (--tolerance MM)"
        )


def _shown(affine: NDArray[np.float64]) -> str:
    """Its three rows, with digits enough to see what differs."""
    return "[" + ", ".join("[" + ", ".join(f"{v:.7g}" for v in row) + "]" for row in affine[:3]) + "]"


def _check_intensities(path: Path, channel: NDArray[Any], faults: list[str]) -> None:
    bad = channel.size - int(np.isfinite(channel).sum()) if channel.dtype.kind == "f" else 0
    if bad:
        faults.append(f"{path}: expected finite intensities, found {bad} NaN or infinite voxels")
    elif channel.min() == channel.max():
        faults.append(f"{path}: expected an image, found the constant {channel.min():g}")
