"""Reading one case from its files, and saying everything that is wrong with it."""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mecca_env.data.base import DataError, Scan
from mecca_env.data.inventory import CaseFiles

AFFINE_TOLERANCE = 1e-3
"""Largest difference, millimetres, between affines that are the same: the formats store them in single precision."""

_INTEGER_TOLERANCE = 1e-4
_ADDRESS = re.compile(r"\(0x[0-9a-f]+\)")  # of ITK's reader in memory, in its messages
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_scan(files: CaseFiles, labels: Sequence[int] | None, modalities: int) -> Scan:
    """Read one case and check it.

    Args:
        files: Its images (one file per modality, or one file with a fourth axis) and its label map.
        labels: Values of the label map that are foreground; None takes all above 0.
        modalities: M, the number of channels the case must have.

    Returns:
        The scan: image (M, X, Y, Z) float32 with the file's own scaling applied, label (X, Y, Z) bool.

    Raises:
        DataError: Anything `examine` finds, one line per fault.
    """
    scan, faults = examine(files, labels, modalities)
    if scan is None:
        raise DataError("\n".join(faults))
    return scan


def examine(files: CaseFiles, labels: Sequence[int] | None, modalities: int) -> tuple[Scan | None, list[str]]:
    """Read one case; return it, or None and every fault: each names the file, what was expected and what was found."""
    faults: list[str] = []
    volumes = [_try_read(path, faults) for path in files.images]
    label = _try_read(files.label, faults)
    images = [v for v in volumes if v is not None]
    channels = [c for v in images for c in _channels(v, modalities if len(files.images) == 1 else 1, faults)]
    foreground = None if label is None else _foreground(label, labels, faults)
    present = [*images, label] if label is not None else images
    for other in present[1:]:
        _compare_grids(present[0], other, faults)
    for path, channel in channels:
        _check_intensities(path, channel, faults)
    if faults or foreground is None:
        return None, faults
    image = np.stack([channel for _, channel in channels]).astype(np.float32, copy=False)
    return Scan(files.name, image, foreground, images[0].affine), []


@dataclass
class _Volume:
    """What a file holds: data (X, Y, Z) or (X, Y, Z, C), affine (4, 4) RAS+."""

    path: Path
    data: NDArray[Any]
    affine: NDArray[np.float64]


def _try_read(path: Path, faults: list[str]) -> _Volume | None:
    try:
        volume = _read_mha(path) if path.name.lower().endswith(".mha") else _read_nifti(path)
        return _checked(volume)
    except DataError as error:
        faults.append(str(error))
    except Exception as error:  # damaged bytes make the readers raise from a dozen unrelated types
        faults.append(f"{path}: expected a readable image file, found {type(error).__name__}: {error}")
    return None


def _read_nifti(path: Path) -> _Volume:
    import nibabel  # late, since it takes longer to import than an env to make

    if path.name.lower().endswith(".gz"):
        # Read to the end: nibabel stops before the checksum, so a damaged file would pass.
        content = gzip.decompress(path.read_bytes())
        header_size = {content[:4]} & {(540).to_bytes(4, "little"), (540).to_bytes(4, "big")}
        image = (nibabel.Nifti2Image if header_size else nibabel.Nifti1Image).from_bytes(content)
        size = len(content)
    else:
        image, size = nibabel.load(path), path.stat().st_size
    proxy = image.dataobj
    needed = int(proxy.offset) + int(np.prod(proxy.shape, dtype=object)) * proxy.dtype.itemsize
    if size < needed:
        raise DataError(f"{path}: expected {needed} bytes as its header says, found {size}: truncated")
    affine = np.asarray(image.affine, np.float64)
    if proxy.dtype.kind == "f" or (proxy.slope, proxy.inter) != (1, 0):
        with np.errstate(over="ignore"):  # an overflow to infinity is reported with the other infinite voxels
            return _Volume(path, np.asarray(proxy, dtype=np.float32), affine)
    return _Volume(path, np.asarray(proxy), affine)


def _read_mha(path: Path) -> _Volume:
    try:
        import SimpleITK
    except ImportError as error:
        raise DataError(f'{path}: .mha files need SimpleITK; install it with pip install "mecca[mha]"') from error
    try:
        image = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        reason = " ".join(_ADDRESS.sub("", str(error)).partition("ERROR: ")[2].split()) or error
        raise DataError(f"{path}: expected a readable image file, found {reason}") from error
    if image.GetDimension() != 3:
        raise DataError(f"{path}: expected a 3-D image, found {image.GetDimension()}-D of size {image.GetSize()}")
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    data = SimpleITK.GetArrayFromImage(image)  # (Z, Y, X) or (Z, Y, X, C)
    return _Volume(path, np.swapaxes(data, 0, 2), _LPS_TO_RAS @ affine)


def _checked(volume: _Volume) -> _Volume:
    data, affine = volume.data, volume.affine
    while data.ndim > 3 and data.shape[-1] == 1:
        data = data[..., 0]
    if data.ndim not in (3, 4) or data.size == 0:
        raise DataError(f"{volume.path}: expected a 3-D image or a 4-D one of channels, found shape {data.shape}")
    if data.dtype.kind not in "fiub":
        raise DataError(f"{volume.path}: expected real numbers, found {data.dtype}")
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise DataError(f"{volume.path}: expected an affine that can be inverted, found {affine.tolist()}")
    return _Volume(volume.path, data, affine)


def _channels(volume: _Volume, expected: int, faults: list[str]) -> list[tuple[Path, NDArray[Any]]]:
    """The file's channels, each (X, Y, Z)."""
    data = volume.data if volume.data.ndim == 4 else volume.data[..., None]
    if data.shape[3] != expected:
        plural = "" if expected == 1 else "s"
        shape = volume.data.shape
        faults.append(f"{volume.path}: expected {expected} channel{plural}, found {data.shape[3]} (shape {shape})")
        return []
    return [(volume.path, data[..., c]) for c in range(expected)]


def _foreground(volume: _Volume, labels: Sequence[int] | None, faults: list[str]) -> NDArray[np.bool_] | None:
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
    mask: NDArray[np.bool_] = data > 0 if labels is None else np.isin(data, np.asarray(labels))
    if not mask.any():
        asked = "values above 0" if labels is None else f"values {sorted(labels)}"
        present = np.unique(data)
        shown = ", ".join(f"{v:g}" for v in present[:10]) + (" ..." if present.size > 10 else "")
        faults.append(f"{volume.path}: empty label; expected {asked}, found {shown}")
        return None
    return mask


def _compare_grids(one: _Volume, other: _Volume, faults: list[str]) -> None:
    if one.data.shape[:3] != other.data.shape[:3]:
        faults.append(
            f"{other.path}: expected shape {one.data.shape[:3]} as in {one.path}, found {other.data.shape[:3]}"
        )
    difference = np.abs(one.affine - other.affine).max()
    if difference > AFFINE_TOLERANCE:
        faults.append(
            f"{other.path}: expected the affine of {one.path}, {one.affine[:3].round(4).tolist()}, "
            f"found {other.affine[:3].round(4).tolist()}"
        )


def _check_intensities(path: Path, channel: NDArray[Any], faults: list[str]) -> None:
    bad = channel.size - int(np.isfinite(channel).sum()) if channel.dtype.kind == "f" else 0
    if bad:
        faults.append(f"{path}: expected finite intensities, found {bad} NaN or infinite voxels")
    elif channel.min() == channel.max():
        faults.append(f"{path}: expected an image, found the constant {channel.min():g}")
