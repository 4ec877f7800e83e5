"""The inner loops of the env step, compiled by Numba for the CPU: one pass each, where torch takes several.

Only `mecca_env.compiled` imports this. Every loop gives bit for bit what the torch code beside its caller gives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
_Loop = TypeVar("_Loop", bound=Callable[..., Any])

_WORD = 0xFFFFFFFF
_FACTOR = 0x45D9F3B
_GOLDEN = 0x9E3779B9
_NEVER = np.iinfo(np.int64).max


def _compiled(loop: _Loop) -> _Loop:
    """Compiled when first called, for the types it is called with, and kept on disk for the next process."""
    compiled: _Loop = njit(nogil=True, cache=True)(loop)
    return compiled


@_compiled
def look_up(
    cell: Array,
    action: Array,
    probability: Array,
    gain: Array,
    next_cell: Array,
    counts: Array,
    probabilities: Array,
    gains: Array,
    cells: Array,
) -> None:
    """Act in every voxel by table.

    Args:
        cell: (B, N), label and probability as one number.
        action: (B, N) integers.
        probability: Written: after the step, (B, N) float32.
        gain: Written: (B, N) float32.
        next_cell: Written: (B, N), as `cell`.
        counts: Written: how often each row of the tables was looked up, (B, K) int64.
        probabilities: Table of K probabilities.
        gains: Table of K gains.
        cells: Table of K cells.
    """
    size = len(cells)
    for row in range(cell.shape[0]):
        # Four tallies: with one, neighbours of the same kind would wait for each other's count.
        tally = np.zeros(4 * size, np.int32)
        for voxel in range(cell.shape[1]):
            case = np.int64(cell[row, voxel]) + np.int64(action[row, voxel])
            probability[row, voxel] = probabilities[case]
            gain[row, voxel] = gains[case]
            next_cell[row, voxel] = cells[case]
            tally[(voxel & 3) * size + case] += 1
        counts[row] = tally[:size] + tally[size : 2 * size] + tally[2 * size : 3 * size] + tally[3 * size :]


@_compiled
def draw_edges(
    surface: Array,
    neighbours: Array,
    probability: Array,
    allowed: Array,
    clicks: Array,
    budget: Array,
    key: Array,
    drawn: Array,
) -> None:
    """The `budget` first, in the order of their keys, of the label's surface voxels that are wrongly predicted.

    Args:
        surface: (B, S) int64, flat indices, ascending, then -1.
        neighbours: (B, 6, S) int64, -1 outside the grid.
        probability: (B, N) float32.
        allowed: (B, N) bool, or (B, 0) where all voxels may be clicked.
        clicks: Flat indices of the clicks so far, (B, K) int64.
        budget: (B,) int64.
        key: (B,) int64.
        drawn: Written: flat indices of the drawn, in order, then -1, (B, most) int64; `most` is at least the budget.
    """
    for row in range(surface.shape[0]):
        most = min(budget[row], drawn.shape[1])
        best = np.full(drawn.shape[1], _NEVER, np.int64)
        drawn[row, :] = -1
        for place in range(surface.shape[1]):
            voxel = surface[row, place]
            if voxel < 0 or most == 0:
                break
            rank = _shuffle_key(key[row], voxel)
            if rank >= best[most - 1] or _predicted_edge(probability[row], neighbours[row], place, voxel):
                continue
            if allowed.shape[1] and not allowed[row, voxel]:
                continue
            if _contains(clicks[row], voxel):
                continue
            slot = most - 1
            while slot > 0 and best[slot - 1] > rank:
                best[slot], drawn[row, slot] = best[slot - 1], drawn[row, slot - 1]
                slot -= 1
            best[slot], drawn[row, slot] = rank, voxel


@_compiled
def paste(hint: Array, clicks: Array, patch: Array) -> None:
    """Merge a patch around each click into the hint, by maximum.

    Args:
        hint: (B, D, H, W) float32, written to.
        clicks: (B, K, 3) int64, rows of -1 are none.
        patch: (P, P, P) float32, P odd.
    """
    radius = patch.shape[0] // 2
    for row in range(hint.shape[0]):
        for click in range(clicks.shape[1]):
            d, h, w = clicks[row, click, 0], clicks[row, click, 1], clicks[row, click, 2]
            if d < 0:
                continue
            for i in range(max(d - radius, 0), min(d + radius + 1, hint.shape[1])):
                for j in range(max(h - radius, 0), min(h + radius + 1, hint.shape[2])):
                    for k in range(max(w - radius, 0), min(w + radius + 1, hint.shape[3])):
                        value = patch[i - d + radius, j - h + radius, k - w + radius]
                        if value > hint[row, i, j, k]:
                            hint[row, i, j, k] = value


@_compiled
def _predicted_edge(probability: Array, neighbours: Array, place: int, voxel: int) -> bool:
    """Whether the voxel is on the surface of what is predicted (`voxels.on_surface`)."""
    if not probability[voxel] > 0.5:
        return False
    for side in range(6):
        beside = neighbours[side, place]
        if beside < 0 or not probability[beside] > 0.5:
            return True
    return False


@_compiled
def _contains(values: Array, value: int) -> bool:
    for other in values:
        if other == value:
            return True
    return False


@_compiled
def _shuffle_key(key: int, index: int) -> int:
    """`rng.shuffle_keys` of one voxel."""
    draw = _mix(_mix(index + _GOLDEN) ^ key)
    return ((draw >> 1) << 32) | index


@_compiled
def _mix(word: int) -> int:
    """`rng.mix` of one word."""
    word = word & _WORD
    word = (((word >> 16) ^ word) * _FACTOR) & _WORD
    word = (((word >> 16) ^ word) * _FACTOR) & _WORD
    return (word >> 16) ^ word
