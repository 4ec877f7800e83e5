"""Signs of clicks: 1 inside the target, -1 outside of it, 0 where there is no click."""

from __future__ import annotations

import torch
from torch import Tensor

from mecca_env.kernels.voxels import exists, flatten, values_at


def signs_of(clicks: Tensor, label: Tensor, given: Tensor | None = None) -> Tensor:
    """The signs of clicks.

    Args:
        clicks: (B, K, 3) int64, rows of -1 are none.
        label: (B, D, H, W) bool.
        given: What the user means, (B, K) integers, 0 where that is what the label says; None: everywhere.

    Returns:
        (B, K) int8.
    """
    there = exists(clicks[..., 0])
    _, depth, height, width = label.shape
    flat = torch.where(there, flatten(clicks, (depth, height, width)), -1)
    signs = values_at(label, flat).to(torch.int8) * 2 - 1
    if given is not None:
        meant = given.to(torch.int8)
        signs = torch.where(meant == 0, signs, meant)
    return signs * there


def append_signs(signs: Tensor, n_clicks: Tensor, made: Tensor) -> Tensor:
    """Note more signs behind those of the clicks so far, as `Loops.append` notes clicks.

    Args:
        signs: (B, K) int8, 0 where there is no click.
        n_clicks: How many there are, (B,) int64.
        made: Of new clicks, (B, K') int8, 0 where there is none; they fit.

    Returns:
        (B, K) int8, a new tensor.
    """
    room = signs.shape[1]  # one more column takes the zeros
    valid = made != 0
    position = torch.where(valid, n_clicks[:, None] + valid.cumsum(1) - 1, room)
    longer = torch.nn.functional.pad(signs, (0, 1))
    return longer.scatter(1, position, made)[:, :room].contiguous()
