"""From a scan to the cut that grids are laid over (`sampling`), and from an episode's grid back to the scan."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.data.base import Box, DataError, PreparedCase, Scan, Triple
from mecca_env.data.grid.intensities import mean_and_std, usual_range
from mecca_env.data.grid.placement import Placement
from mecca_env.kernels.interpolation import Coordinates, interpolate, nearest

_PASTE_TIE = 1e-9
_POINTS_AT_ONCE = 1 << 21


def prepare(
    scan: Scan,
    *,
    extension: tuple[int, int],
    rotation: float,
    evaluation_extension: int,
    box: Box | None = None,
    whole: bool = False,
) -> PreparedCase:
    """Cut a scan down to the largest crop that a placement can ask for, and measure its intensities.

    Args:
        scan: The scan; its label is not empty, or there is a box.
        extension: Least and most voxels a training crop extends beyond the label on each side.
        rotation: Largest rotation about the third axis, degrees; the cut holds the rotated crops too.
        evaluation_extension: The same for evaluation crops, inside which mean and standard deviation are taken, without
            padding and metal (`grid.intensities.usual_range`).
        box: What plays the part of the label's bounding box; None: that box.
        whole: Keep the whole scan, for crops that lie anywhere in it.

    Returns:
        The case, with raw intensities.

    Raises:
        DataError: A channel is constant inside the evaluation crop.
    """
    box_low, box_high = box or bounding_box(scan.label)
    widest = max(extension[1], evaluation_extension)
    margin = _margins([b - a + 2 * widest for a, b in zip(box_low, box_high, strict=True)], rotation, widest)
    cut, origin = _slices(box_low, box_high, scan.label.shape if whole else margin, scan.label.shape)
    crop, _ = _slices(box_low, box_high, (evaluation_extension,) * 3, scan.label.shape)
    mean, std = _intensity_statistics(scan, crop)
    return PreparedCase(
        name=scan.name,
        image=torch.from_numpy(np.ascontiguousarray(scan.image[(slice(None), *cut)], np.float32)),
        label=torch.from_numpy(np.ascontiguousarray(scan.label[cut])),
        origin=origin,
        box=(box_low, box_high),
        scan_shape=_triple(scan.label.shape),
        affine=scan.affine,
        mean=mean,
        std=std,
        usual=np.array([usual_range(channel) for channel in scan.image]) if whole else None,
    )


def bounding_box(label: NDArray[np.bool_]) -> Box:
    """Corners of the smallest box that holds a label (X, Y, Z) that is not empty, high exclusive."""
    spans = [np.flatnonzero(label.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    return _triple([s[0] for s in spans]), _triple([s[-1] + 1 for s in spans])


def move_regions(regions: Tensor, source: Placement, target: Placement) -> Tensor:
    """Carry a map of regions from one placement of a case to another, by the nearest voxel.

    Args:
        regions: Region numbers on `source`, (D, H, W) of any integer type.
        source: Usually `canonical_placement`.
        target: Usually an episode's placement.

    Returns:
        Region numbers on `target`, of its shape and of the type and on the device of `regions`.

    Raises:
        ValueError: `regions` has another shape than `source`.
    """
    _check_shape("regions", regions, source)
    return nearest(regions, source.in_grid(target.in_scan(regions.device)))


def move_map(values: Tensor, source: Placement, target: Placement) -> Tensor:
    """Carry a map of numbers from one placement of a case to another, interpolated linearly; 0 where there was none.

    Args:
        values: On `source`, (D, H, W) float.
        source: Where they are.
        target: Where they are wanted.

    Returns:
        On `target`, of its shape and of the type and on the device of `values`.

    Raises:
        ValueError: `values` has another shape than `source`.
    """
    _check_shape("values", values, source)
    at = source.in_grid(target.in_scan())
    found = interpolate(values[None].cpu(), at, border=True)[0] * _within(at, source)
    return found.to(values)


def paste_back(
    grid: Tensor | NDArray[np.generic], placement: Placement, scan_shape: Triple, threshold: float = 0.5
) -> NDArray[np.bool_]:
    """Put a mask or a probability map from an episode's grid back onto the scan's own grid.

    The grid is interpolated linearly at the scan's voxels, and only at those inside the crop. Without change of size,
    flip and rotation the result equals `grid > threshold` exactly.

    Args:
        grid: Mask or probability, (D, H, W).
        placement: Where the grid lies.
        scan_shape: (X, Y, Z).
        threshold: A scan voxel is foreground above this.

    Returns:
        (X, Y, Z) bool, False outside the crop.

    Raises:
        ValueError: `grid` has another shape than the placement.
    """
    values = torch.as_tensor(grid).detach().cpu()
    _check_shape("grid", values, placement)
    box = placement.bounds(scan_shape)
    mask = np.zeros(scan_shape, bool)
    mask[_of(box)] = paste_part(values, placement, box, threshold)
    return mask


def paste_part(values: Tensor, placement: Placement, box: Box, threshold: float = 0.5) -> NDArray[np.bool_]:
    """The part of what `paste_back` returns that lies in a box of the scan, of the box's shape."""
    part = np.empty([b - a for a, b in zip(*box, strict=True)], bool)
    for block, rows in _blocks(box, placement):
        found, inside = _read_back(values, placement, block)
        part[rows] = (inside & (found > threshold + _PASTE_TIE)).numpy()
    return part


