"""Cropping, flipping, turning and resizing a case as a researcher would with SciPy, torch or MONAI, to compare with.

Each does what `mecca_env.data.grid.sampling.place` does with the same placement: image z-scored and clipped, label
thresholded, linear interpolation of both. None promises the same bits on every device. MONAI interpolates twice, first
turning and then resizing.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from torch import Tensor

from mecca_env.data.base import PreparedCase
from mecca_env.data.grid.placement import Placement

Placed = tuple[Tensor, Tensor]
Place = Callable[[PreparedCase, Placement, float], Placed]


def with_scipy(case: PreparedCase, placement: Placement, clip: float) -> Placed:
    """`map_coordinates` at the grid's points, image and label one after the other."""
    at = _points(case, placement)
    image = np.stack([map_coordinates(channel.cpu().numpy(), at, order=1, mode="nearest") for channel in case.image])
    label = map_coordinates(case.label.cpu().numpy().astype(np.float32), at, order=1)
    return _scored(case, torch.from_numpy(image), clip), torch.from_numpy(label > 0.5)


def with_grid_sample(case: PreparedCase, placement: Placement, clip: float) -> Placed:
    """`torch.nn.functional.grid_sample` at the grid's points, image and label one after the other."""
    device = case.image.device
    at = placement.in_scan(device).moved([-o for o in case.origin])
    depth = len(at.third)
    sides = torch.tensor(case.label.shape, device=device)
    points = torch.stack(
        (
            at.third.expand(*at.first.shape, depth),
            at.second[..., None].expand(-1, -1, depth),
            at.first[..., None].expand(-1, -1, depth),
        ),
        dim=-1,
    )
    unit = ((2 * points + 1) / sides.flip(0) - 1).float()[None]  # in [-1, 1] between the outer corners
    sample = torch.nn.functional.grid_sample
    image = sample(case.image.float()[None], unit, padding_mode="border", align_corners=False)[0]
    label = sample(case.label.float()[None, None], unit, padding_mode="zeros", align_corners=False)[0, 0]
    return _scored(case, image, clip), label > 0.5


def with_monai(case: PreparedCase, placement: Placement, clip: float) -> Placed:
    """`SpatialCrop`, `Flip`, `Rotate` and `Resize`, image and label one after the other."""
    from monai.transforms import Flip, Resize, Rotate, SpatialCrop

    low, high = (
        [a - o for a, o in zip(corner, case.origin, strict=True)] for corner in (placement.low, placement.high)
    )
    steps = [SpatialCrop(roi_start=low, roi_end=high)]
    axes = [axis for axis, flipped in enumerate(placement.flip) if flipped]
    if axes:
        steps.append(Flip(axes))
    turned = (0.0, 0.0, -placement.angle)
    image, label = case.image.float(), case.label.float()[None]
    for step in steps:
        image, label = step(image), step(label)
    image = Rotate(turned, mode="bilinear", padding_mode="border")(image)
    label = Rotate(turned, mode="bilinear", padding_mode="zeros")(label)
    resize = Resize(placement.shape, mode="trilinear")
    return _scored(case, resize(image).as_tensor(), clip), resize(label).as_tensor()[0] > 0.5


CONTENDERS: dict[str, Place] = {"SciPy": with_scipy, "grid_sample": with_grid_sample, "MONAI": with_monai}
"""By the name in the table."""


def agreement(one: Tensor, other: Tensor) -> float:
    """Dice of two labels, (D, H, W) bool."""
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def _points(case: PreparedCase, placement: Placement) -> NDArray[np.float64]:
    """Positions of the grid's voxels in the cut, (3, D, H, W)."""
    shape, angle = placement.shape, placement.angle
    axes = []
    for axis, size in enumerate(shape):
        extent = placement.high[axis] - placement.low[axis]
        steps = (np.arange(size) - (size - 1) / 2) * (extent / size)
        axes.append(-steps if placement.flip[axis] else steps)
    first, second, third = np.meshgrid(*axes, indexing="ij")
    cos, sin = math.cos(angle), math.sin(angle)
    centre = [(a + b - 1) / 2 - o for a, b, o in zip(placement.low, placement.high, case.origin, strict=True)]
    return np.stack((cos * first - sin * second + centre[0], sin * first + cos * second + centre[1], third + centre[2]))


def _scored(case: PreparedCase, image: Tensor, clip: float) -> Tensor:
    mean, std = (
        torch.from_numpy(v).to(image.device, torch.float32)[:, None, None, None] for v in (case.mean, case.std)
    )
    return ((image - mean) / std).clamp(-clip, clip)
