"""A random target among other structures: what is where, and the intensities that they have."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import cc3d
import numpy as np
import torch
from torch import Tensor

from mecca_env.data.procedural.noise import Grid, Point, Size
from mecca_env.data.shapes.drawing import chosen, direction, log_uniform, scaled
from mecca_env.data.shapes.families import FAMILIES, SOLIDS, Target, support
from mecca_env.data.shapes.forms import NOWHERE, Ellipsoid, Form, around
from mecca_env.data.shapes.surroundings import Tissues, draw_body

LEAST, MOST = 300, 0.25
"""Fewest voxels of a target, and its largest share of the volume."""

_OTHERS, _ALIKE, _INNER, _FADE = 64, 96, 120, 124  # streams of noise; those of the target are the first 16
_QUANTUM = 1024.0  # parts of a unit of signal that intensities are counted in, so that the order of a sum is no matter
_SPECK = 0.02  # of a target's largest piece: smaller ones that are allowed are not drawn


@dataclass(frozen=True)
class Look:
    """Intensities of a target.

    Attributes:
        contrast: To the mean of what lies around it.
        clear: Standard deviations of what lies around it that are added to the contrast.
        darker: Where there is the choice.
        soft: Width of its edge, mm.
        texture: Standard deviation and spacing, mm, of noise inside.
        slope: Change of intensity from its middle to its end.
        heading: Of the slope, a unit vector.
        core: Depth in shares of the largest at which a core begins; 0: there is none.
        core_change: Intensity of the core above that of the rim, in contrasts.
        patch: Change of intensity in patches, in contrasts, and their spacing, mm.
        faint: Share of the contrast that is lost where its edge fades.
        leak: How far the target's intensity goes on where it leaks into its surroundings, mm.
        fade: Above which value of noise its edge fades or leaks, and the spacing, mm, of that noise.
        rim: Intensity of a layer around it.
        rim_width: Of that layer, mm; 0: there is none.
        gap: Between it and others that look the same, mm.
    """

    contrast: float
    clear: float
    darker: bool
    soft: float
    texture: tuple[float, float]
    slope: float
    heading: Point
    core: float
    core_change: float
    patch: tuple[float, float]
    faint: float
    leak: float
    fade: tuple[float, float]
    rim: float
    rim_width: float
    gap: float

    @classmethod
    def draw(cls, rng: np.random.Generator, target: Target, volume: float, thin: float, contrast: float) -> Look:
        """A random look of a target of `volume` mm3 on a grid that shows what is `thin` mm thick."""
        side = float(f"{volume ** (1 / 3):.5g}")
        cored = not target.beside and target.family != "plate" and rng.uniform() < 0.2
        fading = chosen(rng, {"": 0.5, "faint": 0.25, "leak": 0.25})
        return cls(
            contrast=contrast,
            clear=rng.uniform(0.0, 1.5),
            darker=bool(rng.uniform() < 0.35),
            soft=thin * (log_uniform(rng, 1.5, 5.0) if rng.uniform() < 0.2 else rng.uniform(0.5, 1.5)),
            texture=(rng.uniform(0.0, 0.3) * contrast, rng.uniform(2.0, 8.0) * thin),
            slope=rng.uniform(-0.5, 0.5) * contrast,
            heading=direction(rng),
            core=rng.uniform(0.25, 0.6) if cored else 0.0,
            core_change=rng.uniform(0.6, 1.6) * (1 if rng.uniform() < 0.5 else -1),
            patch=(rng.uniform(0.3, 1.0) if rng.uniform() < 0.25 else 0.0, rng.uniform(0.25, 0.5) * side),
            faint=rng.uniform(0.6, 0.95) if fading == "faint" else 0.0,
            leak=rng.uniform(0.15, 0.4) * side if fading == "leak" else 0.0,
            fade=(rng.uniform(0.3, 0.9), rng.uniform(0.4, 0.9) * side),
            rim=rng.uniform(0.0, 1.0),
            rim_width=thin * rng.uniform(1.0, 2.5) if rng.uniform() < 0.35 else 0.0,
            gap=thin * rng.uniform(1.0, 3.0) if rng.uniform() < 0.7 else 0.0,
        )


@dataclass(frozen=True)
class Scene:
    """All that is drawn of a case before it is scanned.

    Attributes:
        size: Voxels along each axis.
        extent: Sides of the field of view, mm.
        target: What is to be segmented.
        look: Its intensities.
        others: Other structures and their intensities, from back to front.
        alike: Structures of the same kind and intensity as the target.
        tissues: What they lie in.
        body: Where there is air outside; None: everywhere is tissue.
    """

    size: Size
    extent: Point
    target: Target
    look: Look
    others: tuple[tuple[Form, float], ...]
    alike: tuple[Form, ...]
    tissues: Tissues
    body: Ellipsoid | None

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Scene:
        """A random scene."""
        size, spacing = draw_grid(rng)
        extent = Point(*(n * step for n, step in zip(size, spacing, strict=True)))
        voxels, voxel = size[0] * size[1] * size[2], spacing.x * spacing.y * spacing.z
        thin = 0.7 * max(spacing)
        family = FAMILIES[chosen(rng, {name: family.weight for name, family in FAMILIES.items()})]
        volume = max(log_uniform(rng, 0.01, family.largest) * voxels, 2 * LEAST) * voxel
        centre = Point(*(side * place for side, place in zip(extent, rng.uniform(-0.2, 0.2, 3).tolist(), strict=True)))
        target = _held(rng, family.make(rng, centre, volume, thin, 0), extent)
        contrast = 0.08 + 0.52 * rng.uniform() * rng.uniform(0.3, 1.0)
        look = Look.draw(rng, target, volume, thin, contrast)
        tissues = Tissues.draw(rng, extent, min(spacing), contrast)
        spread = rng.uniform(0.2, 1.0)
        others = tuple(
            (_other(rng, target, extent, volume, thin, _OTHERS + 4 * number), 0.5 + spread * rng.uniform(-0.48, 0.48))
            for number in range(int(rng.integers(2, 10)))
        )
        alike = tuple(
            _alike(rng, target, volume, thin, _ALIKE + 4 * number) for number in range(int(rng.integers(0, 4)))
        )
        body = draw_body(rng, extent) if rng.uniform() < 0.35 else None
        return cls(size, extent, target, look, others, alike, tissues, body)

    def paint(self, grid: Grid) -> tuple[Tensor, Tensor] | None:
        """Intensities, (X, Y, Z) float32, and the target, (X, Y, Z) bool; None where it is too small or too large."""
        box = around(grid, self.target.form)
        local = grid.part(box)
        inside, label = _outline(self.target, local)
        found = int(label.sum())
        if not LEAST <= found <= MOST * grid.shape[0] * grid.shape[1] * grid.shape[2]:
            return None
        depth = torch.full(grid.shape, NOWHERE, dtype=torch.float32, device=grid.device)
        depth[box] = inside
        signal = self.tissues.paint(grid)
        for form, level in self.others:
            _paint(grid, signal, form, level, self.look.soft)
        level = self._level(signal[box], inside)
        for form in self.target.beside:
            _paint(grid, signal, form, self.look.rim, self.look.soft)
        for form in (*self.target.alike, *self.alike):
            _paint(grid, signal, form, level, self.look.soft, depth + (0.0 if form in self.target.alike else self.look.gap))
        self._paint_target(local, signal[box], inside, level)
        if self.body is not None:
            room = torch.maximum(self.body.depth(grid), depth.add_(4.0 * self.look.soft))
            signal.mul_(_ramp(room, self.look.soft))
        mask = torch.zeros(grid.shape, dtype=torch.bool, device=grid.device)
        mask[box] = label
        return signal, mask

    def _level(self, signal: Tensor, inside: Tensor) -> float:
        """The target's intensity, by that of what lies around it."""
        values = (signal[(inside <= 0) & (inside > -8.0 * self.look.soft)] * _QUANTUM).round_().to(torch.int64)
        count, total, squares = len(values), int(values.sum()), int((values * values).sum())
        mean = total / (_QUANTUM * count)
        away = self.look.contrast + self.look.clear * sqrt(count * squares - total * total) / (_QUANTUM * count)
        return max(mean - away, 0.0) if (self.look.darker and mean > away) or mean + away > 1.2 else mean + away

    def _paint_target(self, grid: Grid, signal: Tensor, inside: Tensor, level: float) -> None:
        look = self.look
        share = _ramp(inside, look.soft)
        if look.rim_width:
            rim = _ramp(inside + look.rim_width, look.soft)
            signal.add_((look.rim - signal).mul_(rim))
        if look.faint or look.leak:
            mark, spacing = look.fade
            fading = grid.noise(_FADE, spacing).float().sub_(mark).mul_(3.0).clamp_(0, 1)
            if look.leak:
                signal.add_((level - signal).mul_(_ramp(inside + look.leak, look.soft).mul_(fading)))
            share.mul_(fading.mul_(-look.faint).add_(1))
        signal.add_((self._interior(grid, inside, level) - signal).mul_(share))

    def _interior(self, grid: Grid, inside: Tensor, level: float) -> Tensor:
        """The target's own intensity wherever it might be, (X, Y, Z) float32."""
        look, form = self.look, self.target.form
        x, y, z = (
            (line - middle).mul_(along * look.slope / reach)
            for line, middle, along, reach in zip(
                grid.coordinates(), form.centre, look.heading, form.reach, strict=True
            )
        )
        interior = grid.noise(_INNER, look.texture[1]).float().mul_(look.texture[0]).add_((x + y) + z).add_(level)
        if look.patch[0]:
            patches = grid.noise(_INNER + 1, look.patch[1]).float().sub_(0.8).mul_(4.0).clamp_(0, 1)
            interior.add_(patches.mul_(look.patch[0] * look.contrast))
        if look.core:
            begin = look.core * float(inside.max())
            core = inside.sub(begin).mul_(1 / (2 * look.soft)).add_(0.5).clamp_(0, 1)
            interior.add_(core.mul_(look.core_change * look.contrast))
        return interior


