"""The inner loops in plain torch for a CPU: those of `torch_step`, but for two that are quicker row by row there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mecca_env.kernels.torch_step import advance as advance
from mecca_env.kernels.torch_step import append as append
from mecca_env.kernels.torch_step import draw_edges as draw_edges
from mecca_env.kernels.torch_step import face_neighbours as face_neighbours
from mecca_env.kernels.torch_step import label_surface as label_surface
from mecca_env.kernels.torch_step import measures, read_tables
from mecca_env.kernels.torch_step import resample as resample
from mecca_env.kernels.torch_step import within as within

if TYPE_CHECKING:
    from mecca_env.kernels.interface import Columns


def look_up(situation: Tensor, action: Tensor, tables: Columns, worth: Tensor, into: Columns) -> Tensor:
    """See `Loops.look_up`."""
    entry = read_tables(situation, action, tables, into).to(torch.int32)  # which is counted more quickly than int64
    return measures(torch.stack([torch.bincount(row, minlength=worth.shape[1]) for row in entry]), worth)


def paste(hint: Tensor, clicks: Tensor, patch: Tensor, into: Tensor) -> None:
    """See `Loops.paste`."""
    into.copy_(hint)
    radius, cube, merged, voxels = len(patch) // 2, patch.numpy(), into.numpy(), clicks.numpy()
    row, click = (voxels[..., 0] >= 0).nonzero()
    centres = voxels[row, click]
    low = np.maximum(centres - radius, 0)
    high = np.minimum(centres + radius + 1, hint.shape[1:])
    cut = radius - centres
    spans = (row, low, high, low + cut, high + cut)
    for i, begin, end, first, last in zip(*(span.tolist() for span in spans), strict=True):
        window = merged[i][tuple(map(slice, begin, end))]
        np.maximum(window, cube[tuple(map(slice, first, last))], out=window)
