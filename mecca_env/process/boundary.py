"""Weights of voxels by their distance from the label's surface, for a reward that cares most about the boundary.

Inferred: MECCA (Shen et al., 2023) has no such reward, and BS-IRIS (Ma et al., IEEE TMI 2021), which it is compared
with, is named there without a formula. What is kept of it is that a gain weighs more near the label's boundary.
"""

from __future__ import annotations

from math import ceil

import numpy as np
import torch
from torch import Tensor

from mecca_env.kernels.voxels import exists
from mecca_env.tensors.transfer import to_device

REACH = 3.0
"""Farther from the surface than so many sigma, where the Gaussian is at 1 %, a voxel weighs 1."""


def boundary_weights(surface: Tensor, shape: tuple[int, int, int], weight: float, sigma: float) -> Tensor:
    """1 + weight * exp(-d^2 / (2 sigma^2)), d the Euclidean distance to the nearest surface voxel.

    Squared distances are integers, so the map is a table look-up and has the same bits on every device.

    Args:
        surface: Flat indices of each label's surface voxels, (B, S) int64, -1 for none (`Loops.label_surface`).
        shape: The grid, (D, H, W).
        weight: Extra weight on the surface itself.
        sigma: Voxels.

    Returns:
        (B, D, H, W) float32; 1 where d is above `REACH` * sigma, and everywhere for an empty label.
    """
    reach = REACH * sigma
    farthest = int(min(reach * reach, sum((n - 1) ** 2 for n in shape)))
    squared = _squared_distance(surface, shape, farthest)
    values = 1.0 + weight * np.exp(-0.5 * (np.sqrt(np.arange(farthest + 1)) / sigma) ** 2)
    table = to_device(torch.from_numpy(np.append(values, 1.0).astype(np.float32)), surface.device)
    return table.index_select(0, squared.view(-1).to(torch.int32)).view(squared.shape)


def _squared_distance(surface: Tensor, shape: tuple[int, int, int], farthest: int) -> Tensor:
    """To the nearest surface voxel, exact up to `farthest` and `farthest` + 1 beyond it: (B, D, H, W) integers.

    One axis after the other: the least of what the voxels at offset k along it have, plus k^2.
    """
    beyond = farthest + 1
    steps = ceil(beyond**0.5)  # an offset of so many adds `beyond` already
    voxels = shape[0] * shape[1] * shape[2]
    narrow = beyond + steps**2 <= torch.iinfo(torch.int16).max  # two bytes take half the time of four
    spread = torch.full(
        (len(surface), voxels + 1), beyond, dtype=torch.int16 if narrow else torch.int32, device=surface.device
    )
    spread.scatter_(1, torch.where(exists(surface), surface, voxels), 0)  # the last column takes the -1
    squared = spread[:, :voxels].reshape(len(surface), *shape)
    for axis, side in enumerate(shape, start=1):
        nearest = squared.clone()
        for k in range(1, min(steps, side)):
            farther = squared + k * k
            for here, there in ((k, 0), (0, k)):
                part = nearest.narrow(axis, here, side - k)
                torch.minimum(part, farther.narrow(axis, there, side - k), out=part)
        squared = nearest
    return squared
