"""What a target lies in: tissues in layers or side by side, and a body that ends in air."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mecca_env.data.procedural.noise import Grid, Point
from mecca_env.data.shapes.drawing import UPRIGHT, chosen, log_uniform
from mecca_env.data.shapes.forms import Ellipsoid, Waves

_FIELDS = 32  # first of the streams of noise
_TEXTURES = 40
_BODY = 44


@dataclass(frozen=True)
class Tissues:
    """Intensities of the surroundings.

    Attributes:
        kind: "layers", contours of a field of noise; "folds", contours of its magnitude, as the cortex is folded;
            "cells", where each of several fields is the highest.
        spacing: Of the noise, mm, along each axis.
        levels: Intensities, by layer or by cell.
        marks: Values of noise at which layers end.
        sharp: How quickly one layer turns into the next, 1 over the width in standard deviations of the noise.
        membrane: Intensity of what lies between cells.
        width: Of a membrane, in standard deviations of the noise; 0: there is none.
        textures: Standard deviation and spacing, mm, of fields of noise over all.
    """

    kind: str
    spacing: Point
    levels: tuple[float, ...]
    marks: tuple[float, ...]
    sharp: float
    membrane: float
    width: float
    textures: tuple[tuple[float, float], ...]

    @classmethod
    def draw(cls, rng: np.random.Generator, extent: Point, fine: float, contrast: float) -> Tissues:
        """Random tissues.

        Args:
            rng: What they are drawn from.
            extent: Of the field of view, mm.
            fine: The smallest voxel side, mm.
            contrast: Of the target: the finest texture is not to hide it.
        """
        kind = chosen(rng, {"layers": 0.35, "folds": 0.2, "cells": 0.45})
        side = (extent.x + extent.y + extent.z) / 3
        spacing = log_uniform(rng, 0.14 if kind == "cells" else 0.1, 0.4) * side
        stretch = Point(*(spacing * factor for factor in rng.uniform(0.7, 1.4, 3).tolist()))
        count = int(rng.integers(3, 6)) if kind == "cells" else int(rng.integers(2, 5))
        spread = rng.uniform(0.1, 0.9)
        levels = tuple(0.5 + spread * (level - 0.5) for level in rng.uniform(0.02, 0.98, count).tolist())
        marks = tuple(sorted(rng.uniform(0.1 if kind == "folds" else -1.4, 1.4, count - 1).tolist()))
        sharp = log_uniform(rng, 1.0, 12.0)
        width = rng.uniform(0.1, 0.3) if rng.uniform() < 0.4 else 0.0
        textures = (
            (rng.uniform(0.05, 0.4) * min(contrast, 0.15), rng.uniform(2.0, 5.0) * fine),
            (rng.uniform(0.0, 0.06), rng.uniform(6.0, 16.0) * fine),
        )
        return cls(kind, stretch, levels, marks, sharp, rng.uniform(0.0, 1.0), width, textures)

    def paint(self, grid: Grid) -> Tensor:
        """Their intensities, (X, Y, Z) float32, mostly in [0, 1]."""
        signal = self._cells(grid) if self.kind == "cells" else self._layers(grid)
        for number, (amount, spacing) in enumerate(self.textures):
            signal.add_(grid.noise(_TEXTURES + number, spacing).float().mul_(amount))
        return signal

    def _layers(self, grid: Grid) -> Tensor:
        field = grid.noise(_FIELDS, self.spacing).float()
        if self.kind == "folds":
            field = field.abs_()
        signal = torch.full_like(field, self.levels[0])
        for mark, below, above in zip(self.marks, self.levels[:-1], self.levels[1:], strict=True):
            ramp = (field - mark).mul_(self.sharp).add_(0.5).clamp_(0, 1)
            signal.add_(ramp.mul_(above - below))
        return signal

    def _cells(self, grid: Grid) -> Tensor:
        first = grid.noise(_FIELDS, self.spacing).float()
        second = torch.full_like(first, -9.0)
        signal = torch.full_like(first, self.levels[0])
        for number, level in enumerate(self.levels[1:], start=1):
            field = grid.noise(_FIELDS + number, self.spacing).float()
            signal.masked_fill_(field > first, level)
            if self.width:
                second = torch.maximum(second, torch.minimum(first, field))
            first = torch.maximum(first, field)
        if self.width:
            share = first.sub_(second).mul_(-1 / self.width).add_(1.5).clamp_(0, 1)
            signal.add_(signal.neg().add_(self.membrane).mul_(share))
        return signal


def draw_body(rng: np.random.Generator, extent: Point) -> Ellipsoid:
    """A body that fills most of the field of view."""
    x, y, z = rng.uniform(0.36, 0.52, 3).tolist()
    axes = Point(x * extent.x, y * extent.y, z * extent.z * (2.0 if rng.uniform() < 0.5 else 1.0))
    waves = Waves(_BODY, rng.uniform(0.15, 0.4) * min(extent), rng.uniform(0.0, 0.05) * min(axes))
    return Ellipsoid(Point(0.0, 0.0, 0.0), axes, UPRIGHT, waves)
