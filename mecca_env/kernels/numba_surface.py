"""Surfaces and neighbours of voxels, compiled by Numba for the CPU. Only `numba_step` imports this.

Every loop gives bit for bit what `label_surface` and `face_neighbours` of `torch_step` give.
"""

from __future__ import annotations

import numpy as np

from mecca_env.kernels.numba_jit import Array, jit


@jit
def mark_surface(label: Array, edge: Array, counts: Array) -> None:
    """Mark the surface voxels of each label, and count them.

    Args:
        label: (B, D, H, W) uint8, zeros and ones.
        edge: Written: the same with the surface only.
        counts: Written: (B,) int64.
    """
    _, depth, height, width = label.shape
    outside = np.zeros(width, np.uint8)
    for row in range(label.shape[0]):
        count = 0
        for d in range(depth):
            for h in range(height):
                own, out = label[row, d, h], edge[row, d, h]
                above = label[row, d - 1, h] if d > 0 else outside
                below = label[row, d + 1, h] if d + 1 < depth else outside
                before = label[row, d, h - 1] if h > 0 else outside
                after = label[row, d, h + 1] if h + 1 < height else outside
                out[0], out[width - 1] = own[0], own[width - 1]
                for w in range(1, width - 1):
                    enclosed = above[w] & below[w] & before[w] & after[w] & own[w - 1] & own[w + 1]
                    out[w] = own[w] & ~enclosed
                for w in range(width):
                    count += out[w]
        counts[row] = count


@jit
def list_surface(edge: Array, surface: Array) -> None:
    """List the marked voxels.

    Args:
        edge: (B, D, H, W) uint8, zeros and ones.
        surface: Written: flat indices, ascending, then -1, (B, S) int64.
    """
    _, depth, height, width = edge.shape
    for row in range(edge.shape[0]):
        slot = 0
        for d in range(depth):
            for h in range(height):
                found = np.uint8(0)
                for w in range(width):
                    found |= edge[row, d, h, w]
                if found:
                    for w in range(width):
                        if edge[row, d, h, w]:
                            surface[row, slot] = (d * height + h) * width + w
                            slot += 1
        surface[row, slot:] = -1


@jit
def list_neighbours(index: Array, beside: Array, depth: int, height: int, width: int) -> None:
    """The face neighbours of voxels (`Loops.face_neighbours`).

    Args:
        index: Flat indices, -1 for none, (B, S) int64.
        beside: Written: (B, 6, S) int64, -1 outside the grid.
        depth: First side of the grid,
        height: second,
        width: third.
    """
    area = height * width
    for row in range(index.shape[0]):
        for slot in range(index.shape[1]):
            voxel = index[row, slot]
            if voxel < 0:
                beside[row, :, slot] = -1
                continue
            d, h, w = voxel // area, voxel // width % height, voxel % width
            beside[row, 0, slot] = voxel - area if d > 0 else -1
            beside[row, 1, slot] = voxel + area if d + 1 < depth else -1
            beside[row, 2, slot] = voxel - width if h > 0 else -1
            beside[row, 3, slot] = voxel + width if h + 1 < height else -1
            beside[row, 4, slot] = voxel - 1 if w > 0 else -1
            beside[row, 5, slot] = voxel + 1 if w + 1 < width else -1
