"""The inner loops of the env step in plain torch, for any device; `loops.Loops` says what each of them does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mecca_env.kernels.voxels import draw, exists, flatten, inside, marked, mask_surface, to_voxels, values_at
from mecca_env.state import State, Turn
from mecca_env.tensors.exact import SCALE

if TYPE_CHECKING:
    from mecca_env.kernels.interface import Columns


LOWEST = -(2**62)
"""Integers below this count as this, so that differences fit 64 bits."""


def within(values: Tensor, least: int, most: int) -> tuple[Tensor, Tensor]:
    """See `Loops.within`."""
    low, high = (limit.to(torch.int64).clamp_min(LOWEST) for limit in values.aminmax())
    beyond = torch.stack((least - low, high - most)).clamp_min_(0)
    return values.clamp(least, most).to(torch.uint8), beyond


def look_up(cell: Tensor, action: Tensor, tables: Columns, worth: Tensor, into: Columns) -> Tensor:
    """See `Loops.look_up`."""
    case = cell + action.to(cell.dtype)
    index = case.view(-1).to(torch.int64)  # which is looked up more quickly than int32, and counted more slowly
    for table, target in zip(tables, into, strict=True):
        torch.index_select(table, 0, index, out=target.view(-1))
    return measures(_counts(case.to(torch.int32), worth.shape[1]), worth)


def measures(counts: Tensor, worth: Tensor) -> Tensor:
    """What `look_up` returns, (4, B) float32, of how often each row of its tables was looked up, (B, K) integers."""
    sums = worth @ counts.to(torch.float64).T
    wrong, wrong_literally, overlap, total, voxels = sums[1:].to(torch.float32)
    reward = (sums[0] / (SCALE * sums[5])).to(torch.float32)
    dice = torch.where(total > 0, overlap / total.clamp_min(1.0), 1.0)
    return torch.stack((reward, wrong / voxels, wrong_literally / voxels, dice))


def _counts(rows: Tensor, size: int) -> Tensor:
    """How often each number below `size` occurs in each row, (B, N) int32 -> (B, size) int64."""
    if rows.device.type == "cpu":
        return torch.stack([torch.bincount(row, minlength=size) for row in rows])
    counts = torch.zeros((len(rows), size), dtype=torch.int64, device=rows.device)
    return counts.scatter_add_(1, rows.to(torch.int64), torch.ones_like(rows, dtype=torch.int64))


def turn(step: Tensor, dice: Tensor, keys: Tensor, budgets: Tensor, target: float) -> Turn:
    """See `Loops.turn`."""
    after, horizon = step + 1, len(budgets) - 1
    over = (after >= horizon) | (dice >= target)
    at = after.clamp_max(horizon)  # an episode that is over may be stepped further
    budget = budgets.index_select(0, at).masked_fill_(over, 0)
    return Turn(after, over, budget, keys.gather(1, at[:, None]).squeeze(1))


def draw_edges(state: State, allowed: Tensor | None, budget: Tensor, most: int, key: Tensor) -> Tensor:
    """See `Loops.draw_edges`."""
    eligible = eligible_edges(state)
    if allowed is not None:
        eligible &= values_at(allowed, state.surface)
    return to_voxels(draw(state.surface, eligible, budget, most, key), state.shape)


def eligible_edges(state: State) -> Tensor:
    """(B, S) bool: which of `state.surface` are wrongly predicted edges that nobody has clicked."""
    predicted = values_at(mask_surface(state.probability > 0.5), state.surface)
    clicked = values_at(marked(state.clicks, state.shape), state.surface)
    return exists(state.surface) & ~predicted & ~clicked


def append(clicks: Tensor, n_clicks: Tensor, made: Tensor) -> tuple[Tensor, Tensor]:
    """See `Loops.append`."""
    room = clicks.shape[1]  # one more row takes the rows of -1
    valid = exists(made[..., 0])
    position = torch.where(valid, n_clicks[:, None] + valid.cumsum(1) - 1, room)
    longer = torch.nn.functional.pad(clicks, (0, 0, 0, 1), value=-1)
    longer = longer.scatter(1, position[..., None].expand(-1, -1, 3), made)
    return longer[:, :room].contiguous(), n_clicks + valid.sum(1)


def paste(hint: Tensor, clicks: Tensor, patch: Tensor, into: Tensor) -> None:
    """See `Loops.paste`."""
    into.copy_(hint)
    (_paste_one_by_one if hint.device.type == "cpu" else _paste_together)(into, clicks, patch)


def _paste_one_by_one(hint: Tensor, clicks: Tensor, patch: Tensor) -> None:
    radius, cube, into, places = len(patch) // 2, patch.numpy(), hint.numpy(), clicks.numpy()
    row, click = (places[..., 0] >= 0).nonzero()
    centres = places[row, click]
    low = np.maximum(centres - radius, 0)
    high = np.minimum(centres + radius + 1, hint.shape[1:])
    cut = radius - centres
    spans = (row, low, high, low + cut, high + cut)
    for i, begin, end, first, last in zip(*(span.tolist() for span in spans), strict=True):
        window = into[i][tuple(map(slice, begin, end))]
        np.maximum(window, cube[tuple(map(slice, first, last))], out=window)


def _paste_together(hint: Tensor, clicks: Tensor, patch: Tensor) -> None:
    """The same patches in one scatter; a maximum does not depend on the order it is taken in."""
    batch, shape, radius = len(hint), (hint.shape[1], hint.shape[2], hint.shape[3]), len(patch) // 2
    steps = torch.arange(-radius, radius + 1, device=hint.device)
    voxels = clicks[:, :, None, :] + torch.cartesian_prod(steps, steps, steps)  # (B, K, P * P * P, 3)
    there = inside(voxels, shape) & exists(clicks[:, :, None, 0])
    flat = torch.where(there, flatten(voxels, shape), 0).reshape(batch, -1)
    values = torch.where(there, patch.reshape(1, 1, -1), 0.0).reshape(batch, -1)
    hint.view(batch, -1).scatter_reduce_(1, flat, values, "amax")
