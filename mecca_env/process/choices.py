"""Settings that are one of several, or a mixture from which every episode draws its own."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from enum import IntEnum
from math import isfinite
from typing import Any, TypeVar

from mecca_env.tensors.rng import word

Kind = TypeVar("Kind")

WORDS = 1 << 32
"""Number of words that a stream can draw (`mecca_env.tensors.rng.word`)."""


class Purpose(IntEnum):
    """What is drawn for an episode from its own stream; a number once given is kept."""

    USER = 1
    CLICKS = 2
    START = 3
    BOX = 4
    CROP = 5
    JITTER = 6
    SIDE = 7
    DAMAGE = 8
    RECORDED = 9


def read_choice(name: str, given: Any, known: Iterable[Any] | None) -> dict[Any, float]:
    """A setting as weights, which add up to 1.

    Args:
        name: Of the setting, for messages.
        given: One, or a mapping of several to weights.
        known: Those that there are; None: others look at that.

    Raises:
        ValueError: A weight is negative or no number, all are 0, or one is not known.
    """
    single = given if isinstance(given, Hashable) else repr(given)  # which is none that there is
    weights = dict(given) if isinstance(given, Mapping) else {single: 1.0}
    fits = all(
        isinstance(w, (int, float)) and not isinstance(w, bool) and isfinite(w) and w >= 0 for w in weights.values()
    )
    total = sum(weights.values()) if fits else 0
    if not total > 0:
        raise ValueError(f"{name}: expected weights of at least 0 and one above 0, got {given!r}")
    listed = None if known is None else tuple(known)
    unknown = [kind for kind in weights if listed is not None and kind not in listed]
    if unknown:
        names = ", ".join(map(repr, listed or ()))
        raise ValueError(f"{name}: expected one of {names}, or a mapping of them to weights, got {given!r}")
    return {kind: weight / total for kind, weight in weights.items()}


def draw_choice(weights: Mapping[Kind, float], key: int, purpose: Purpose) -> Kind:
    """What an episode has of a mixture.

    Args:
        weights: As `read_choice` returns them.
        key: The episode's stream.
        purpose: Of the draw.
    """
    kinds = list(weights)
    if len(kinds) == 1:
        return kinds[0]
    left = word(key, purpose) / WORDS
    for kind in kinds[:-1]:
        left -= weights[kind]
        if left < 0:
            return kind
    return kinds[-1] if weights[kinds[-1]] else max(kinds, key=weights.__getitem__)  # rounding took it past the last
