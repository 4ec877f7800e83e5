"""The inner loops of a step as Triton kernels, for tensors on a GPU: one pass each, where torch takes several.

Only `mecca_env.kernels.dispatch` imports this; `Loops` says what each loop does. None of a step waits for the GPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from mecca_env.kernels.torch_step import LOWEST
from mecca_env.kernels.torch_step import face_neighbours as face_neighbours  # a reset has no kernels of its own
from mecca_env.kernels.torch_step import label_surface as label_surface
from mecca_env.kernels.torch_step import resample as resample
from mecca_env.state import Progress, State
from mecca_env.tensors.exact import SCALE

if TYPE_CHECKING:
    from mecca_env.kernels.interface import Columns

BLOCK = 1024
"""Voxels for each program of a kernel."""

COUNTED_TOGETHER = 1024
"""Tables of at most so many rows are counted block by block, larger ones voxel by voxel."""

_WORD = tl.constexpr(0xFFFFFFFF)
_FACTOR = tl.constexpr(0x45D9F3B)
_GOLDEN = tl.constexpr(0x9E3779B9)
_LAST = tl.constexpr(torch.iinfo(torch.int64).max)
_SCALE = tl.constexpr(SCALE)
_LOWEST = tl.constexpr(LOWEST)


def within(values: Tensor, least: int, most: int) -> tuple[Tensor, Tensor]:
    """See `Loops.within`."""
    kept = torch.empty(values.shape, dtype=torch.uint8, device=values.device)
    beyond = torch.zeros(2, dtype=torch.int64, device=values.device)
    grid = (triton.cdiv(values.numel(), BLOCK),)
    _launch(_within, grid, values.contiguous(), kept, beyond, values.numel(), least, most, BLOCK)
    return kept, beyond


def look_up(situation: Tensor, action: Tensor, tables: Columns, worth: Tensor, into: Columns) -> Tensor:
    """See `Loops.look_up`."""
    batch, voxels = situation.shape
    size = len(tables[0])
    bins = max(triton.next_power_of_2(size), 16)
    counts = torch.zeros((batch, bins), dtype=torch.int32, device=situation.device)
    grid = (triton.cdiv(voxels, BLOCK), batch)
    together = bins <= COUNTED_TOGETHER
    given = (situation.contiguous(), action.contiguous())
    _launch(_look_up, grid, *given, *into, counts, *tables, voxels, bins, together, BLOCK)
    measured = torch.empty((4, batch), dtype=torch.float32, device=situation.device)
    _launch(_measure, (batch,), counts, worth, measured, size, batch, bins)
    return measured


def advance(step: Tensor, dice: Tensor, keys: Tensor, budgets: Tensor, target: float) -> Progress:
    """See `Loops.advance`."""
    batch, given = len(step), (step.contiguous(), dice.contiguous(), keys.contiguous())
    after, budget, key = (torch.empty_like(given[0]) for _ in range(3))
    over = torch.empty(batch, dtype=torch.uint8, device=step.device)
    grid = (triton.cdiv(batch, BLOCK),)
    _launch(_advance, grid, *given, budgets, after, over, budget, key, target, batch, len(budgets) - 1, BLOCK)
    return Progress(after, over.view(torch.bool), budget, key)


def draw_edges(state: State, allowed: Tensor | None, budget: Tensor, most: int, key: Tensor) -> Tensor:
    """See `Loops.draw_edges`."""
    batch, points = state.surface.shape
    probability, surface = state.probability.reshape(batch, -1), state.surface.contiguous()
    keys = torch.empty_like(surface)
    drawn = torch.empty((batch, min(most, points), 3), dtype=torch.int64, device=keys.device)
    if drawn.numel():
        grid = (triton.cdiv(points, BLOCK), batch)
        advised = probability if allowed is None else allowed.reshape(batch, -1).view(torch.uint8)
        clicks, neighbours = state.clicks.contiguous(), state.neighbours.contiguous()
        given = (surface, neighbours, probability, advised, clicks, key.contiguous(), keys)
        sizes = (points, probability.shape[1], state.clicks.shape[1], *state.shape[1:])
        _launch(_edge_keys, grid, *given, *sizes, allowed is not None, BLOCK)
        _launch(_first, (batch,), keys, budget.contiguous(), drawn, points, drawn.shape[1], *state.shape[1:], BLOCK)
    return drawn


def append(clicks: Tensor, n_clicks: Tensor, made: Tensor) -> tuple[Tensor, Tensor]:
    """See `Loops.append`."""
    batch, room, further = *clicks.shape[:2], made.shape[1]
    clicks, n_clicks = clicks.contiguous(), n_clicks.contiguous()
    longer, count = torch.empty_like(clicks), torch.empty_like(n_clicks)
    blocks = (triton.next_power_of_2(max(room, 1)), triton.next_power_of_2(max(further, 1)))
    _launch(_append, (batch,), clicks, n_clicks, made.contiguous(), longer, count, room, further, *blocks)
    return longer, count


def paste(hint: Tensor, clicks: Tensor, patch: Tensor, into: Tensor) -> None:
    """See `Loops.paste`."""
    into.copy_(hint)
    batch, count = clicks.shape[:2]
    if count:
        grid = (triton.cdiv(patch.numel(), BLOCK), count, batch)
        # As integers, which the bits of numbers from 0 up are in the same order as.
        bits = (into.view(torch.int32), patch.view(torch.int32))
        _launch(_paste, grid, bits[0], clicks.contiguous(), bits[1], *hint.shape[1:], count, patch.shape[0], BLOCK)


def _launch(kernel: Any, grid: tuple[int, ...], *arguments: Any) -> None:
    """Run a kernel on the device of its first argument, whichever is the current one; tensors must be contiguous."""
    assert all(value.is_contiguous() for value in arguments if isinstance(value, Tensor)), kernel
    with torch.cuda.device_of(arguments[0]):  # type: ignore[no-untyped-call]
        kernel[grid](*arguments)


@triton.jit
def _within(
    values: tl.tensor,
    kept: tl.tensor,
    beyond: tl.tensor,
    count: tl.tensor,
    least: tl.tensor,
    most: tl.tensor,
    block: tl.constexpr,
) -> None:
    offset = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    there = offset < count
    value = tl.maximum(tl.load(values + offset, mask=there, other=0).to(tl.int64), _LOWEST)
    below = tl.max(tl.where(there, least - value, 0))
    above = tl.max(tl.where(there, value - most, 0))
    if below > 0:
        tl.atomic_max(beyond, below)
    if above > 0:
        tl.atomic_max(beyond + 1, above)
    tl.store(kept + offset, tl.minimum(tl.maximum(value, least), most).to(tl.uint8), mask=there)


@triton.jit
def _look_up(
    situation: tl.tensor,
    action: tl.tensor,
    probability: tl.tensor,
    gain: tl.tensor,
    after: tl.tensor,
    counts: tl.tensor,
    probabilities: tl.tensor,
    gains: tl.tensor,
    situations: tl.tensor,
    voxels: tl.tensor,
    bins: tl.constexpr,
    together: tl.constexpr,
    block: tl.constexpr,
) -> None:
    voxel = tl.program_id(0) * block + tl.arange(0, block)
    row = tl.program_id(1).to(tl.int64)
    there = voxel < voxels
    offset = row * voxels + voxel
    before = tl.load(situation + offset, mask=there, other=0).to(tl.int32)
    entry = before + tl.load(action + offset, mask=there, other=0).to(tl.int32)
    tl.store(probability + offset, tl.load(probabilities + entry, mask=there), mask=there)
    tl.store(gain + offset, tl.load(gains + entry, mask=there), mask=there)
    tl.store(after + offset, tl.load(situations + entry, mask=there), mask=there)
    if together:
        count = tl.histogram(entry, bins, mask=there)
        tl.atomic_add(counts + row * bins + tl.arange(0, bins), count, mask=count > 0)
    else:
        tl.atomic_add(counts + row * bins + entry, 1, mask=there)


@triton.jit
def _measure(
    counts: tl.tensor, worth: tl.tensor, measured: tl.tensor, size: tl.tensor, batch: tl.tensor, bins: tl.constexpr
) -> None:
    """`torch_step.measures` of one row."""
    row = tl.program_id(0)
    entry = tl.arange(0, bins)
    count = tl.load(counts + row.to(tl.int64) * bins + entry).to(tl.float64)
    there = entry < size
    earned = tl.sum(tl.load(worth + entry, mask=there, other=0.0) * count)
    wrong = tl.sum(tl.load(worth + size + entry, mask=there, other=0.0) * count).to(tl.float32)
    literally = tl.sum(tl.load(worth + 2 * size + entry, mask=there, other=0.0) * count).to(tl.float32)
    overlap = tl.sum(tl.load(worth + 3 * size + entry, mask=there, other=0.0) * count).to(tl.float32)
    total = tl.sum(tl.load(worth + 4 * size + entry, mask=there, other=0.0) * count).to(tl.float32)
    voxels = tl.sum(tl.load(worth + 5 * size + entry, mask=there, other=0.0) * count)
    tl.store(measured + row, (earned / (_SCALE * voxels)).to(tl.float32))
    tl.store(measured + batch + row, tl.div_rn(wrong, voxels.to(tl.float32)))
    tl.store(measured + 2 * batch + row, tl.div_rn(literally, voxels.to(tl.float32)))
    tl.store(measured + 3 * batch + row, tl.where(total > 0, tl.div_rn(overlap, tl.maximum(total, 1.0)), 1.0))


@triton.jit
def _advance(
    step: tl.tensor,
    dice: tl.tensor,
    keys: tl.tensor,
    budgets: tl.tensor,
    after: tl.tensor,
    over: tl.tensor,
    budget: tl.tensor,
    key: tl.tensor,
    target: tl.tensor,
    batch: tl.tensor,
    horizon: tl.tensor,
    block: tl.constexpr,
) -> None:
    row = tl.program_id(0) * block + tl.arange(0, block)
    there = row < batch
    taken = tl.load(step + row, mask=there, other=0) + 1
    ended = (taken >= horizon) | (tl.load(dice + row, mask=there, other=0.0) >= target)
    at = tl.where(taken < horizon, taken, horizon)
    tl.store(after + row, taken, mask=there)
    tl.store(over + row, ended.to(tl.uint8), mask=there)
    tl.store(budget + row, tl.where(ended, 0, tl.load(budgets + at, mask=there, other=0)), mask=there)
    tl.store(key + row, tl.load(keys + row * (horizon + 1) + at, mask=there, other=0), mask=there)


@triton.jit
def _edge_keys(
    surface: tl.tensor,
    neighbours: tl.tensor,
    probability: tl.tensor,
    allowed: tl.tensor,
    clicks: tl.tensor,
    key: tl.tensor,
    keys: tl.tensor,
    points: tl.tensor,
    voxels: tl.tensor,
    clicked: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    advised: tl.constexpr,
    block: tl.constexpr,
) -> None:
    index = tl.program_id(0) * block + tl.arange(0, block)
    row = tl.program_id(1).to(tl.int64)
    there = index < points
    voxel = tl.load(surface + row * points + index, mask=there, other=-1)
    eligible = voxel >= 0
    inside = tl.load(probability + row * voxels + voxel, mask=eligible, other=0.0) > 0.5
    surrounded = inside
    for side in range(6):
        beside = tl.load(neighbours + (row * 6 + side) * points + index, mask=there, other=-1)
        surrounded &= tl.load(probability + row * voxels + beside, mask=beside >= 0, other=0.0) > 0.5
    eligible &= ~(inside & ~surrounded)
    if advised:
        eligible &= tl.load(allowed + row * voxels + voxel, mask=voxel >= 0, other=0) != 0
    for click in range(clicked):
        at = clicks + (row * clicked + click) * 3
        flat = (tl.load(at) * height + tl.load(at + 1)) * width + tl.load(at + 2)
        eligible &= voxel != flat  # which is negative for a row of -1
    stream = tl.load(key + row)
    word = _mix(_mix(voxel + _GOLDEN) ^ stream)
    tl.store(keys + row * points + index, tl.where(eligible, ((word >> 1) << 32) | voxel, _LAST), mask=there)


@triton.jit
def _first(
    keys: tl.tensor,
    budget: tl.tensor,
    drawn: tl.tensor,
    points: tl.tensor,
    most: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    block: tl.constexpr,
) -> None:
    """The voxels of the lowest keys, one after the other: there are few, and no two keys are alike."""
    row = tl.program_id(0).to(tl.int64)
    wanted = tl.load(budget + row)
    previous = tl.full((), -1, tl.int64)
    for rank in range(most):
        lowest = tl.full((block,), _LAST, tl.int64)
        for start in range(0, points, block):
            index = start + tl.arange(0, block)
            key = tl.load(keys + row * points + index, mask=index < points, other=_LAST)
            lowest = tl.minimum(lowest, tl.where(key > previous, key, _LAST))
        previous = tl.min(lowest)
        there = (previous != _LAST) & (rank < wanted)
        voxel = previous & _WORD
        click = drawn + (row * most + rank) * 3
        tl.store(click, tl.where(there, voxel // width // height, -1))
        tl.store(click + 1, tl.where(there, voxel // width % height, -1))
        tl.store(click + 2, tl.where(there, voxel % width, -1))


@triton.jit
def _append(
    clicks: tl.tensor,
    n_clicks: tl.tensor,
    made: tl.tensor,
    longer: tl.tensor,
    count: tl.tensor,
    room: tl.tensor,
    further: tl.tensor,
    all_block: tl.constexpr,
    made_block: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    before = tl.load(n_clicks + row)
    click = tl.arange(0, made_block)
    from_made = made + (row * further + click) * 3
    valid = tl.load(from_made, mask=click < further, other=-1) >= 0
    after = before
    position = tl.full((made_block,), -1, tl.int64) + before
    for other in range(further):
        counts = (tl.load(made + (row * further + other) * 3) >= 0).to(tl.int64)
        after += counts
        position += tl.where(other <= click, counts, 0)
    tl.store(count + row, after)
    index = tl.arange(0, all_block)
    earlier, later = index < before, (index >= after) & (index < room)
    for axis in range(3):
        target = longer + row * room * 3 + axis
        tl.store(target + position * 3, tl.load(from_made + axis, mask=valid), mask=valid)
        kept = tl.load(clicks + (row * room + index) * 3 + axis, mask=earlier, other=-1)
        tl.store(target + index * 3, kept, mask=earlier | later)


@triton.jit
def _paste(
    hint: tl.tensor,
    clicks: tl.tensor,
    patch: tl.tensor,
    depth: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    count: tl.tensor,
    side: tl.constexpr,
    block: tl.constexpr,
) -> None:
    offset = tl.program_id(0) * block + tl.arange(0, block)
    row = tl.program_id(2).to(tl.int64)
    click = clicks + (row * count + tl.program_id(1)) * 3
    first = tl.load(click)
    radius = side // 2
    d = tl.where(first >= 0, first + offset // (side * side) - radius, -1)
    h = tl.load(click + 1) + offset // side % side - radius
    w = tl.load(click + 2) + offset % side - radius
    there = offset < side * side * side
    there &= (d >= 0) & (d < depth) & (h >= 0) & (h < height) & (w >= 0) & (w < width)
    value = tl.load(patch + offset, mask=there, other=0)
    tl.atomic_max(hint + ((row * depth + d) * height + h) * width + w, value, mask=there)


@triton.jit
def _mix(word: tl.tensor) -> tl.tensor:
    """`rng.mix` of 64-bit words that hold 32 bits."""
    word = word & _WORD
    word = (((word >> 16) ^ word) * _FACTOR) & _WORD
    word = (((word >> 16) ^ word) * _FACTOR) & _WORD
    return (word >> 16) ^ word
