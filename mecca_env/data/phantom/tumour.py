"""A procedural brain tumour: several balls around one centre, a wavy border, signal that frays across it."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, hypot

import numpy as np
import torch
from torch import Tensor

from mecca_env.data.phantom.anatomy import WHITE, Anatomy, Head, Mass, brain_point, to_grid, to_head
from mecca_env.data.procedural.masks import dilated
from mecca_env.data.procedural.noise import Grid, Point

CROSSING = 44.0
"""Depth at which tissue must lie for a tumour to grow through it into the other hemisphere, mm: the corpus callosum."""

THREAD = 2.0
"""Half the width of the thinnest thread an annotator would follow, mm."""

SPARED_GREY, SPARED_FLUID = 0.35, 0.4
"""By how much less a tumour changes the signal of cortex and of sulci than that of white matter."""

_BORDER, _FRAY, _PATCHES = range(16, 19)  # streams of smooth noise, after those of the anatomy


@dataclass(frozen=True)
class Tumour:
    """Everything that differs from one tumour to the next; lengths in mm, signals in the units of `anatomy.WHITE`.

    Attributes:
        centre: A point that lies in every ball, in the head's frame.
        lobes: Centre relative to `centre`, and radius, of every ball.
        stretch: By how much the tumour is longer along each axis than its balls.
        wave: Amplitude of the border's waves.
        inner: Depth below the border at which the signal is fully the tumour's.
        outer: How far infiltration goes on beyond the border, unseen by the annotator.
        halo: Signal of infiltrated white matter above healthy white matter.
        core: Signal of the core above healthy white matter.
        core_depth: Depth of the core below the border.
        necrosis: How dark the middle of the core is, 0 for not at all, 1 for fluid.
        patches: Amplitude of the irregularities inside.
    """

    centre: Point
    lobes: tuple[tuple[Point, float], ...]
    stretch: Point
    wave: float
    inner: float
    outer: float
    halo: float
    core: float
    core_depth: float
    necrosis: float
    patches: float

    @classmethod
    def draw(cls, rng: np.random.Generator, head: Head) -> Tumour:
        """A random tumour in the cerebrum of `head`."""
        radius = rng.uniform(12.0, 25.0)
        return cls(
            centre=brain_point(rng, head, depth=radius + rng.uniform(10.0, 22.0)),
            lobes=((Point(0.0, 0.0, 0.0), 0.85 * radius), *(_lobe(rng, radius) for _ in range(rng.integers(2, 7)))),
            stretch=Point(*rng.uniform(0.85, 1.2, 3).tolist()),
            wave=rng.uniform(1.0, 2.2),
            inner=rng.uniform(5.0, 11.0),
            outer=rng.uniform(2.0, 4.0),
            halo=rng.uniform(0.55, 1.15),
            core=rng.uniform(0.2, 1.2),
            core_depth=rng.uniform(0.3, 0.6) * radius,
            necrosis=max(rng.uniform(-1.0, 0.9), 0.0),
            patches=rng.uniform(0.05, 0.14),
        )

    @property
    def reach(self) -> float:
        """Radius of a ball around the centre that holds the tumour and its infiltration."""
        longest = max(self.stretch)
        lobe = max(hypot(*offset) + radius for offset, radius in self.lobes)
        return lobe * longest + 3 * self.wave + self.outer

    @property
    def mass(self) -> Mass:
        """The displacement of the tumour's surroundings."""
        return Mass(self.centre, 0.8 * self.reach, 0.3)


def _lobe(rng: np.random.Generator, radius: float) -> tuple[Point, float]:
    direction = rng.standard_normal(3)
    size = radius * rng.uniform(0.5, 0.75)
    offset = direction / np.linalg.norm(direction) * rng.uniform(0.6, 0.95) * size
    return Point(*offset.tolist()), size


def grow(grid: Grid, head: Head, tumour: Tumour, anatomy: Anatomy) -> Tensor:
    """Put `tumour` into `anatomy.signal`, in place.

    Args:
        grid: The grid of `anatomy`.
        head: The head of `anatomy`.
        tumour: What grows in it.
        anatomy: The head, already displaced by `tumour.mass`.

    Returns:
        The label, (X, Y, Z) bool: one face-connected component inside the brain and outside its ventricles.
    """
    box = _around(grid, to_grid(head, tumour.centre), tumour.reach)
    local, healthy = grid.part(box), anatomy.part(box)
    border, room = _border(local, head, tumour), _room(tumour, healthy)
    inside = torch.minimum(border, room.double())
    label = torch.zeros(anatomy.depth.shape, dtype=torch.bool, device=grid.device)
    label[box] = _outline(local, inside)
    _infiltrate(local, tumour, healthy, border, room)
    return label


