"""A random scene: a grid, a target, what lies beside it, and what all of it lies in."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from mecca_env.data.procedural.noise import Point, Size
from mecca_env.data.shapes.drawing import chosen, direction, log_uniform, scaled
from mecca_env.data.shapes.families import FAMILIES, SOLIDS, Target, support
from mecca_env.data.shapes.forms import Ellipsoid, Form
from mecca_env.data.shapes.look import Look
from mecca_env.data.shapes.surroundings import Tissues, draw_body

LEAST = 300
"""Fewest voxels of a target."""

_OTHERS, _ALIKE = 64, 104  # streams of noise, four for each; those of the target are the first 16


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
    def draw(cls, rng: np.random.Generator, families: Collection[str] = tuple(FAMILIES)) -> Scene:
        """A random scene, its target of one of these families, each as often as it weighs."""
        size, spacing = draw_grid(rng)
        extent = Point(*(n * step for n, step in zip(size, spacing, strict=True)))
        voxels, voxel = size[0] * size[1] * size[2], spacing.x * spacing.y * spacing.z
        thin = 0.7 * max(spacing)
        weights = {name: family.weight for name, family in FAMILIES.items() if name in families}
        family = FAMILIES[chosen(rng, weights)]
        volume = max(log_uniform(rng, 0.005, family.largest) * voxels, 1.5 * LEAST) * voxel
        centre = Point(*(side * place for side, place in zip(extent, rng.uniform(-0.2, 0.2, 3).tolist(), strict=True)))
        target = _held(rng, family.make(rng, centre, volume, thin, 0), extent)
        contrast = 0.08 + 0.6 * rng.uniform() * rng.uniform(0.3, 1.0)
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