def draw_grid(rng: np.random.Generator) -> tuple[Size, Point]:
    """Random voxels along each axis and millimetres between them; the axis of the slices is the last one mostly."""
    fine = log_uniform(rng, 0.7, 1.8)
    ratio = 1.0 if rng.uniform() < 0.2 else log_uniform(rng, 1.0, 4.0)
    other = fine * rng.uniform(1.0, 1.15)
    thick = min(fine * ratio * rng.uniform(1.0, 1.1), 4.0)
    rows, columns = (int(n) for n in rng.integers(64, 81, 2))
    deep = rows * fine * rng.uniform(0.7, 1.2)
    slices = min(max(round(deep / thick), 24), 72)
    sides, steps = [rows, columns], [fine, other]
    place = 2 if rng.uniform() < 0.7 else int(rng.integers(0, 2))
    sides.insert(place, slices)
    steps.insert(place, thick)
    return (sides[0], sides[1], sides[2]), Point(*(round(step, 3) for step in steps))


def _held(rng: np.random.Generator, target: Target, extent: Point) -> Target:
    """The target, moved into the field of view where it fits; a few stay where they are and may be cut."""
    if rng.uniform() < 0.1:
        return target
    form, step = target.form, []
    for side, middle, reach in zip(extent, form.centre, form.reach, strict=True):
        room = max(0.49 * side - reach, 0.0)
        step.append(min(max(middle, -room), room) - middle)
    return target.moved(Point(*step))


