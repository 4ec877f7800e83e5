"""Measures of a segmentation: overlap, surface distances, and interactive misunderstanding (Definition 1)."""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Mask = Tensor | NDArray[np.bool_]

_BYTE = 255


class SurfaceMetrics(NamedTuple):
    """Distances between two surfaces.

    Attributes:
        assd: Average symmetric surface distance, in the unit of the spacing (Sec. 4.2).
        hd95: 95th-percentile Hausdorff distance, in the unit of the spacing.
        nsd: Normalised surface Dice at the tolerance, in [0, 1].
    """

    assd: float
    hd95: float
    nsd: float


def dice(prediction: Tensor, label: Tensor) -> Tensor:
    """Dice score of each case, 2 |P and L| / (|P| + |L|) (Sec. 4.2), from exact integer counts.

    Two empty masks agree and score 1; one empty mask scores 0. Nothing is copied to the host, and a case's score does
    not depend on the batch it is in.

    Args:
        prediction: (B, D, H, W) bool.
        label: (B, D, H, W) bool, on the same device.

    Returns:
        (B,) float32.

    Raises:
        ValueError: The masks are not of one (B, D, H, W) shape.
        TypeError: A mask is not bool.
    """
    _check_batch(prediction=prediction, label=label)
    _check_bool(prediction=prediction, label=label)
    total = _count(prediction) + _count(label)
    overlap = (2 * _count(prediction & label)).to(torch.float32) / total.clamp(min=1)
    return torch.where(total > 0, overlap, 1.0)


