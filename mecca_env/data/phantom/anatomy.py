"""A procedural head: brain, cortex, ventricles and deep nuclei as smooth fields, and what FLAIR makes of them.

All lengths are millimetres in nibabel's RAS directions (x right, y front, z up) from the centre of the field of view.
Sizes are those of an adult brain, about 140 x 170 x 120 mm, cortex 3 mm thick, folded every 10-15 mm.
Only sums, products, quotients and square roots of exact noise are used, all of them rounded the same way everywhere, so
that a CPU and a GPU draw the same head.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, radians, sin

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.data.procedural.noise import Grid, Point, Size

CSF, GREY, WHITE = 0.24, 0.65, 0.50
"""FLAIR signal of healthy tissue, arbitrary units: fluid is nulled, grey matter a little brighter than white."""

LIFT = -1.0
"""Height of the widest level of the cerebrum above the centre of the field of view, mm."""

BRAIN_RADIUS = 66.0
"""Turns the dimensionless depth inside the brain's ellipsoid into millimetres: the mean of its half-axes."""

_CANDIDATES = 1024  # points tried for a tumour: the box of the brain has room for it in about one of 20


@dataclass(frozen=True)
class Head:
    """Everything that differs from one healthy head to the next; lengths in mm.

    Attributes:
        size: Half-axes of the brain: right-left, front-back, and upwards from the level of its widest slice.
        tilt: Rotation of the head about z and about y, degrees.
        taper: How much narrower the front of the brain is than its back.
        fold: Spacing of the noise whose zero levels are the sulci.
        sulcus: Half-width of a sulcus; atrophy widens it.
        sulcus_depth: How far sulci reach inwards.
        cortex: Thickness of the grey matter.
        ventricle: Size of the lateral ventricles relative to an average adult's.
        caps: Strength of the harmless bright rims and spots in periventricular white matter.
    """

    size: Point
    tilt: tuple[float, float]
    taper: float
    fold: float
    sulcus: float
    sulcus_depth: float
    cortex: float
    ventricle: float
    caps: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Head:
        """A random adult head."""
        scale = rng.uniform(0.92, 1.03)
        return cls(
            size=Point(*(scale * rng.uniform(0.95, 1.05, 3) * (67.0, 82.0, 56.0)).tolist()),
            tilt=(rng.uniform(-6.0, 6.0), rng.uniform(-5.0, 5.0)),
            taper=rng.uniform(0.05, 0.2),
            fold=rng.uniform(6.5, 8.0),
            sulcus=rng.uniform(0.2, 0.9),
            sulcus_depth=rng.uniform(13.0, 20.0),
            cortex=rng.uniform(2.6, 3.6),
            ventricle=rng.uniform(0.7, 1.5),
            caps=rng.uniform(0.0, 1.0),
        )


@dataclass(frozen=True)
class Mass:
    """The effect of a growing tumour on its surroundings: it pushes them outwards from its centre.

    Attributes:
        centre: Centre of the push, mm.
        reach: Distance at which the push has fallen to half, mm.
        strength: Share of the distance to the centre by which tissue has moved there, in [0, 1).
    """

    centre: Point
    reach: float
    strength: float


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A healthy head on a grid; every field is (X, Y, Z).

    Attributes:
        depth: Distance from the brain's smooth outer surface, mm, positive inside, float32.
        ventricle: Distance from the ventricles' walls, mm, positive inside, float32.
        midline: Distance from the plane between the hemispheres, mm, positive on the right, float32.
        grey: Share of grey matter, in [0, 1], float32.
        fluid: Share of cerebrospinal fluid, in [0, 1], float32.
        signal: Intensity without bias and noise, float32.
    """

    depth: Tensor
    ventricle: Tensor
    midline: Tensor
    grey: Tensor
    fluid: Tensor
    signal: Tensor

    def part(self, box: tuple[slice, ...]) -> Anatomy:
        """The same fields cut to `box`, sharing memory."""
        return Anatomy(
            self.depth[box], self.ventricle[box], self.midline[box], self.grey[box], self.fluid[box], self.signal[box]
        )


FISSURE_DEPTH = 30.0
"""Reach of the fissure between the hemispheres inwards, mm; deeper lies the corpus callosum."""

PARTIAL_VOLUME = 2.0
"""Width over which one tissue blends into the next, mm: a voxel."""

SQUEEZE = 5.0
"""Narrowing of a sulcus for each unit of a mass's strength, mm."""

_SURFACE, _BEND, _FOLD, _REACH, _TEXTURE, _FOLIA, _CAPS = range(7)