def _around(grid: Grid, centre: Point, reach: float) -> tuple[slice, ...]:
    """The box of `grid` within `reach` of `centre`."""
    near = [np.flatnonzero(np.abs(axis - c) <= reach) for axis, c in zip(grid.axes, centre, strict=True)]
    return tuple(slice(int(n[0]), int(n[-1]) + 1) for n in near)


def _infiltrate(grid: Grid, tumour: Tumour, healthy: Anatomy, border: Tensor, room: Tensor) -> None:
    """Blend the tumour's signal into the healthy one, in place: halo, core, necrosis, irregular all through."""
    frayed = grid.noise(_FRAY, 5.0).mul_(0.4 * tumour.inner).add_(border).float()
    frayed = torch.minimum(frayed, room + tumour.outer)
    share = _smooth((frayed + tumour.outer) * (1 / (tumour.inner + tumour.outer)))
    share = share * (1 - SPARED_GREY * healthy.grey) * (1 - SPARED_FLUID * healthy.fluid)
    patches = grid.noise(_PATCHES, 8.0).float().mul_(tumour.patches)
    core = _smooth((frayed - tumour.core_depth) * (1 / 4.0))
    dead = _smooth((frayed - 1.4 * tumour.core_depth) * (1 / 5.0) + patches * 5.0) * tumour.necrosis
    level = (WHITE + tumour.halo + core * (tumour.core - tumour.halo) + patches) * (1 - 0.7 * dead)
    healthy.signal.add_((level - healthy.signal) * torch.maximum(share, core))


def _border(grid: Grid, head: Head, tumour: Tumour) -> Tensor:
    """Distance from the tumour's border, did nothing confine it, positive inside, (x, y, z) float64."""
    points = to_head(head, grid.coordinates())
    frame = zip(points, tumour.centre, tumour.stretch, strict=True)
    x, y, z = (axis.double().sub_(centre).mul_(1 / stretch) for axis, centre, stretch in frame)
    inside: Tensor | None = None
    for (cx, cy, cz), radius in tumour.lobes:
        square = (x - cx).square_().add_((y - cy).square_()).add_((z - cz).square_())
        lobe = square.sqrt_().neg_().add_(radius)
        inside = lobe if inside is None else _blend(inside, lobe)
    assert inside is not None
    return inside.add_(grid.noise(_BORDER, 11.0).mul_(tumour.wave))


def _room(tumour: Tumour, anatomy: Anatomy) -> Tensor:
    """Distance from what confines a tumour, positive where it can be: brain surface, ventricles, the other side."""
    side = 1.0 if tumour.centre.x > 0 else -1.0
    hemisphere = torch.maximum(anatomy.midline * side, anatomy.depth - CROSSING)
    return torch.minimum(torch.minimum(anatomy.depth, -anatomy.ventricle), hemisphere)


def _blend(a: Tensor, b: Tensor, width: float = 4.0) -> Tensor:
    """The larger of two distances, with the edge between them rounded over `width`."""
    overlap = (a - b).abs_().neg_().add_(width).clamp_(min=0)
    return overlap.square_().mul_(0.25 / width).add_(torch.maximum(a, b))


def _smooth(t: Tensor) -> Tensor:
    """From 0 at t = 0 to 1 at t = 1 without corners."""
    t = t.clamp(0, 1)
    return t * t * (3 - 2 * t)


def _outline(grid: Grid, inside: Tensor) -> Tensor:
    """The mask of `inside` above 0, without what hangs on by less than `THREAD` on either side, (X, Y, Z) bool."""
    outline = _connected(inside > THREAD, int(inside.argmax()))
    for _ in range(ceil(THREAD / float(grid.axes[0][1] - grid.axes[0][0])) + 1):
        outline = dilated(outline) & (inside > 0)
    return outline


def _connected(mask: Tensor, seed: int) -> Tensor:
    """The face-connected component of (X, Y, Z) bool `mask` that holds flat voxel `seed`, by sweeps along the axes."""
    found = torch.zeros_like(mask)
    found.view(-1)[seed] = True
    while True:
        grown = found
        for dim in range(3):
            grown = _sweep(grown, mask, dim)
            grown = _sweep(grown.flip(dim), mask.flip(dim), dim).flip(dim)
        if torch.equal(grown, found):
            return found
        found = grown


def _sweep(found: Tensor, mask: Tensor, dim: int) -> Tensor:
    """`found`, and every voxel that can be reached from it by going up axis `dim` inside `mask`."""
    shape = [1, 1, 1]
    shape[dim] = -1
    position = torch.arange(1, mask.shape[dim] + 1, dtype=torch.int16, device=mask.device).view(shape)
    last_found = (position * found).cummax(dim).values
    last_wall = (position * ~mask).cummax(dim).values
    return last_found > last_wall
