"""From a scene to intensities and a label on a grid."""

from __future__ import annotations

from math import sqrt

import cc3d
import numpy as np
import torch
from torch import Tensor

from mecca_env.data.procedural.masks import dilated
from mecca_env.data.procedural.noise import Grid
from mecca_env.data.shapes.families import Target
from mecca_env.data.shapes.forms import NOWHERE, Form, around
from mecca_env.data.shapes.scene import LEAST, Scene

MOST = 0.25
"""Largest share of the volume that a target takes."""

_QUANTUM = 1024.0  # parts of a unit of signal that intensities are counted in, so that the order of a sum is no matter
_SPECK = 0.02  # of a target's largest piece: smaller ones are not drawn


def paint(scene: Scene, grid: Grid) -> tuple[Tensor, Tensor] | None:
    """Intensities, (X, Y, Z) float32, mostly in [0, 1], and the target, (X, Y, Z) bool.

    None where the target comes out with fewer than `LEAST` voxels, or more than `MOST` of all.
    """
    target, look = scene.target, scene.look
    box = around(grid, target.form)
    local = grid.part(box)
    inside, outline = _outline(target, local)
    x, y, z = grid.shape
    if not LEAST <= int(outline.sum()) <= MOST * (x * y * z):
        return None
    depth = torch.full(grid.shape, NOWHERE, dtype=torch.float32, device=grid.device)
    depth[box] = inside
    signal = scene.tissues.paint(grid)
    for form, shade in scene.others:
        _add(grid, signal, form, shade, look.soft)
    level = _level(scene, signal[box], inside)
    for form in target.beside:
        _add(grid, signal, form, look.apart(level), look.soft)
    for forms, gap in ((target.alike, 0.0), (scene.alike, look.gap)):
        for form in forms:
            _add(grid, signal, form, level, look.soft, depth + gap)
    _add_target(scene, local, signal[box], inside, level)
    if scene.body is not None:
        room = torch.maximum(scene.body.depth(grid), depth.add_(4.0 * look.soft))
        signal.mul_(_ramp(room, look.soft))
    label = torch.zeros(grid.shape, dtype=torch.bool, device=grid.device)
    label[box] = outline
    return signal, label


def _outline(target: Target, grid: Grid) -> tuple[Tensor, Tensor]:
    """Depth in the target and its mask, on the part of the grid around it, without specks."""
    inside = target.form.depth(grid)
    pieces = cc3d.connected_components((inside > 0).cpu().numpy(), connectivity=6)
    counts = np.bincount(pieces.ravel())[1:]
    order = np.argsort(-counts, kind="stable")[: target.pieces]
    kept = [int(piece) + 1 for piece in order if counts[piece] > _SPECK * counts[order[0]]]
    label = torch.from_numpy(np.isin(pieces, kept)).to(grid.device)
    if len(kept) < len(counts):
        inside.masked_fill_(dilated((inside > 0) & ~label) & ~label, NOWHERE)  # their faint edges as well
    return inside, label


def _level(scene: Scene, signal: Tensor, inside: Tensor) -> float:
    """The target's intensity, by that of what lies around it."""
    look = scene.look
    values = (signal[(inside <= 0) & (inside > -8.0 * look.soft)] * _QUANTUM).round_().to(torch.int64)
    count, total, squares = len(values), int(values.sum()), int((values * values).sum())
    mean = total / (_QUANTUM * count)
    away = look.contrast + look.clear * sqrt(count * squares - total * total) / (_QUANTUM * count)
    if (look.darker and mean > away) or mean + away > 1.2:
        return max(mean - away, 0.0)
    return mean + away


def _add(grid: Grid, signal: Tensor, form: Form, level: float, soft: float, apart: Tensor | None = None) -> None:
    """Blend a form into (X, Y, Z) `signal`, in place, where it does not lie in what has the depth `apart`."""
    box = around(grid, form)
    inside = form.depth(grid.part(box))
    if apart is not None:
        inside = torch.minimum(inside, -apart[box])
    _blend(signal[box], level, _ramp(inside, soft))


def _add_target(scene: Scene, grid: Grid, signal: Tensor, inside: Tensor, level: float) -> None:
    """Blend the target into (X, Y, Z) `signal` on the part of the grid around it, in place."""
    look = scene.look
    share = _ramp(inside, look.soft)
    if look.rim_width:
        _blend(signal, look.apart(level), _ramp(inside + look.rim_width, look.soft))
    if look.faint or look.leak:
        fading = look.fading(grid)
        if look.leak:
            _blend(signal, level, _ramp(inside + look.leak, look.soft).mul_(fading))
        share.mul_(fading.mul_(-look.faint).add_(1))
    _blend(signal, look.interior(grid, scene.target.form, inside, level), share)


def _blend(signal: Tensor, level: Tensor | float, share: Tensor) -> None:
    """Replace `share` of every voxel, in place."""
    signal.add_((level - signal).mul_(share))


def _ramp(inside: Tensor, soft: float) -> Tensor:
    """From 0 outside to 1 inside over `soft` mm."""
    return (inside * (1 / soft)).add_(0.5).clamp_(0, 1)
