"""Cases onto the grids of episodes: crop, resize, flip and rotation in one resampling, deterministic, any device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.data.base import DataError, PreparedCase
from mecca_env.data.grid.interpolation import Coordinates, interpolate
from mecca_env.data.grid.placement import Placement
from mecca_env.kernels.backend import is_compiled, over_rows
from mecca_env.tensors.transfer import to_device

LABEL_TIE = 1e-6
"""An interpolated label must exceed one half by this: exact ties are background whatever the order of a sum."""

_COMPILED_FOR = (torch.uint8, torch.int16, torch.float32)  # what `smallest_type` gives; others are widened


def place(
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
        DataError: No voxel of the label lies inside the crop; only a turned crop can miss it.
        ValueError: The crop reaches outside the cut.
    """
    there = case.image.device if device is None else torch.device(device)
    volume, label, missed = place_all([case], [placement], intensity_clip, there)
    if missed:
        raise DataError(
            f"{case.name}: expected part of the label inside the crop {placement.low} to {placement.high}, "
            f"found none of its {int(case.label.sum())} voxels there"
        )
    return volume[0], label[0]


def place_all(
    cases: Sequence[PreparedCase], placements: Sequence[Placement], intensity_clip: float, device: torch.device
) -> tuple[Tensor, Tensor, list[int]]:
    """`place` for B cases with as many placements of the same shape; a GPU is waited for once.

    Returns:
        Volumes (B, M, D, H, W) float32, labels (B, D, H, W) bool, and the rows whose crops miss their label.

    Raises:
        ValueError: A crop reaches outside its cut, or a case's arrays do not fit together.
    """
    for case, placement in zip(cases, placements, strict=True):
        _check(case, placement, channels=len(cases[0].image))
    shape = placements[0].shape
    volume = torch.empty((len(cases), len(cases[0].image), *shape), device=device)
    label = torch.empty((len(cases), *shape), dtype=torch.bool, device=device)
    resample = _resample_on_host if device.type == "cpu" and is_compiled(device) else _resample
    resample(cases, placements, intensity_clip, volume, label)
    missed = []
    for row, found in enumerate(label.flatten(1).any(dim=1).tolist()):
        if found:
            continue
        nearest = _nearest_to_foreground(cases[row], placements[row])
        if not nearest.any():
            missed.append(row)
        label[row] = to_device(nearest, device)
    return volume, label, missed


def _resample(
    cases: Sequence[PreparedCase],
    placements: Sequence[Placement],
    intensity_clip: float,
    volume: Tensor,
    label: Tensor,
) -> None:
    device = volume.device
    for row, (case, placement) in enumerate(zip(cases, placements, strict=True)):
        points = _points(case, placement, device)
        mean, std = (to_device(torch.from_numpy(v), device)[:, None, None, None] for v in (case.mean, case.std))
        intensity = interpolate(to_device(case.image, device), points, border=True)
        volume[row] = intensity.sub_(mean).div_(std).clamp_(-intensity_clip, intensity_clip)
        label[row] = interpolate(to_device(case.label, device)[None], points, border=False)[0] > 0.5 + LABEL_TIE


def _resample_on_host(
    cases: Sequence[PreparedCase],
    placements: Sequence[Placement],
    intensity_clip: float,
    volume: Tensor,
    label: Tensor,
) -> None:
    """The same bits as `_resample`, in one compiled pass."""
    from mecca_env.kernels.numba_resampling import resample  # late, since loading Numba takes a second

    def some(rows: NDArray[np.int64], volumes: NDArray[np.float32], masks: NDArray[np.bool_]) -> None:
        for row, out, mask in zip(rows, volumes, masks, strict=True):
            case = cases[row]
            points = _points(case, placements[row], volume.device)
            image = case.image if case.image.dtype in _COMPILED_FOR else case.image.double()
            resample(
                image.cpu().contiguous().numpy(),
                case.label.cpu().contiguous().view(torch.uint8).numpy(),
                points.first.contiguous().numpy(),
                points.second.contiguous().numpy(),
                points.third.contiguous().numpy(),
                case.mean,
                case.std,
                intensity_clip,
                0.5 + LABEL_TIE,
                out,
                mask,
            )

    over_rows(some, torch.arange(len(cases)), volume, label)


def _points(case: PreparedCase, placement: Placement, device: torch.device) -> Coordinates:
    """Where the grid's voxels lie, in voxel indices of the cut."""
    return placement.in_scan(device).moved([-o for o in case.origin])


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
    """What the loops rely on."""
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
