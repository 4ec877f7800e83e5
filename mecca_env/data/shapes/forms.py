"""Solid forms as fields of depth: millimetres below the surface, positive inside, exact near it.

A form is drawn in a box of the grid that holds it and its near surroundings. Depths are polynomials of the coordinates,
plus exact noise that makes waves of the surface, so they have the same bits on every device.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

from mecca_env.data.procedural.noise import Grid, Point
from mecca_env.data.shapes.drawing import Turn, moved

MARGIN = 3.0
"""Voxels around a form that belong to its box: its edge fades within them."""

NOWHERE = -1e3
"""Depth, mm, of what is far outside."""


class Form(Protocol):
    """Something with an inside."""

    @property
    def centre(self) -> Point:
        """Its middle, mm."""
        ...

    @property
    def reach(self) -> Point:
        """How far it goes from the centre along each axis at most, mm."""
        ...

    def depth(self, grid: Grid) -> Tensor:
        """Millimetres below its surface, (X, Y, Z) float32, positive inside."""
        ...

    def moved(self, step: Point) -> Self:
        """The same form elsewhere."""
        ...


def around(grid: Grid, form: Form) -> tuple[slice, ...]:
    """The box of `grid` that holds a form and `MARGIN` voxels; one with a voxel where the form lies elsewhere."""
    box = []
    for axis, step, middle, reach in zip(grid.axes, grid.spacing, form.centre, form.reach, strict=True):
        low, high = ((middle + side * (reach + MARGIN * step) - axis[0]) / step for side in (-1, 1))
        first = min(max(int(low), 0), len(axis) - 2)
        box.append(slice(first, min(max(int(high) + 1, first + 2), len(axis))))
    return tuple(box)


@dataclass(frozen=True)
class Waves:
    """Noise on a surface.

    Attributes:
        stream: Which field of noise.
        spacing: Between waves, mm.
        height: Standard deviation, mm.
    """

    stream: int
    spacing: float
    height: float

    def on(self, grid: Grid) -> Tensor:
        """(X, Y, Z) float32, mm."""
        return grid.noise(self.stream, self.spacing).float().mul_(self.height)


@dataclass(frozen=True)
class Ellipsoid:
    """A smooth, wavy, lobed or bent ball.

    Attributes:
        centre: Its middle, mm.
        axes: Half-axes in its own frame, mm.
        frame: Its own axes.
        waves: Of its surface.
        bend: Curvature of its long axis, 1/mm.
    """

    centre: Point
    axes: Point
    frame: Turn
    waves: Waves
    bend: float = 0.0

    @property
    def reach(self) -> Point:
        """See `Form`."""
        sag = abs(self.bend) * self.axes.x * self.axes.x
        axes = Point(self.axes.x, self.axes.y, self.axes.z + sag)
        return _reach(self.frame, axes, 2.0 * self.waves.height)

    def depth(self, grid: Grid) -> Tensor:
        """See `Form`."""
        u, v, w = in_frame(grid, self.centre, self.frame)
        square = u.square_()
        if self.bend:
            w.add_(square * self.bend)
        square = square.mul_(_over_square(self.axes.x))
        square.add_(v.square_().mul_(_over_square(self.axes.y))).add_(w.square_().mul_(_over_square(self.axes.z)))
        return square.sub_(1).mul_(-min(self.axes) / 2).add_(self.waves.on(grid))

    def moved(self, step: Point) -> Ellipsoid:
        """See `Form`."""
        return replace(self, centre=moved(self.centre, step))


@dataclass(frozen=True)
class Plate:
    """A thin, curved sheet with a wavy outline.

    Attributes:
        centre: Its middle, mm.
        axes: Half its length and its width, and half its thickness, mm.
        frame: Its own axes.
        waves: Of its outline and of the sheet.
        bends: Curvatures along its length and along its width, 1/mm.
    """

    centre: Point
    axes: Point
    frame: Turn
    waves: Waves
    bends: tuple[float, float]

    @property
    def reach(self) -> Point:
        """See `Form`."""
        sag = abs(self.bends[0]) * self.axes.x * self.axes.x + abs(self.bends[1]) * self.axes.y * self.axes.y
        axes = Point(self.axes.x, self.axes.y, self.axes.z + sag)
        return _reach(self.frame, axes, 2.0 * self.waves.height)

    def depth(self, grid: Grid) -> Tensor:
        """See `Form`."""
        u, v, w = in_frame(grid, self.centre, self.frame)
        waves = self.waves.on(grid)
        u, v = u.square_(), v.square_()
        w.add_(u * self.bends[0]).add_(v * self.bends[1]).add_(waves * 0.5)
        outline = (
            u.mul_(_over_square(self.axes.x))
            .add_(v.mul_(_over_square(self.axes.y)))
            .sub_(1)
            .mul_(-min(self.axes[:2]) / 2)
        )
        return torch.minimum(w.abs_().neg_().add_(self.axes.z), outline.add_(waves))

    def moved(self, step: Point) -> Plate:
        """See `Form`."""
        return replace(self, centre=moved(self.centre, step))


@dataclass(frozen=True)
class Beads:
    """Overlapping balls: tubes that branch, horns, letters, lobes.

    Attributes:
        balls: Centre, mm, relative to `centre`, and radius, mm, of every ball.
        centre: Where the origin of the balls lies, mm.
        stretch: By how much the form is longer along the scan's axes than its balls.
        waves: Of the surface.
    """

    balls: tuple[tuple[Point, float], ...]
    centre: Point
    stretch: Point
    waves: Waves

    @property
    def reach(self) -> Point:
        """See `Form`."""
        longest = (max(abs(ball[axis]) + radius for ball, radius in self.balls) for axis in range(3))
        extra = 2.0 * self.waves.height
        return Point(*(reach * stretch + extra for reach, stretch in zip(longest, self.stretch, strict=True)))

    def depth(self, grid: Grid) -> Tensor:
        """See `Form`."""
        radii = torch.tensor([radius for _, radius in self.balls], dtype=torch.float32, device=grid.device)[:, None]
        squares, cuts = [], []
        for axis, middle, stretch, line in zip(range(3), self.centre, self.stretch, grid.axes, strict=True):
            places = np.array([middle + stretch * ball[axis] for ball, _ in self.balls])
            away = torch.from_numpy((line - places[:, None]) * (1 / stretch)).to(grid.device, torch.float32)
            squares.append(away.square_().mul_(-0.5).div_(radii))  # of all balls, (K, X), (K, Y) and (K, Z)
            reach = np.array([stretch * 1.2 * radius for _, radius in self.balls]) + 2.0 * self.waves.height
            cuts.append(_spans(line, places, reach))
        x, y, z = squares
        x.add_(radii / 2)
        depth = torch.full(grid.shape, NOWHERE, dtype=torch.float32, device=grid.device)
        for number, (a, b, c) in enumerate(zip(*cuts, strict=True)):
            part = depth[a, b, c]
            torch.maximum(part, (x[number, a, None] + y[number, b])[:, :, None] + z[number, c], out=part)
        return depth.add_(self.waves.on(grid))

    def moved(self, step: Point) -> Beads:
        """See `Form`."""
        return replace(self, centre=moved(self.centre, step))


@dataclass(frozen=True)
class Cloud:
    """Where noise is high inside an ellipsoid.

    Attributes:
        envelope: The ellipsoid.
        waves: The noise; its height is the depth of what lies a standard deviation above the level.
        level: In standard deviations.
    """

    envelope: Ellipsoid
    waves: Waves
    level: float

    @property
    def centre(self) -> Point:
        """See `Form`."""
        return self.envelope.centre

    @property
    def reach(self) -> Point:
        """See `Form`."""
        return self.envelope.reach

    def depth(self, grid: Grid) -> Tensor:
        """See `Form`."""
        cloud = self.waves.on(grid).sub_(self.level * self.waves.height)
        return torch.minimum(cloud, self.envelope.depth(grid))

    def moved(self, step: Point) -> Cloud:
        """See `Form`."""
        return replace(self, envelope=self.envelope.moved(step))


def in_frame(grid: Grid, centre: Point, frame: Turn) -> tuple[Tensor, Tensor, Tensor]:
    """The grid's coordinates in a form's own frame, dense, (X, Y, Z) float32 each."""
    x, y, z = (line - middle for line, middle in zip(grid.coordinates(), centre, strict=True))
    u, v, w = ((x * axis.x + y * axis.y) + z * axis.z for axis in frame)
    return u, v, w


def _over_square(side: float) -> float:
    return 1 / (side * side)  # a power's last bit differs between machines


def _spans(line: NDArray[np.float64], places: NDArray[np.float64], reach: NDArray[np.float64]) -> list[slice]:
    """The parts of an axis within `reach` of each of some places, and two voxels more."""
    step = line[1] - line[0]
    low = ((places - reach - line[0]) / step - 2).astype(int).clip(0, len(line))
    high = ((places + reach - line[0]) / step + 3).astype(int).clip(0, len(line))
    return [slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True)]


def _reach(frame: Turn, axes: Point, extra: float) -> Point:
    """The half sides of the scan's box around a form's own box."""
    u, v, w = frame
    return Point(*(abs(u[k]) * axes.x + abs(v[k]) * axes.y + abs(w[k]) * axes.z + extra for k in range(3)))
