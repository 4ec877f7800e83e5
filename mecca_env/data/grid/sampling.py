"""Cases onto the grids of episodes: crop, resize, flip and rotation in one resampling, deterministic, any device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mecca_env.data.base import DataError, PreparedCase
from mecca_env.data.grid.placement import Placement
from mecca_env.kernels.dispatch import loops
from mecca_env.kernels.interface import Cut
from mecca_env.kernels.interpolation import Coordinates
from mecca_env.tensors.transfer import to_device

LABEL_TIE = 1e-6
"""An interpolated label must exceed one half by this: exact ties are background whatever the order of a sum."""


def resample_case(
    case: PreparedCase, placement: Placement, intensity_clip: float, device: torch.device | str | None = None
) -> tuple[Tensor, Tensor]:
    """Resample a case onto an episode's grid, in one step from the scan's own voxels.

    Args:
        case: The case.
        placement: Where the grid lies; its crop must lie inside the case's cut.
        intensity_clip: z-scored intensities are clipped to plus and minus this.
        device: Where to compute and to leave the result; None: where the case is. The result is the same everywhere.

    Returns:
        Volume (M, D, H, W) float32 and label (D, H, W) bool, never empty: of a label that is too small for the grid the
        nearest voxels are kept.

    Raises:
        DataError: No voxel of the label lies inside the crop; only a rotated crop can miss it.
        ValueError: The crop reaches outside the cut.
    """
    there = case.image.device if device is None else torch.device(device)
    volume, label, missed = resample_cases([case], [placement], intensity_clip, there)
    if missed:
        raise DataError(
            f"{case.name}: expected part of the label inside the crop {placement.low} to {placement.high}, "
            f"found none of its {int(case.label.sum())} voxels there"
        )
    return volume[0], label[0]


def resample_cases(
    cases: Sequence[PreparedCase], placements: Sequence[Placement], intensity_clip: float, device: torch.device
) -> tuple[Tensor, Tensor, list[int]]:
    """`resample_case` for B cases with as many placements of the same shape; a GPU is waited for once.

    Returns:
        Volumes (B, M, D, H, W) float32, labels (B, D, H, W) bool, and the rows whose crops miss their label.

    Raises:
        ValueError: A crop reaches outside its cut, or a case's arrays do not fit together.
    """
    for case, placement in zip(cases, placements, strict=True):
        _check(case, placement, channels=len(cases[0].image))
    shape = placements[0].shape
    volume = torch.empty((len(cases), len(cases[0].image), *shape), dtype=torch.float32, device=device)
    label = torch.empty((len(cases), *shape), dtype=torch.bool, device=device)
    cuts = [_cut(case, placement, device) for case, placement in zip(cases, placements, strict=True)]
    loops(device).resample(cuts, intensity_clip, 0.5 + LABEL_TIE, volume, label)
    missed = []
    for row, found in enumerate(label.flatten(1).any(dim=1).tolist()):
        if found:
            continue
        nearest = _nearest_to_foreground(cases[row], placements[row])
        if not nearest.any():
            missed.append(row)
        label[row] = to_device(nearest, device)
    return volume, label, missed


def _cut(case: PreparedCase, placement: Placement, device: torch.device) -> Cut:
    """The case, and the points of its cut that the placement's grid shows."""
    points = placement.in_scan(device).moved([-o for o in case.origin])
    return Cut(case.image, case.label, case.mean, case.std, points)


def _nearest_to_foreground(case: PreparedCase, placement: Placement) -> Tensor:
    """The grid voxels nearest to the label's, (D, H, W) bool: what is left of a label too small to resample."""
    where = case.label.cpu().nonzero().double() + torch.tensor(case.origin, dtype=torch.float64)
    at = placement.in_grid(Coordinates(where[:, 0, None], where[:, 1, None], where[:, 2]))
    voxels = torch.stack((at.first[:, 0], at.second[:, 0], at.third), dim=1).add_(0.5).floor_().long()
    inside = ((voxels >= 0) & (voxels < torch.tensor(placement.shape))).all(dim=1)
    label = torch.zeros(placement.shape, dtype=torch.bool)
    label[tuple(voxels[inside].T)] = True
    return label


def _check(case: PreparedCase, placement: Placement, channels: int) -> None:
    """Refuse what the loops rely on not to be."""
    expected = (channels, *case.label.shape)
    if tuple(case.image.shape) != expected or not len(case.mean) == len(case.std) == channels:
        raise ValueError(
            f"{case.name}: expected an image {expected} as its label and the other cases have, and as many means, "
            f"got {tuple(case.image.shape)} and {len(case.mean)}"
        )
    end = [o + n for o, n in zip(case.origin, case.label.shape, strict=True)]
    inside = all(a >= o for a, o in zip(placement.low, case.origin, strict=True))
    if not inside or not all(b <= e for b, e in zip(placement.high, end, strict=True)):
        raise ValueError(
            f"{case.name}: expected a crop inside the prepared cut {case.origin} to {tuple(end)}, "
            f"got {placement.low} to {placement.high}; prepare the case with a wider extension"
        )
