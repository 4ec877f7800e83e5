"""The inner loops of a step and a reset, compiled by Numba for the CPU: one pass each, where torch takes several.

Only `mecca_env.kernels.dispatch` imports this; `Loops` says what each loop does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.kernels import numba_resampling
from mecca_env.kernels.backend import over_rows
from mecca_env.kernels.numba_jit import Array, jit
from mecca_env.kernels.numba_surface import list_neighbours, list_surface, mark_surface
from mecca_env.kernels.torch_step import within as within  # only where values are refused late, which is on a GPU
from mecca_env.state import Progress, State
from mecca_env.tensors.exact import SCALE

if TYPE_CHECKING:
    from mecca_env.kernels.interface import Columns, Cut

_WORD = 0xFFFFFFFF
_FACTOR = 0x45D9F3B
_GOLDEN = 0x9E3779B9
_NEVER = np.iinfo(np.int64).max
_RESAMPLED = (torch.uint8, torch.int16, torch.float32)  # what `smallest_type` gives; other types are widened


def look_up(situation: Tensor, action: Tensor, tables: Columns, worth: Tensor, into: Columns) -> Tensor:
    """See `Loops.look_up`."""
    measures = torch.empty((len(situation), 4), dtype=torch.float32)
    shared = tuple(table.numpy() for table in (*tables, worth))
    loop = _look_up_bytes if situation.dtype == torch.uint8 else _look_up
    over_rows(loop, situation, action.contiguous(), *into, measures, shared=shared)
    return measures.T.contiguous()


def advance(step: Tensor, dice: Tensor, keys: Tensor, budgets: Tensor, target: float) -> Progress:
    """See `Loops.advance`."""
    after, over = torch.empty_like(step), torch.empty(len(step), dtype=torch.bool)
    budget, key = torch.empty_like(step), torch.empty_like(step)
    given = (step.numpy(), dice.numpy(), keys.numpy(), budgets.numpy())
    written = (after.numpy(), over.numpy(), budget.numpy(), key.numpy())
    _advance(*given, *written, float(np.float32(target)))  # rounded, as torch compares
    return Progress(after, over, budget, key)


def draw_edges(state: State, allowed: Tensor | None, budget: Tensor, most: int, key: Tensor) -> Tensor:
    """See `Loops.draw_edges`."""
    batch = len(budget)
    drawn = torch.empty((batch, min(most, state.surface.shape[1]), 3), dtype=torch.int64)
    anywhere = torch.empty((batch, 0), dtype=torch.bool)
    grids = (state.probability.reshape(batch, -1), anywhere if allowed is None else allowed.reshape(batch, -1))
    given = (state.surface, state.neighbours, *grids, state.clicks, budget, key)
    over_rows(_draw_edges, *given, drawn, shared=state.shape[1:])
    return drawn


def append(clicks: Tensor, n_clicks: Tensor, made: Tensor) -> tuple[Tensor, Tensor]:
    """See `Loops.append`."""
    longer, count = torch.empty_like(clicks), torch.empty_like(n_clicks)
    over_rows(_append, clicks, n_clicks, made.contiguous(), longer, count)
    return longer, count


def paste(hint: Tensor, clicks: Tensor, patch: Tensor, into: Tensor) -> None:
    """See `Loops.paste`."""
    over_rows(_paste, hint.contiguous(), clicks.contiguous(), into, shared=(patch.numpy(),))


def label_surface(label: Tensor) -> Tensor:
    """See `Loops.label_surface`."""
    label = label.contiguous().view(torch.uint8)
    edge, counts = torch.empty_like(label), torch.empty(len(label), dtype=torch.int64)
    over_rows(mark_surface, label, edge, counts)
    surface = torch.empty((len(label), int(counts.max())), dtype=torch.int64)
    over_rows(list_surface, edge, surface)
    return surface


def face_neighbours(index: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """See `Loops.face_neighbours`."""
    found = index.new_empty((len(index), 6, index.shape[1]))
    over_rows(list_neighbours, index.contiguous(), found, shared=shape)
    return found


def resample(cuts: Sequence[Cut], clip: float, threshold: float, volume: Tensor, label: Tensor) -> None:
    """See `Loops.resample`."""

    def some(rows: NDArray[np.int64], volumes: NDArray[np.float32], masks: NDArray[np.bool_]) -> None:
        for row, out, mask in zip(rows, volumes, masks, strict=True):
            cut = cuts[row]
            image = cut.image if cut.image.dtype in _RESAMPLED else cut.image.double()
            numba_resampling.resample(
                _array(image),
                _array(cut.label.view(torch.uint8)),
                _array(cut.points.first),
                _array(cut.points.second),
                _array(cut.points.third),
                cut.mean,
                cut.std,
                clip,
                threshold,
                out,
                mask,
            )

    over_rows(some, torch.arange(len(cuts)), volume, label)


def _array(tensor: Tensor) -> Array:
    array: Array = tensor.cpu().contiguous().numpy()
    return array


@jit
def _look_up(
    situation: Array,
    action: Array,
    probability: Array,
    gain: Array,
    next_situation: Array,
    measures: Array,
    probabilities: Array,
    gains: Array,
    situations: Array,
    worth: Array,
) -> None:
    """Situations of any integer type."""
    for row in range(len(situation)):
        counts = np.zeros(len(situations), np.int64)
        for voxel in range(situation.shape[1]):
            entry = np.int64(situation[row, voxel]) + np.int64(action[row, voxel])
            probability[row, voxel] = probabilities[entry]
            gain[row, voxel] = gains[entry]
            next_situation[row, voxel] = situations[entry]
            counts[entry] += 1
        _measure(counts, worth, measures[row])


@jit
def _look_up_bytes(
    situation: Array,
    action: Array,
    probability: Array,
    gain: Array,
    next_situation: Array,
    measures: Array,
    probabilities: Array,
    gains: Array,
    situations: Array,
    worth: Array,
) -> None:
    """Situations of one byte, four of them in a word: half of the reads and writes, which are what takes the time."""
    voxels = situation.shape[1]
    whole = voxels - voxels % 4
    entry = np.empty(whole, np.uint8)  # at first the entry of the tables, then the next situation
    words, wide = entry.view(np.uint32), situations.astype(np.uint32)
    for row in range(len(situation)):
        before, chosen = situation[row], action[row]
        after, earned, following = probability[row], gain[row], next_situation[row]
        # Four tallies, since one would have neighbours of a kind wait for each other's count.
        tally = np.zeros((4, len(situations)), np.int32)
        for v in range(whole):
            entry[v] = before[v] + chosen[v]
        for index in range(len(words)):
            word, v = words[index], 4 * index
            a, b, c, d = word & 255, (word >> 8) & 255, (word >> 16) & 255, word >> 24
            p, q, r, s = probabilities[a], probabilities[b], probabilities[c], probabilities[d]
            after[v], after[v + 1], after[v + 2], after[v + 3] = p, q, r, s
            earned[v], earned[v + 1], earned[v + 2], earned[v + 3] = gains[a], gains[b], gains[c], gains[d]
            words[index] = wide[a] | wide[b] << 8 | wide[c] << 16 | wide[d] << 24
            tally[0, a] += 1
            tally[1, b] += 1
            tally[2, c] += 1
            tally[3, d] += 1
        for v in range(whole):
            following[v] = entry[v]
        for v in range(whole, voxels):
            a = np.uint32(before[v]) + np.uint32(chosen[v])
            after[v], earned[v], following[v] = probabilities[a], gains[a], situations[a]
            tally[0, a] += 1
        _measure(tally.sum(0), worth, measures[row])


@jit
def _measure(counts: Array, worth: Array, measures: Array) -> None:
    """`torch_step.measures` of one row."""
    sums = np.zeros(len(worth))
    for k in range(len(counts)):
        for number in range(len(worth)):
            sums[number] += worth[number, k] * counts[k]
    total, voxels = np.float32(sums[4]), np.float32(sums[5])
    measures[0] = sums[0] / (SCALE * sums[5])
    measures[1] = np.float32(sums[1]) / voxels
    measures[2] = np.float32(sums[2]) / voxels
    measures[3] = np.float32(sums[3]) / total if total > 0 else 1.0


@jit
def _advance(
    step: Array,
    dice: Array,
    keys: Array,
    budgets: Array,
    after: Array,
    over: Array,
    budget: Array,
    key: Array,
    target: float,
) -> None:
    horizon = len(budgets) - 1
    for row in range(len(step)):
        after[row] = step[row] + 1
        over[row] = after[row] >= horizon or dice[row] >= target
        at = min(after[row], horizon)
        budget[row] = 0 if over[row] else budgets[at]
        key[row] = keys[row, at]


@jit
def _draw_edges(
    surface: Array,
    neighbours: Array,
    probability: Array,
    allowed: Array,
    clicks: Array,
    budget: Array,
    key: Array,
    drawn: Array,
    height: int,
    width: int,
) -> None:
    """The first `budget` of the eligible surface voxels, in the order of their keys; `allowed` may be (B, 0)."""
    for row in range(surface.shape[0]):
        most = min(budget[row], drawn.shape[1])
        best = np.full(drawn.shape[1], _NEVER, np.int64)
        flat = np.full(drawn.shape[1], -1, np.int64)
        ranks = np.empty(surface.shape[1] if most else 0, np.int64)
        for index in range(len(ranks)):  # apart from the rest, so that several are worked out at once
            ranks[index] = _shuffle_key(key[row], surface[row, index])
        for index in range(len(ranks)):
            voxel, rank = surface[row, index], ranks[index]
            if voxel < 0:
                break
            if rank >= best[most - 1] or _predicted_edge(probability[row], neighbours[row], index, voxel):
                continue
            if allowed.shape[1] and not allowed[row, voxel]:
                continue
            if _contains(clicks[row], voxel, height, width):
                continue
            slot = most - 1
            while slot > 0 and best[slot - 1] > rank:
                best[slot], flat[slot] = best[slot - 1], flat[slot - 1]
                slot -= 1
            best[slot], flat[slot] = rank, voxel
        for slot in range(len(flat)):
            column, voxel = flat[slot] // width, flat[slot]
            there = voxel >= 0
            drawn[row, slot, 0] = column // height if there else -1
            drawn[row, slot, 1] = column % height if there else -1
            drawn[row, slot, 2] = voxel % width if there else -1


@jit
def _append(clicks: Array, n_clicks: Array, made: Array, longer: Array, count: Array) -> None:
    for row in range(len(clicks)):
        longer[row] = clicks[row]
        count[row] = n_clicks[row]
        for click in made[row]:
            if click[0] >= 0:
                longer[row, count[row]] = click
                count[row] += 1


@jit
def _paste(hint: Array, clicks: Array, merged: Array, patch: Array) -> None:
    radius = patch.shape[0] // 2
    for row in range(hint.shape[0]):
        source, target = hint[row].reshape(-1), merged[row].reshape(-1)
        for voxel in range(len(source)):  # three times as fast as assigning the row
            target[voxel] = source[voxel]
        for click in range(clicks.shape[1]):
            d, h, w = clicks[row, click, 0], clicks[row, click, 1], clicks[row, click, 2]
            if d < 0:
                continue
            low, high = max(w - radius, 0), min(w + radius + 1, hint.shape[3])
            for i in range(max(d - radius, 0), min(d + radius + 1, hint.shape[1])):
                for j in range(max(h - radius, 0), min(h + radius + 1, hint.shape[2])):
                    line = merged[row, i, j, low:high]
                    added = patch[i - d + radius, j - h + radius, low - w + radius :]
                    whole = len(line) - len(line) % 8
                    for first in range(0, whole, 8):
                        for k in range(first, first + 8):
                            line[k] = added[k] if added[k] > line[k] else line[k]
                    for k in range(whole, len(line)):
                        line[k] = added[k] if added[k] > line[k] else line[k]


@jit
def _predicted_edge(probability: Array, neighbours: Array, index: int, voxel: int) -> bool:
    """Tell whether a voxel is on the surface of what is predicted (`voxels.mask_surface`)."""
    if not probability[voxel] > 0.5:
        return False
    for side in range(6):
        beside = neighbours[side, index]
        if beside < 0 or not probability[beside] > 0.5:
            return True
    return False


@jit
def _contains(clicks: Array, voxel: int, height: int, width: int) -> bool:
    """Tell whether a flat index is among coordinates; rows of -1 have a negative one."""
    for click in clicks:
        if (click[0] * height + click[1]) * width + click[2] == voxel:
            return True
    return False


@jit
def _shuffle_key(key: int, index: int) -> int:
    """`rng.shuffle_keys` of one voxel."""
    draw = _mix(_mix(index + _GOLDEN) ^ key)
    return ((draw >> 1) << 32) | index


@jit
def _mix(word: int) -> int:
    """`rng.mix` of one word."""
    word = word & _WORD
    word = (((word >> 16) ^ word) * _FACTOR) & _WORD
    word = (((word >> 16) ^ word) * _FACTOR) & _WORD
    return (word >> 16) ^ word
