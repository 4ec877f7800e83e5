"""Random forms of a wanted volume."""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt

import numpy as np

from mecca_env.data.procedural.noise import Point
from mecca_env.data.shapes.drawing import Turn, direction, length, moved, out_of, scaled, turn, unit_circle
from mecca_env.data.shapes.forms import Beads, Cloud, Ellipsoid, Form, Plate, Waves

Solid = Callable[[np.random.Generator, Point, float, float, int], Form]
"""From a generator, a centre in mm, a volume in mm3, the least thickness in mm and a stream of noise to a form."""

Path = list[tuple[Point, float]]
"""Points and radii along a curve, mm."""

_STEP = 0.5  # between the balls of a curve, in radii: the dents between them are 3 % deep


def ellipsoid(rng: np.random.Generator, centre: Point, volume: float, thin: float, stream: int) -> Ellipsoid:
    """From smooth to lobed, from round to long, flat or bent."""
    x, y, z = rng.uniform(0.5, 1.6, 3).tolist()
    scale = _cube_root(volume / (4 / 3 * pi * x * y * z))
    axes = Point(*sorted((max(scale * side, thin) for side in (x, y, z)), reverse=True))
    bend = rng.uniform(-0.45, 0.45) / axes.x if rng.uniform() < 0.5 else 0.0
    waves = Waves(stream, rng.uniform(0.45, 1.3) * _middle(axes), min(axes) * rng.uniform(0.03, 0.33))
    return Ellipsoid(centre, axes, turn(rng), waves, bend)


def lobes(rng: np.random.Generator, centre: Point, volume: float, thin: float, stream: int) -> Beads:
    """A few balls grown together."""
    radius = max(_cube_root(volume / 8.0), 1.2 * thin)
    balls = [(Point(0.0, 0.0, 0.0), radius)]
    for _ in range(int(rng.integers(2, 7))):
        size = radius * rng.uniform(0.5, 0.95)
        balls.append((scaled(direction(rng), radius * rng.uniform(0.7, 1.25)), size))
    waves = Waves(stream, rng.uniform(0.6, 1.2) * radius, radius * _skewed(rng, 0.02, 0.15))
    return Beads(tuple(balls), centre, _stretch(rng), waves)


def cloud(rng: np.random.Generator, centre: Point, volume: float, thin: float, stream: int) -> Cloud:
    """A region of smooth noise above a level, with bays, arms and holes."""
    level = rng.uniform(-0.5, 0.4)
    share = 0.5 - 0.38 * level
    x, y, z = rng.uniform(0.6, 1.5, 3).tolist()
    scale = _cube_root(volume / (4 / 3 * pi * x * y * z * share))
    axes = Point(*(max(scale * side, 1.5 * thin) for side in (x, y, z)))
    spacing = max(rng.uniform(0.4, 0.85) * _middle(axes), 3.0 * thin)
    envelope = Ellipsoid(centre, axes, turn(rng), Waves(stream + 1, spacing, 0.1 * min(axes)))
    return Cloud(envelope, Waves(stream, spacing, 0.45 * spacing), level)


def plate(rng: np.random.Generator, centre: Point, volume: float, thin: float, stream: int) -> Plate:
    """A thin, curved sheet."""
    half = max(thin, _cube_root(volume) * rng.uniform(0.09, 0.17))
    area, ratio = volume / (2 * half), rng.uniform(1.0, 2.2)
    side = max(sqrt(area / (pi * ratio)), 2.5 * half)
    bends = (rng.uniform(0.2, 0.7) / (ratio * side), rng.uniform(-0.6, 0.6) / side)
    waves = Waves(stream, rng.uniform(0.5, 1.1) * side, rng.uniform(0.02, 0.14) * side)
    return Plate(centre, Point(ratio * side, side, half), turn(rng), waves, bends)