def _other(rng: np.random.Generator, target: Target, extent: Point, volume: float, thin: float, stream: int) -> Form:
    """A structure of another kind, near the target or not."""
    solid = chosen(rng, SOLIDS)
    size = volume * log_uniform(rng, 0.2, 3.0)
    if rng.uniform() < 0.6:
        form = solid(rng, target.form.centre, size, thin, stream)
        return _beside(rng, target, form, rng.uniform(0.5, 1.2))
    places = rng.uniform(-0.45, 0.45, 3).tolist()
    centre = Point(*(side * place for side, place in zip(extent, places, strict=True)))
    return solid(rng, centre, size, thin, stream)


def _alike(rng: np.random.Generator, target: Target, volume: float, thin: float, stream: int) -> Form:
    form = target.solid(rng, target.form.centre, volume * log_uniform(rng, 0.2, 1.0), thin, stream)
    return _beside(rng, target, form, rng.uniform(0.8, 1.4))


def _beside(rng: np.random.Generator, target: Target, form: Form, share: float) -> Form:
    heading = direction(rng)
    far = share * (support(target.form, heading) + support(form, heading))
    return form.moved(scaled(heading, far))


def _outline(target: Target, grid: Grid) -> tuple[Tensor, Tensor]:
    """Depth in the target and its mask, on the part of the grid around it, without specks."""
    inside = target.form.depth(grid)
    pieces = cc3d.connected_components((inside > 0).cpu().numpy(), connectivity=6)
    counts = np.bincount(pieces.ravel())[1:]
    order = np.argsort(-counts, kind="stable")[: target.pieces]
    kept = [int(piece) + 1 for piece in order if counts[piece] > _SPECK * counts[order[0]]]
    label = torch.from_numpy(np.isin(pieces, kept)).to(grid.device)
    return inside.masked_fill_((inside > 0) & ~label, NOWHERE), label


def _paint(grid: Grid, signal: Tensor, form: Form, level: float, soft: float, apart: Tensor | None = None) -> None:
    """Blend a form into (X, Y, Z) `signal`, in place, where it does not lie in what has the depth `apart`."""
    box = around(grid, form)
    inside = form.depth(grid.part(box))
    if apart is not None:
        inside = torch.minimum(inside, -apart[box])
    part = signal[box]
    part.add_((level - part).mul_(_ramp(inside, soft)))


def _ramp(inside: Tensor, soft: float) -> Tensor:
    """From 0 outside to 1 inside over `soft` mm."""
    return (inside * (1 / soft)).add_(0.5).clamp_(0, 1)