def read_part(values: Tensor, placement: Placement, box: Box, smooth: bool = True) -> NDArray[np.float32]:
    """A map on an episode's grid, read in a box of the scan.

    Args:
        values: (D, H, W) of any type, on the host.
        placement: Where the grid lies.
        box: Which voxels of the scan.
        smooth: Interpolated linearly; False: the value of the nearest voxel of the grid.

    Returns:
        Of the box's shape; 0 outside the crop.
    """
    part = np.empty([b - a for a, b in zip(*box, strict=True)], np.float32)
    for block, rows in _blocks(box, placement):
        found, inside = _read_back(values, placement, block, smooth)
        part[rows] = found.float().mul_(inside).numpy()
    return part


def _blocks(box: Box, placement: Placement) -> Iterator[tuple[Box, slice]]:
    """Boxes that make up a box, few points at once, and which of its rows they are."""
    low, high = box
    across = (high[1] - low[1]) * max(high[2] - low[2], placement.shape[2])
    rows = max(_POINTS_AT_ONCE // max(across, 1), 1)
    for start in range(low[0], high[0], rows):
        stop = min(start + rows, high[0])
        yield ((start, low[1], low[2]), (stop, high[1], high[2])), slice(start - low[0], stop - low[0])


def _read_back(values: Tensor, placement: Placement, box: Box, smooth: bool = True) -> tuple[Tensor, Tensor]:
    """A map at the voxels of a box, and which of these lie inside the crop."""
    first, second, third = (torch.arange(a, b, dtype=torch.float64) for a, b in zip(*box, strict=True))
    at = placement.in_grid(Coordinates.of_axes(first, second, third))
    found = interpolate(values[None], at, border=True)[0] if smooth else nearest(values, at)
    return found, _within(at, placement)


def _within(at: Coordinates, placement: Placement) -> Tensor:
    """Which points, in voxels of a placement's grid, lie inside the crop, (X, Y, Z) bool."""
    inside = [
        (c >= -0.5 - _PASTE_TIE) & (c <= n - 0.5 + _PASTE_TIE)
        for c, n in zip((at.first, at.second, at.third), placement.shape, strict=True)
    ]
    return (inside[0] & inside[1])[:, :, None] & inside[2]


def _of(box: Box) -> tuple[slice, ...]:
    """The slices of an array that are a box."""
    return tuple(slice(a, b) for a, b in zip(*box, strict=True))


def _margins(extents: list[int], rotation: float, widest: int) -> Triple:
    """Voxels to add to each side of the label: the widest crop's, and what its rotated corners sweep over."""
    sweep = [math.ceil(_reach(extents[a], extents[1 - a], rotation) - extents[a] / 2) for a in (0, 1)]
    return widest + sweep[0], widest + sweep[1], widest


def _reach(along: int, across: int, rotation: float) -> float:
    """The distance from its centre that a box reaches along one axis when it is rotated by up to `rotation` degrees."""
    angle = min(math.radians(rotation), math.atan2(across, along))
    return (along * math.cos(angle) + across * math.sin(angle)) / 2


def _slices(
    low: Triple, high: Triple, margin: tuple[int, ...], shape: tuple[int, ...]
) -> tuple[tuple[slice, ...], Triple]:
    start = [max(a - m, 0) for a, m in zip(low, margin, strict=True)]
    stop = [min(b + m, n) for b, m, n in zip(high, margin, shape, strict=True)]
    return tuple(slice(a, b) for a, b in zip(start, stop, strict=True)), _triple(start)


def _intensity_statistics(scan: Scan, crop: tuple[slice, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    image = scan.image[(slice(None), *crop)].reshape(scan.image.shape[0], -1).astype(np.float32, copy=False)
    for channel, values in enumerate(image):
        if values.min() == values.max():
            raise DataError(
                f"{scan.name}: expected an image that varies around its label, "
                f"found channel {channel} constant at {values[0]:g} there"
            )
    found = np.array([mean_and_std(values) for values in image])
    return found[:, 0], found[:, 1]


def _check_shape(name: str, values: Tensor, placement: Placement) -> None:
    if tuple(values.shape) != placement.shape:
        raise ValueError(f"{name}: expected the placement's shape {placement.shape}, got {tuple(values.shape)}")


def _triple(values: tuple[int, ...] | list[int]) -> Triple:
    a, b, c = (int(v) for v in values)
    return a, b, c