def tubes(rng: np.random.Generator, centre: Point, volume: float, thin: float, stream: int) -> Beads:
    """A trunk with one to five branches, all of them tapering."""
    count = int(rng.integers(2, 7))
    radius = max(_cube_root(volume) * rng.uniform(0.28, 0.4), 1.3 * thin)
    total = volume / (pi * 0.49 * radius * radius)
    long = max(total / (1 + 0.6 * (count - 1)), 4 * radius)
    trunk = _curve(rng, Point(0.0, 0.0, 0.0), direction(rng), long, (radius, max(0.6 * radius, thin)))
    balls = list(trunk)
    for _ in range(count - 1):
        start, thickness = balls[int(rng.integers(len(balls) // 5, len(balls)))]
        end = max(rng.uniform(0.4, 0.7) * thickness, thin)
        balls += _curve(rng, start, direction(rng), rng.uniform(0.35, 0.7) * long, (max(0.8 * thickness, thin), end))
    return _centred(rng, balls, centre, Waves(stream, 4 * radius, _skewed(rng, 0.02, 0.12) * radius))


def horn(rng: np.random.Generator, centre: Point, volume: float, thin: float, stream: int) -> Beads:
    """A bent tube that is thick at one end or in its middle, as a hippocampus or a kidney is."""
    slim = rng.uniform(3.0, 8.0)  # length in radii
    radius = max(_cube_root(volume / (pi * 0.55 * slim)), 1.2 * thin)
    ends = (rng.uniform(0.7, 1.0), rng.uniform(0.25, 0.7)) if rng.uniform() < 0.6 else (0.65, 0.65)
    radii = (max(ends[0] * radius, thin), max(ends[1] * radius, thin))
    balls = _arc(rng.uniform(70.0, 200.0), slim * radius, radii, bulge=0.0 if ends[0] != ends[1] else 0.35 * radius)
    waves = Waves(stream, rng.uniform(1.0, 2.0) * radius, radius * _skewed(rng, 0.03, 0.25))
    return _centred(rng, _turned(turn(rng), balls), centre, waves)


def letter(rng: np.random.Generator, centre: Point, volume: float, thin: float, stream: int) -> Beads:
    """An L, or a C that is nearly closed."""
    slim = rng.uniform(7.0, 12.0)
    radius = max(_cube_root(volume / (pi * slim)), thin)
    long, same = slim * radius, (radius, radius)
    if rng.uniform() < 0.5:
        balls = _arc(rng.uniform(220.0, 310.0), long, same)
    else:
        share, corner = rng.uniform(0.4, 0.65), Point(0.0, 0.0, 0.0)
        cosine, sine = unit_circle(rng.uniform(70.0, 110.0))
        balls = _line(corner, Point(share * long, 0.0, 0.0), same)
        balls += _line(corner, Point((1 - share) * long * cosine, (1 - share) * long * sine, 0.0), same)
    waves = Waves(stream, rng.uniform(1.0, 2.5) * radius, radius * _skewed(rng, 0.03, 0.2))
    return _centred(rng, _turned(turn(rng), balls), centre, waves)


def _curve(rng: np.random.Generator, start: Point, heading: Point, long: float, radii: tuple[float, float]) -> Path:
    """A quadratic curve from `start`, its end bent away from `heading`."""
    middle = moved(start, heading, long / 2)
    end = moved(moved(middle, heading, long / 3), direction(rng), long / 2)
    return _sampled(
        lambda t: moved(
            moved(scaled(start, (1 - t) * (1 - t)), middle, 2 * t * (1 - t)),
            end,
            t * t,
        ),
        long,
        radii,
    )


def _arc(degrees: float, long: float, radii: tuple[float, float], bulge: float = 0.0) -> Path:
    """Part of a circle in the plane of the first two axes."""
    circle = long / (pi * degrees / 180)

    def at(t: float) -> Point:
        cosine, sine = unit_circle(degrees * (t - 0.5))
        return Point(circle * cosine, circle * sine, 0.0)

    return _sampled(at, long, radii, bulge)


def _line(start: Point, end: Point, radii: tuple[float, float]) -> Path:
    step = moved(end, start, -1.0)
    return _sampled(lambda t: moved(start, step, t), length(step), radii)


def _sampled(at: Callable[[float], Point], long: float, radii: tuple[float, float], bulge: float = 0.0) -> Path:
    """Points of a curve, close enough to each other for balls of the radii there, thicker by `bulge` in the middle."""
    count = max(int(long / (_STEP * min(radii))) + 1, 2)
    places = [number / (count - 1) for number in range(count)]
    return [(at(t), radii[0] + t * (radii[1] - radii[0]) + 4 * t * (1 - t) * bulge) for t in places]


def _turned(frame: Turn, balls: Path) -> Path:
    return [(out_of(frame, place), radius) for place, radius in balls]


def _centred(rng: np.random.Generator, balls: Path, centre: Point, waves: Waves) -> Beads:
    """The balls, moved so that `centre` is in the middle of their box."""
    middle = Point(
        *(
            (max(place[k] + radius for place, radius in balls) + min(place[k] - radius for place, radius in balls)) / 2
            for k in range(3)
        )
    )
    balls = [(moved(place, middle, -1.0), radius) for place, radius in balls]
    return Beads(tuple(balls), centre, _stretch(rng), waves)


def _stretch(rng: np.random.Generator) -> Point:
    x, y, z = rng.uniform(0.75, 1.35, 3).tolist()
    return scaled(Point(x, y, z), 1 / _cube_root(x * y * z))


def _skewed(rng: np.random.Generator, low: float, high: float) -> float:
    """Between `low` and `high`, small numbers more often."""
    u = rng.uniform()
    return low + (high - low) * u * u


def _cube_root(volume: float) -> float:
    return float(f"{volume ** (1 / 3):.6g}")


def _middle(axes: Point) -> float:
    return (axes.x + axes.y + axes.z) / 3
