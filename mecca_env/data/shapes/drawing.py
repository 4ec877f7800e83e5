"""Random numbers that are the same everywhere: only sums, products and roots, and what else there is rounded."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from math import cos, radians, sin, sqrt
from typing import TypeVar

import numpy as np

from mecca_env.data.procedural.noise import Point

Choice = TypeVar("Choice")

Turn = tuple[Point, Point, Point]
"""A rotation: the three axes of a shape's own frame, unit vectors."""

UPRIGHT: Turn = (Point(1.0, 0.0, 0.0), Point(0.0, 1.0, 0.0), Point(0.0, 0.0, 1.0))


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A positive number whose logarithm is uniform, of five digits: a power's last bit differs between machines."""
    return float(f"{low * (high / low) ** rng.uniform():.5g}")


def chosen(rng: np.random.Generator, weights: Mapping[Choice, float]) -> Choice:
    """One of the keys, each as often as its weight says."""
    ends = list(accumulate(weights.values()))  # not sum(), whose last bit depends on Python's version
    place = bisect_right(ends, rng.uniform() * ends[-1])
    return list(weights)[min(place, len(ends) - 1)]


def unit_circle(degrees: float) -> tuple[float, float]:
    """Cosine and sine, rounded likewise."""
    return round(cos(radians(degrees)), 6), round(sin(radians(degrees)), 6)


def direction(rng: np.random.Generator) -> Point:
    """A uniform unit vector."""
    while True:
        x, y, z = rng.uniform(-1.0, 1.0, 3).tolist()
        length = x * x + y * y + z * z
        if 0.01 < length <= 1.0:
            return scaled(Point(x, y, z), 1 / sqrt(length))


def turn(rng: np.random.Generator) -> Turn:
    """A uniform rotation."""
    first = direction(rng)
    while True:
        other = direction(rng)
        along = dot(first, other)
        if abs(along) < 0.95:
            break
    second = scaled(moved(other, first, -along), 1 / sqrt(1 - along * along))
    return first, second, cross(first, second)


def dot(a: Point, b: Point) -> float:
    """The scalar product."""
    return a.x * b.x + a.y * b.y + a.z * b.z


def cross(a: Point, b: Point) -> Point:
    """The vector product."""
    return Point(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x)


def scaled(a: Point, factor: float) -> Point:
    """The point times a number."""
    return Point(a.x * factor, a.y * factor, a.z * factor)


def moved(a: Point, step: Point, factor: float = 1.0) -> Point:
    """The point, and `factor` times a step from it."""
    return Point(a.x + factor * step.x, a.y + factor * step.y, a.z + factor * step.z)


def length(a: Point) -> float:
    """The distance from the origin."""
    return sqrt(dot(a, a))


def out_of(frame: Turn, point: Point) -> Point:
    """A point given in a shape's frame, in the scan's axes."""
    x, y, z = frame
    return moved(moved(scaled(x, point.x), y, point.y), z, point.z)
