"""Measures of a segmentation: overlap, surface distances, interactive misunderstanding (Definition 1), obedience."""

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
    predicted, labelled = _on_one_grid(prediction, label, spacing, tolerance)
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


def surface_dice(prediction: Mask, label: Mask, *, spacing: tuple[float, float, float], tolerance: float) -> float:
    """Normalised surface Dice of one case by the area of the surfaces, as challenges measure it.

    The share of both surfaces that lies within `tolerance` of the other one. Surfaces are those of DeepMind's
    surface-distance: they run between the centres of eight voxels, each piece with its area in the unit of `spacing`.
    `surface_metrics` counts voxels, which is another number. MONAI's `compute_surface_dice` with `use_subvoxels=True`
    is what computes it. Beyond the grid nothing is foreground.

    Two empty masks agree, 1; one empty mask scores 0.

    Args:
        prediction: (D, H, W) bool, tensor or array.
        label: (D, H, W) bool, tensor or array.
        spacing: Size of a voxel along the three axes, in their order; in millimetres on a scan's own grid.
        tolerance: Distance that is forgiven, in the unit of `spacing`.

    Returns:
        Between 0 and 1.

    Raises:
        ValueError: The masks are not of one (D, H, W) shape, a spacing is not above 0, or the tolerance is below 0.
        TypeError: A mask is not bool.
    """
    predicted, labelled = _on_one_grid(prediction, label, spacing, tolerance)
    either = predicted | labelled
    if not either.any():
        return 1.0
    if not predicted.any() or not labelled.any():
        return 0.0
    # Late, as below. MONAI looks at the box of both masks alone, but not before it has made floats of the whole scan.
    from monai.metrics import compute_surface_dice

    box = _box(either)
    masks = [mask[box][None, None] for mask in (predicted, labelled)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as below
        found = compute_surface_dice(
            *masks, [tolerance], include_background=True, spacing=[float(s) for s in spacing], use_subvoxels=True
        )
    return float(found.item())


def obeyed(prediction: Mask, clicks: Tensor | NDArray[np.integer], signs: Tensor | NDArray[np.integer]) -> Tensor:
    """Whether the voxel of each click is on the side that the click says.

    Of the clicks of one step and the prediction after it, or of all clicks of an episode and the last prediction.

    Args:
        prediction: (D, H, W) bool, tensor or array.
        clicks: Voxels, (K, 3) integers; rows of -1 are none.
        signs: (K,), 1 for foreground and -1 for background; where there is no click, anything.

    Returns:
        (N,) bool on the host, for the clicks that there are.

    Raises:
        ValueError: A shape is another one, a click lies outside of the grid, or a sign is neither 1 nor -1.
        TypeError: The prediction is not bool.
    """
    mask, voxels, sides = (torch.as_tensor(given).cpu() for given in (prediction, clicks, signs))
    _check_bool(prediction=mask)
    if mask.ndim != 3 or voxels.ndim != 2 or voxels.shape[1] != 3 or sides.shape != voxels.shape[:1]:
        shapes = ", ".join(str(tuple(given.shape)) for given in (mask, voxels, sides))
        raise ValueError(f"prediction, clicks, signs: expected shapes (D, H, W), (K, 3) and (K,), got {shapes}")
    there = ~(voxels == -1).all(dim=1)
    voxels, sides = voxels[there].long(), sides[there]
    outside = ((voxels < 0) | (voxels >= torch.tensor(mask.shape))).any(dim=1)
    if outside.any():
        raise ValueError(f"clicks: expected voxels of a grid {tuple(mask.shape)}, got {voxels[outside][0].tolist()}")
    if not (sides.abs() == 1).all():
        raise ValueError(f"signs: expected 1 or -1, got {sides.tolist()}")
    return mask[tuple(voxels.T)] == (sides > 0)


def obedience(prediction: Mask, clicks: Tensor | NDArray[np.integer], signs: Tensor | NDArray[np.integer]) -> float:
    """The share of clicks that are `obeyed`, between 0 and 1; NaN where there is none. Raises as that does."""
    return obeyed(prediction, clicks, signs).double().mean().item()


def _on_one_grid(
    prediction: Mask, label: Mask, spacing: tuple[float, float, float], tolerance: float
) -> tuple[Tensor, Tensor]:
    """Two masks on the host, or an error about one of the arguments."""
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
    return predicted, labelled


def _box(mask: Tensor) -> tuple[slice, ...]:
    """The slices of the smallest box that holds a mask, (D, H, W), that is not empty."""
    spans = [mask.any(dim=a).any(dim=b).nonzero() for a, b in ((2, 1), (2, 0), (1, 0))]
    return tuple(slice(int(span[0]), int(span[-1]) + 1) for span in spans)


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
