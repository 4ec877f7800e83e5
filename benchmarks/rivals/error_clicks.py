"""Clicks as SAM-Med3D (Wang et al., 2023) simulates them: a random voxel of the error region, one after another."""

from __future__ import annotations

import torch
from torch import Tensor


def error_clicks(label: Tensor, prediction: Tensor, clicks: int) -> list[tuple[Tensor, Tensor]]:
    """Random wrong voxels of each volume.

    Args:
        label: (B, D, H, W) bool.
        prediction: (B, D, H, W) bool.
        clicks: How many, each looked for anew, since the segmentation changes between two of them.

    Returns:
        For each click coordinates (B, 3) int64 and whether the label is foreground there, (B,) bool; where a volume has
        no error, any voxel.
    """
    made = []
    for _ in range(clicks):
        places = []
        for wrong in label != prediction:
            candidates = (wrong if wrong.any() else torch.ones_like(wrong)).nonzero()
            places.append(candidates[torch.randint(len(candidates), ())])
        voxels = torch.stack(places)
        rows = torch.arange(len(label))
        made.append((voxels, label[rows, voxels[:, 0], voxels[:, 1], voxels[:, 2]]))
    return made