def misunderstanding(before: Tensor, after: Tensor, label: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Interactive misunderstanding (Definition 1): the share of voxels whose probability went away from their label.

    Down is the wrong way for foreground, up for background. A voxel that did not change went neither way. The rounding
    of float32 does not count: with a threshold of 0.1, a step from 0.5 to 0.6 stays within it.

    Args:
        before: Probability before the step, (B, D, H, W) float32 in [0, 1].
        after: Probability after it, likewise.
        label: Foreground, (B, D, H, W) bool.
        threshold: How far a voxel must have moved to count in the first share.

    Returns:
        The share that moved the wrong way by more than `threshold`, (B,) float32, and the share that moved the wrong
        way at all, (B,) float32.

    Raises:
        ValueError: The arguments are not of one (B, D, H, W) shape.
        TypeError: The label is not bool.
    """
    _check_batch(before=before, after=after, label=label)
    _check_bool(label=label)
    # 1 - 2 y turns "away from the label" into "up" for both classes.
    away = (after - before).mul_(label.view(torch.uint8).to(torch.float32).mul_(-2.0).add_(1.0))
    # Two probabilities rounded to float32, their difference and the threshold are together off by at most this.
    slack = torch.finfo(torch.float32).eps
    voxels = math.prod(label.shape[1:])
    return _count_above(away, threshold + slack) / voxels, _count_above(away, slack) / voxels


def surface_metrics(
    prediction: Mask,
    label: Mask,
    *,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    tolerance: float = 1.0,
) -> SurfaceMetrics:
    """Surface distances of one case, with MONAI's surfaces and distances.

    A surface voxel has a face neighbour outside the mask, and outside the grid counts as outside. ASSD is the formula
    of Sec. 4.2: the distances of both surfaces to the other one, summed, over the number of voxels of both. HD95 is
    MONAI's: the larger of the two directed 95th percentiles, interpolated linearly (medpy pools both directions before
    it takes the percentile and gives other numbers). NSD is the share of the surface voxels of both that lie within
    `tolerance` of the other surface; voxels are counted, not weighted by the area of surface that they stand for.

    Two empty masks agree: 0, 0 and 1. If one of them is empty there is no distance to measure; ASSD and HD95 are then
    the diagonal of the grid and NSD is 0, so that means over cases stay defined and a missed object costs the most
    (the BraTS challenge ranks in the same way).

    Args:
        prediction: (D, H, W) bool, tensor or array.
        label: (D, H, W) bool, tensor or array.
        spacing: Size of a voxel along the three axes, in millimetres or any other unit.
        tolerance: Distance that NSD forgives, in the unit of `spacing`.

    Returns:
        ASSD and HD95 in the unit of `spacing`, and NSD.

    Raises:
        ValueError: The masks are not of one (D, H, W) shape, a spacing is not above 0, or the tolerance is below 0.
        TypeError: A mask is not bool.
    """
    predicted, labelled = torch.as_tensor(prediction).cpu(), torch.as_tensor(label).cpu()
    _check_bool(prediction=predicted, label=labelled)
    if predicted.ndim != 3 or predicted.shape != labelled.shape:
        raise ValueError(
            f"prediction, label: expected one shape (D, H, W), got {tuple(predicted.shape)} and {tuple(labelled.shape)}"
        )
    if len(spacing) != 3 or not all(math.isfinite(s) and s > 0 for s in spacing):
        raise ValueError(f"spacing: expected three finite numbers above 0, got {spacing!r}")
    if not tolerance >= 0:
        raise ValueError(f"tolerance: expected a number of at least 0, got {tolerance!r}")
    found, wanted = bool(predicted.any()), bool(labelled.any())
    if not found and not wanted:
        return SurfaceMetrics(assd=0.0, hd95=0.0, nsd=1.0)
    if not found or not wanted:
        diagonal = math.hypot(*(n * s for n, s in zip(labelled.shape, spacing, strict=True)))
        return SurfaceMetrics(assd=diagonal, hd95=diagonal, nsd=0.0)
    there, back = _surface_distances(predicted, labelled, spacing)
    # In float32 the rank of a percentile is off by enough to blend in the next distance, which may be a voxel away.
    there, back = there.double(), back.double()
    both = torch.cat([there, back])
    return SurfaceMetrics(
        assd=both.mean().item(),
        hd95=max(torch.quantile(directed, 0.95).item() for directed in (there, back)),
        nsd=(both <= tolerance).double().mean().item(),
    )


def _surface_distances(prediction: Tensor, label: Tensor, spacing: tuple[float, float, float]) -> tuple[Tensor, Tensor]:
    """Distance of every surface voxel of each mask to the other surface, (P,) and (L,) float32; neither is empty."""
    # Late, because importing MONAI takes seconds and most programs never ask for a surface.
    from monai.metrics.utils import get_edge_surface_distance

    with warnings.catch_warnings():
        # MONAI 1.6 warns of a deprecated argument that it passes itself.
        warnings.simplefilter("ignore")
        _, (there, back), _ = get_edge_surface_distance(prediction, label, spacing=spacing, symmetric=True)
    return there, back


def _count(mask: Tensor) -> Tensor:
    """Set voxels of each case, (B, D, H, W) bool -> (B,) int32."""
    if mask.shape[1] <= _BYTE:
        # Bytes cannot overflow along one short axis, and adding them up first is twice as fast as widening each.
        mask = mask.view(torch.uint8).sum(1, dtype=torch.uint8)
    return mask.flatten(1).sum(1, dtype=torch.int32)


def _count_above(values: Tensor, threshold: float) -> Tensor:
    """Values in [-1, 1] above a threshold in (0, 1), (B, D, H, W) float32 -> (B,) float32, exact below 2^24.

    In arithmetic alone, since a comparison that makes a bool takes as long as all of it.
    """
    return (values - threshold).ceil_().clamp_(0.0, 1.0).flatten(1).sum(1)


def _check_batch(**tensors: Tensor) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if len(set(shapes.values())) != 1 or len(next(iter(shapes.values()))) != 4:
        given = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"{', '.join(shapes)}: expected one shape (B, D, H, W), got {given}")


def _check_bool(**masks: Tensor) -> None:
    for name, mask in masks.items():
        if mask.dtype != torch.bool:
            raise TypeError(f"{name}: expected a bool mask, got {mask.dtype}")
