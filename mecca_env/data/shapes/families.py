"""Random targets: of which form, with what beside them that looks the same, and what belongs to them and does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mecca_env.data.procedural.noise import Point
from mecca_env.data.shapes.drawing import chosen, direction, scaled
from mecca_env.data.shapes.forms import Form
from mecca_env.data.shapes.operators import Half, Inside, Union, Wall
from mecca_env.data.shapes.solids import Solid, cloud, ellipsoid, horn, letter, lobes, plate, tubes

SOLIDS: dict[Solid, float] = {ellipsoid: 0.3, lobes: 0.1, plate: 0.15, tubes: 0.25, horn: 0.2}
"""What lies in the surroundings, with weights."""

_NO_OPENING = 1e6  # mm
_STREAMS = 4  # of noise that one solid may take


@dataclass(frozen=True)
class Target:
    """What is to be segmented.

    Attributes:
        family: A key of `FAMILIES`.
        form: Its form.
        alike: Forms that look the same and are not part of it.
        beside: Forms that belong to it, look otherwise and are not part of it: what a wall encloses, what encloses it.
        pieces: Connected pieces that it may have.
        solid: What others of its kind are drawn by.
    """

    family: str
    form: Form
    solid: Solid
    alike: tuple[Form, ...] = ()
    beside: tuple[Form, ...] = ()
    pieces: int = 1

    def moved(self, step: Point) -> Target:
        """The same elsewhere."""
        alike, beside = (tuple(form.moved(step) for form in forms) for forms in (self.alike, self.beside))
        return replace(self, form=self.form.moved(step), alike=alike, beside=beside)


def support(form: Form, heading: Point) -> float:
    """About how far a form goes from its centre in a direction, mm."""
    return 0.75 * (form.reach.x * abs(heading.x) + form.reach.y * abs(heading.y) + form.reach.z * abs(heading.z))


Maker = Callable[[np.random.Generator, Point, float, float, int], Target]


def _simple(family: str, solid: Solid) -> Maker:
    """Targets that are one solid."""

    def make(rng: np.random.Generator, centre: Point, volume: float, thin: float, stream: int) -> Target:
        return Target(family, solid(rng, centre, volume, thin, stream), solid)

    return make


def _wall(rng: np.random.Generator, centre: Point, volume: float, thin: float, stream: int) -> Target:
    form = ellipsoid(rng, centre, 2 * volume, 6 * thin, stream)
    thickness = max(2 * thin, rng.uniform(0.15, 0.3) * min(form.axes))
    opening, far = direction(rng), _NO_OPENING
    if rng.uniform() < 0.5:
        far = rng.uniform(0.1, 0.7) * support(form, opening)
    return Target("wall", Wall(form, thickness, opening, far), ellipsoid, beside=(Inside(form, thickness),))


def _lumen(rng: np.random.Generator, centre: Point, volume: float, thin: float, stream: int) -> Target:
    form = ellipsoid(rng, centre, 2 * volume, 6 * thin, stream)
    thickness = max(2 * thin, rng.uniform(0.12, 0.25) * min(form.axes))
    return Target("lumen", Inside(form, thickness), ellipsoid, beside=(form,))


def _twins(rng: np.random.Generator, centre: Point, volume: float, thin: float, stream: int) -> Target:
    kinds: dict[Solid, float] = {ellipsoid: 0.7, lobes: 0.3}
    solid = chosen(rng, kinds)
    one, heading = solid(rng, centre, volume, thin, stream), direction(rng)
    size = volume * rng.uniform(0.5, 1.6)
    other = solid(rng, centre, size, thin, stream + _STREAMS)
    far = rng.uniform(0.75, 0.95) * (support(one, heading) + support(other, heading))
    other = other.moved(scaled(heading, far))
    twin: Form = Half(other, one)
    if rng.uniform() < 0.4:  # a gap between them that is just seen
        twin = Inside(twin, rng.uniform(0.5, 1.5) * thin)
    return Target("twins", Half(one, other), solid, alike=(twin,))


def _parts(rng: np.random.Generator, centre: Point, volume: float, thin: float, stream: int) -> Target:
    kinds: dict[Solid, float] = {ellipsoid: 0.5, horn: 0.25, lobes: 0.25}
    solid = chosen(rng, kinds)
    count = 2 if rng.uniform() < 0.8 else 3
    forms = [solid(rng, centre, volume / count * rng.uniform(0.8, 1.2), thin, stream)]
    heading = direction(rng)
    for number in range(1, count):
        form = solid(rng, centre, volume / count * rng.uniform(0.6, 1.2), thin, stream + number * _STREAMS)
        far = rng.uniform(0.8, 1.15) * (support(forms[0], heading) + support(form, heading))
        forms.append(form.moved(scaled(heading, far if number == 1 else -far)))
    return Target("parts", Union(tuple(forms)), solid, pieces=count)


@dataclass(frozen=True)
class Family:
    """One kind of target.

    Attributes:
        weight: How often it is drawn, in relation to the others.
        largest: Share of the volume that its targets take at most, about.
        make: Draws one.
    """

    weight: float
    largest: float
    make: Maker


FAMILIES: dict[str, Family] = {
    "ellipsoid": Family(0.26, 0.22, _simple("ellipsoid", ellipsoid)),
    "lobes": Family(0.15, 0.2, _simple("lobes", lobes)),
    "cloud": Family(0.15, 0.18, _simple("cloud", cloud)),
    "plate": Family(0.03, 0.05, _simple("plate", plate)),
    "tubes": Family(0.07, 0.035, _simple("tubes", tubes)),
    "horn": Family(0.12, 0.06, _simple("horn", horn)),
    "letter": Family(0.03, 0.05, _simple("letter", letter)),
    "wall": Family(0.05, 0.15, _wall),
    "lumen": Family(0.04, 0.15, _lumen),
    "twins": Family(0.06, 0.15, _twins),
    "parts": Family(0.04, 0.035, _parts),
}
"""All families by name. About half of the targets fill a good part of the box around them, as most organs do: an agent
that hardly ever sees that takes what it is not sure of for background."""