def brain_box(head: Head, spacing: tuple[float, float, float], size: Size) -> tuple[slice, ...]:
    """The part of a scan of `size` voxels, `spacing` mm apart, that the brain can reach, never its border."""
    reach = (head.size.x + 8, head.size.y + 8, 64.0)
    halves = [min(int(np.ceil(r / s)) + 1, n // 2 - 1) for r, s, n in zip(reach, spacing, size, strict=True)]
    return tuple(slice(n // 2 - h, (n + 1) // 2 + h) for n, h in zip(size, halves, strict=True))


def healthy(grid: Grid, head: Head, mass: Mass) -> Anatomy:
    """Draw a head, its inner parts displaced by `mass`, on `grid`."""
    x, y, z = to_head(head, grid.coordinates())
    parts = _parts(head, x, y, z)
    ripple = grid.noise(_SURFACE, 34.0).float().mul_(1.6)
    depth, cleft = _union(parts, ripple, x, y, z)
    px, py, pz, share = _pushed(x, y, z, mass)
    midline = grid.noise(_BEND, 45.0).float().mul_(1.2).add_(px)
    ventricle = _ventricles(head, midline, py, pz)
    hindbrain = torch.maximum(parts[2], parts[3]) > torch.maximum(parts[0], parts[1])
    surface = _pial_distance(grid, head, depth, cleft, midline, hindbrain)
    fluid = _ramp(share.mul_(SQUEEZE).add_(head.sulcus).sub_(surface))
    grey = _ramp(head.sulcus + head.cortex - surface)
    grey = torch.where(hindbrain, _folia(grid, parts), grey)
    grey = torch.maximum(grey, _nuclei(midline, py, pz))
    fluid = torch.maximum(fluid, _ramp(ventricle))
    texture = grid.noise(_TEXTURE, 7.0).float()
    bright = _ramp((ventricle + 2.5) * 0.5) + _ramp((grid.noise(_CAPS, 9.0).float() - 2.4) * 4) * _ramp(depth - 12)
    signal = WHITE + grey * (GREY - WHITE) + texture * 0.015 + bright * (0.25 * head.caps) * (1 - grey)
    signal = signal + fluid * (CSF - signal)
    return Anatomy(depth, ventricle, midline, grey, fluid, signal)


def _ramp(distance: Tensor) -> Tensor:
    """From 0 outside to 1 inside over one voxel of partial volume, float32."""
    return (distance * (1 / PARTIAL_VOLUME)).add_(0.5).clamp_(0, 1)


def to_head(head: Head, points: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Coordinates in the head's own, upright frame; the result is dense, (X, Y, Z) each."""
    x, y, z = points
    yaw, lean = (radians(angle) for angle in head.tilt)
    x, y = x * cos(yaw) - y * sin(yaw), x * sin(yaw) + y * cos(yaw)
    x, z = x * cos(lean) - z * sin(lean), x * sin(lean) + z * cos(lean)
    y = y.expand_as(x).contiguous()  # elementwise code is several times slower on a stride of 0
    return x, y, z.sub_(LIFT)


def to_grid(head: Head, point: Point) -> Point:
    """The inverse of `to_head` for one point."""
    yaw, lean = (radians(angle) for angle in head.tilt)
    x, y, z = point.x, point.y, point.z + LIFT
    x, z = x * cos(lean) + z * sin(lean), z * cos(lean) - x * sin(lean)
    return Point(x * cos(yaw) + y * sin(yaw), y * cos(yaw) - x * sin(yaw), z)


def brain_point(rng: np.random.Generator, head: Head, depth: float) -> Point:
    """A random point of the cerebrum, in the head's frame, for a tumour to start from.

    It lies at least `depth` mm deep where the head has such a point, above the brain's base, 14 mm clear of the
    midline and 7 mm of the ventricles.
    """
    points = rng.uniform(-1.0, 1.0, (_CANDIDATES, 3)) * head.size
    x, y, z = torch.from_numpy(points.astype(np.float32)).unbind(1)
    deep = _parts(head, x, y, z)[0]
    clear = (x.abs() > 14.0) & (z > -15.0) & (_ventricles(head, x, y, z) < -7.0)
    enough = deep.clamp(max=depth).where(clear, -torch.inf)
    return Point(*points[int((enough == enough.max()).nonzero()[0])].tolist())


def _pushed(x: Tensor, y: Tensor, z: Tensor, mass: Mass) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dx, dy, dz = x - mass.centre.x, y - mass.centre.y, z - mass.centre.z
    square = (dx * dx).add_(dy * dy).add_(dz * dz).mul_(1 / mass.reach**2)
    share = square.add_(1).reciprocal_().mul_(-mass.strength)
    return dx.mul_(share).add_(x), dy.mul_(share).add_(y), dz.mul_(share).add_(z), share


def _ellipsoid(x: Tensor, y: Tensor, z: Tensor, centre: Point, axes: Point) -> Tensor:
    """Depth inside an ellipsoid: 1 - its normalised radius, times its mean half-axis, mm."""
    square = _square(x, centre.x, axes.x).add_(_square(y, centre.y, axes.y)).add_(_square(z, centre.z, axes.z))
    return square.sqrt_().sub_(1).mul_(-sum(axes) / 3)


def _square(x: Tensor, centre: float, axis: float) -> Tensor:
    return (x - centre).mul_(1 / axis).square_()


def _parts(head: Head, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Depths inside the cerebrum without its temporal lobes, the temporal lobes, the cerebellum and the brain stem."""
    sx, sy, sz = head.size
    width = x / (1 - y * (head.taper / sy))
    square = _square(z.clamp(min=0), 0.0, sz).add_(_square(z.clamp(max=0), 0.0, 0.7 * sz))
    square.add_(_square(width, 0.0, sx)).add_(_square(y, 0.0, sy))
    cerebrum = square.sqrt_().sub_(1).mul_(-BRAIN_RADIUS)
    side = width.abs_()
    temporal = _ellipsoid(side, y, z, Point(0.6 * sx, 0.08 * sy, -22.0), Point(0.34 * sx, 0.52 * sy, 19.0))
    cerebellum = _ellipsoid(side, y, z, Point(17.0, -0.58 * sy, -36.0), Point(32.0, 27.0, 21.0))
    stem = _ellipsoid(x, y + 0.25 * z, z, Point(0.0, -34.0, -34.0), Point(12.0, 11.0, 27.0))
    return cerebrum, temporal, cerebellum, stem


def _union(
    parts: tuple[Tensor, Tensor, Tensor, Tensor], ripple: Tensor, x: Tensor, y: Tensor, z: Tensor
) -> tuple[Tensor, Tensor]:
    """Depth inside the union, and the distance from its clefts: the Sylvian fissures and the tentorium."""
    cerebrum, temporal, cerebellum, stem = parts
    upper = torch.maximum(cerebrum, temporal)
    depth = torch.maximum(upper, torch.maximum(cerebellum, stem)) + ripple
    sylvian = torch.maximum((z + 7.0 - 0.35 * y).abs(), torch.maximum(depth - 24.0, (y - 6.0).abs() - 32.0))
    sylvian = torch.maximum(sylvian, 30.0 - x.abs())
    tentorium = (upper - torch.maximum(cerebellum, stem - 8.0)).abs() / 2
    return depth, torch.minimum(sylvian, tentorium)


def _pial_distance(grid: Grid, head: Head, depth: Tensor, cleft: Tensor, midline: Tensor, hindbrain: Tensor) -> Tensor:
    """Distance from the folded surface of the cortex, sulci and fissures included, (X, Y, Z), mm."""
    level = grid.noise(_FOLD, head.fold).float()
    slope = _slope(level, grid.axes).add_(0.25 / head.fold)
    floor = grid.noise(_REACH, 14.0).float().mul_(5.0).add_(depth).sub_(head.sulcus_depth)
    sulcus = torch.maximum(level.abs_().div_(slope), floor)
    sulcus = torch.where(hindbrain, depth, sulcus)
    fissure = torch.maximum(midline.abs(), depth - FISSURE_DEPTH)
    return torch.minimum(torch.minimum(depth + head.sulcus, sulcus), torch.minimum(fissure, cleft))


def _slope(level: Tensor, axes: tuple[NDArray[np.float64], ...]) -> Tensor:
    """Length of the gradient of (X, Y, Z) `level`, per mm."""
    square = torch.zeros_like(level)
    for dim, axis in enumerate(axes):
        step = level.narrow(dim, 2, level.shape[dim] - 2) - level.narrow(dim, 0, level.shape[dim] - 2)
        square.narrow(dim, 1, level.shape[dim] - 2).add_(step.mul_(1 / (axis[2] - axis[0])).square_())
    return square.sqrt_()


def _ventricles(head: Head, midline: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Depth inside the lateral ventricles, two arcs that flare outwards at both ends, and the third, a slit."""
    size = head.ventricle
    side, along = midline.abs(), (y + 8.0).mul_(1 / 40.0)
    square = along * along
    across = _square(side - 15.0 * square, 7.0 + 2.0 * size, 5.5 * size)
    up = _square(z + 14.0 * square - 3.0 * along, 10.0, 7.5 * size)
    lateral = across.add_(up).add_(square.square_()).sqrt_().sub_(1).mul_(-5.5 * size)
    third = _ellipsoid(side, y, z, Point(0.0, -4.0, -6.0), Point(1.6 + size, 14.0, 9.0))
    return torch.maximum(lateral, third)


def _nuclei(midline: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Share of deep grey matter: thalami, lentiform nuclei and the heads of the caudate."""
    side = midline.abs()
    thalamus = _ellipsoid(side, y, z, Point(11.0, -16.0, 0.0), Point(9.0, 14.0, 10.0))
    lentiform = _ellipsoid(side - 0.25 * y, y, z, Point(25.0, 4.0, 0.0), Point(6.5, 17.0, 10.0))
    caudate = _ellipsoid(side, y, z, Point(15.5, 20.0, 5.0), Point(5.0, 10.0, 10.0))
    return _ramp(torch.maximum(torch.maximum(thalamus, lentiform), caudate)) * 0.8


def _folia(grid: Grid, parts: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
    """Share of grey matter in the cerebellum, a stack of thin leaves, and in the stem, nearly white."""
    cerebellum = parts[2]
    phase = cerebellum * (1 / 6.0) + grid.noise(_FOLIA, 14.0).float()
    leaf = (phase - torch.floor(phase) - 0.5).abs() * 2
    return torch.where(cerebellum > 0, (0.35 + 0.65 * leaf) * _ramp((14 - cerebellum) * (1 / 3)), 0.15)
