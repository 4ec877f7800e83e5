"""The inner loops of a step and a reset in plain torch, for any device; `Loops` says what each of them does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mecca_env.kernels.interpolation import interpolate
from mecca_env.kernels.voxels import draw, exists, flatten, inside, marked, mask_surface, to_voxels, values_at
from mecca_env.state import Progress, State
from mecca_env.tensors.exact import SCALE
from mecca_env.tensors.transfer import to_device

if TYPE_CHECKING:
    from mecca_env.kernels.interface import Columns, Cut

LOWEST = -(2**62)
"""Integers below this count as this, so that differences fit 64 bits."""


def within(values: Tensor, least: int, most: int) -> tuple[Tensor, Tensor]:
    """See `Loops.within`."""
    low, high = (limit.to(torch.int64).clamp_min(LOWEST) for limit in values.aminmax())
    beyond = torch.stack((least - low, high - most)).clamp_min_(0)
    return values.clamp(least, most).to(torch.uint8), beyond


def look_up(situation: Tensor, action: Tensor, tables: Columns, worth: Tensor, into: Columns) -> Tensor:
    """See `Loops.look_up`."""
    entry = read_tables(situation, action, tables, into).to(torch.int64)
    counts = torch.zeros((len(entry), worth.shape[1]), dtype=torch.int64, device=entry.device)
    return measures(counts.scatter_add_(1, entry, torch.ones_like(entry)), worth)


def read_tables(situation: Tensor, action: Tensor, tables: Columns, into: Columns) -> Tensor:
    """Write what every voxel's entry of the tables holds (`Loops.look_up`), and return which entry that is, (B, N)."""
    entry = situation + action.to(situation.dtype)
    index = entry.view(-1).to(torch.int64)  # which is looked up more quickly than int32
    for table, target in zip(tables, into, strict=True):
        torch.index_select(table, 0, index, out=target.view(-1))
    return entry


def measures(counts: Tensor, worth: Tensor) -> Tensor:
    """The result of `look_up`, (4, B) float32, from how often each entry was looked up, (B, K) integers."""
    sums = worth @ counts.to(torch.float64).T
    wrong, wrong_literally, overlap, total, voxels = sums[1:].to(torch.float32)
    reward = (sums[0] / (SCALE * sums[5])).to(torch.float32)
    dice = torch.where(total > 0, overlap / total.clamp_min(1.0), 1.0)
    return torch.stack((reward, wrong / voxels, wrong_literally / voxels, dice))


def advance(step: Tensor, dice: Tensor, keys: Tensor, budgets: Tensor, target: float) -> Progress:
    """See `Loops.advance`."""
    after, horizon = step + 1, len(budgets) - 1
    over = (after >= horizon) | (dice >= target)
    at = after.clamp_max(horizon)  # an episode that is over may be stepped further
    budget = budgets.index_select(0, at).masked_fill_(over, 0)
    return Progress(after, over, budget, keys.gather(1, at[:, None]).squeeze(1))


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
    """See `Loops.paste`: all patches in one scatter; a maximum does not depend on the order it is taken in."""
    into.copy_(hint)
    batch, shape, radius = len(hint), (hint.shape[1], hint.shape[2], hint.shape[3]), len(patch) // 2
    steps = torch.arange(-radius, radius + 1, device=hint.device)
    voxels = clicks[:, :, None, :] + torch.cartesian_prod(steps, steps, steps)  # (B, K, P * P * P, 3)
    there = inside(voxels, shape) & exists(clicks[:, :, None, 0])
    flat = torch.where(there, flatten(voxels, shape), 0).reshape(batch, -1)
    values = torch.where(there, patch.reshape(1, 1, -1), 0.0).reshape(batch, -1)
    into.view(batch, -1).scatter_reduce_(1, flat, values, "amax")


def label_surface(label: Tensor) -> Tensor:
    """See `Loops.label_surface`."""
    row, flat = mask_surface(label).flatten(1).nonzero().T.contiguous()  # one wait for a GPU, whatever the batch
    first = torch.searchsorted(row, torch.arange(len(label) + 1, device=row.device))
    surface = torch.full((len(label), int(first.diff().max())), -1, device=row.device)
    surface[row, torch.arange(len(row), device=row.device) - first[row]] = flat
    return surface


def face_neighbours(index: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """See `Loops.face_neighbours`."""
    voxels = to_voxels(index, shape)  # (B, S, 3)
    steps = torch.tensor([[-1, 0, 0], [1, 0, 0], [0, -1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1]], device=index.device)
    beside = voxels[:, None] + steps[:, None]  # (B, 6, S, 3)
    there = inside(beside, shape) & exists(index)[:, None]
    return torch.where(there, flatten(beside, shape), -1)


def resample(cuts: Sequence[Cut], clip: float, threshold: float, volume: Tensor, label: Tensor) -> None:
    """See `Loops.resample`."""
    device = volume.device
    for row, cut in enumerate(cuts):
        mean, std = (to_device(torch.from_numpy(v), device)[:, None, None, None] for v in (cut.mean, cut.std))
        intensity = interpolate(to_device(cut.image, device), cut.points, border=True)
        volume[row] = intensity.sub_(mean).div_(std).clamp_(-clip, clip)
        label[row] = interpolate(to_device(cut.label, device)[None], cut.points, border=False)[0] > threshold
