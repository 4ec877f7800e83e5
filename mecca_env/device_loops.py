"""The inner loops of the env step as Triton kernels, for tensors on a GPU: one pass each, where torch takes several.

Only `mecca_env.compiled` imports this. Every loop gives bit for bit what the torch code beside its caller gives, and
none of them waits for the GPU.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024
"""Voxels for each program of a kernel."""

COUNTED_TOGETHER = 1024
"""Tables of at most so many rows are counted block by block, larger ones voxel by voxel."""

_WORD = tl.constexpr(0xFFFFFFFF)
_FACTOR = tl.constexpr(0x45D9F3B)
_GOLDEN = tl.constexpr(0x9E3779B9)
_NEVER = torch.iinfo(torch.int64).max
_LAST = tl.constexpr(_NEVER)


def look_up(
    cell: Tensor, action: Tensor, probabilities: Tensor, gains: Tensor, cells: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Act in every voxel by table.

    Args:
        cell: (B, N), label and probability as one number.
        action: (B, N) integers.
        probabilities: Table of K probabilities.
        gains: Table of K gains.
        cells: Table of K cells.

    Returns:
        Probability (B, N) float32, gain (B, N) float32 and cell (B, N) after the action, and how often each row of the
        tables was looked up, (B, K) int32.
    """
    batch, voxels = cell.shape
    probability, gain, after = (torch.empty_like(cell, dtype=table.dtype) for table in (probabilities, gains, cells))
    size = len(cells)
    bins = max(triton.next_power_of_2(size), 16)
    counts = torch.zeros((batch, bins), dtype=torch.int32, device=cell.device)
    grid = (triton.cdiv(voxels, BLOCK), batch)
    written = (probability, gain, after, counts)
    together = bins <= COUNTED_TOGETHER
    _look_up[grid](cell, action.contiguous(), *written, probabilities, gains, cells, voxels, bins, together, BLOCK)
    return probability, gain, after, counts[:, :size]


def edge_keys(
    surface: Tensor, neighbours: Tensor, probability: Tensor, allowed: Tensor | None, clicks: Tensor, key: Tensor
) -> Tensor:
    """Sort keys of the label's surface voxels; the largest int64 for those that cannot be clicked.

    Args:
        surface: (B, S) int64, flat indices, padded with -1.
        neighbours: (B, 6, S) int64, -1 outside the grid.
        probability: (B, N) float32.
        allowed: (B, N) bool, or None where all voxels may be clicked.
        clicks: Flat indices of the clicks so far, (B, K) int64.
        key: (B,) int64.

    Returns:
        (B, S) int64.
    """
    batch, places = surface.shape
    keys = torch.empty_like(surface)
    if keys.numel():
        grid = (triton.cdiv(places, BLOCK), batch)
        advised = probability if allowed is None else allowed.view(torch.uint8)
        given = (surface, neighbours, probability, advised, clicks, key, keys)
        sizes = (places, probability.shape[1], clicks.shape[1])
        _edge_keys[grid](*given, *sizes, allowed is not None, BLOCK)
    return keys


def paste(hint: Tensor, clicks: Tensor, patch: Tensor) -> None:
    """Merge a patch around each click into the hint, by maximum, in place.

    Args:
        hint: (B, D, H, W) float32 in [0, 1], contiguous.
        clicks: (B, K, 3) int64, rows of -1 are none.
        patch: (P, P, P) float32 in [0, 1], P odd.
    """
    batch, count = clicks.shape[:2]
    if count:
        grid = (triton.cdiv(patch.numel(), BLOCK), count, batch)
        # As integers, which the bits of numbers from 0 up are in the same order as.
        bits = (hint.view(torch.int32), patch.view(torch.int32))
        _paste[grid](bits[0], clicks.contiguous(), bits[1], *hint.shape[1:], count, patch.shape[0], BLOCK)


@triton.jit
def _look_up(
    cell: Any,
    action: Any,
    probability: Any,
    gain: Any,
    after: Any,
    counts: Any,
    probabilities: Any,
    gains: Any,
    cells: Any,
    voxels: Any,
    bins: tl.constexpr,
    together: tl.constexpr,
    block: tl.constexpr,
) -> None:
    voxel = tl.program_id(0) * block + tl.arange(0, block)
    row = tl.program_id(1).to(tl.int64)
    there = voxel < voxels
    place = row * voxels + voxel
    case = tl.load(cell + place, mask=there, other=0).to(tl.int32) + tl.load(action + place, mask=there, other=0).to(
        tl.int32
    )
    tl.store(probability + place, tl.load(probabilities + case, mask=there), mask=there)
    tl.store(gain + place, tl.load(gains + case, mask=there), mask=there)
    tl.store(after + place, tl.load(cells + case, mask=there), mask=there)
    if together:
        count = tl.histogram(case, bins, mask=there)
        tl.atomic_add(counts + row * bins + tl.arange(0, bins), count, mask=count > 0)
    else:
        tl.atomic_add(counts + row * bins + case, 1, mask=there)


@triton.jit
def _edge_keys(
    surface: Any,
    neighbours: Any,
    probability: Any,
    allowed: Any,
    clicks: Any,
    key: Any,
    keys: Any,
    places: Any,
    voxels: Any,
    clicked: Any,
    advised: tl.constexpr,
    block: tl.constexpr,
) -> None:
    place = tl.program_id(0) * block + tl.arange(0, block)
    row = tl.program_id(1).to(tl.int64)
    there = place < places
    voxel = tl.load(surface + row * places + place, mask=there, other=-1)
    eligible = voxel >= 0
    inside = tl.load(probability + row * voxels + voxel, mask=eligible, other=0.0) > 0.5
    surrounded = inside
    for side in range(6):
        beside = tl.load(neighbours + (row * 6 + side) * places + place, mask=there, other=-1)
        surrounded &= tl.load(probability + row * voxels + beside, mask=beside >= 0, other=0.0) > 0.5
    eligible &= ~(inside & ~surrounded)
    if advised:
        eligible &= tl.load(allowed + row * voxels + voxel, mask=voxel >= 0, other=0) != 0
    for click in range(clicked):
        eligible &= voxel != tl.load(clicks + row * clicked + click)
    stream = tl.load(key + row)
    word = _mix(_mix(voxel + _GOLDEN) ^ stream)
    tl.store(keys + row * places + place, tl.where(eligible, ((word >> 1) << 32) | voxel, _LAST), mask=there)


@triton.jit
def _paste(
    hint: Any,
    clicks: Any,
    patch: Any,
    depth: Any,
    height: Any,
    width: Any,
    count: Any,
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
def _mix(word: Any) -> Any:
    """`rng.mix` of 64-bit words that hold 32 bits."""
    word = word & _WORD
    word = (((word >> 16) ^ word) * _FACTOR) & _WORD
    word = (((word >> 16) ^ word) * _FACTOR) & _WORD
    return (word >> 16) ^ word
