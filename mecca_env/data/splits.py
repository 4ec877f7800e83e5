"""Splits into cases to train on, to test on and labelled ones: by name, the same for every method and machine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from mecca_env.data.base import DataError

SPLITS = ("train", "test", "all")


def split_names(names: Sequence[str], split: str, test_fraction: float = 0.2, seed: int = 0) -> list[str]:
    """The names of one split, of cases or of patients, sorted: the same for every method, machine and order of them.

    A name's place depends on the hash of seed and name. With two names or more both splits hold at least one;
    a single name is a training case.

    Raises:
        DataError: The split is unknown.
    """
    if split not in SPLITS:
        raise DataError(f"split: expected one of {', '.join(SPLITS)}, found {split!r}")
    order = _shuffled(names, f"split:{seed}")
    count = min(max(round(len(order) * test_fraction), 1), max(len(order) - 1, 0))
    return sorted({"test": order[:count], "train": order[count:], "all": order}[split])


def labelled_names(
    names: Sequence[str], fraction: float = 1.0, draw: int = 0, *, count: int | None = None, kind: str = "cases"
) -> list[str]:
    """The cases whose labels may be used when only a part of them is labelled (Sec. 3.6), sorted.

    The sets of one draw are nested: what is labelled at one fraction or number is labelled at every larger one. At
    least one case is labelled unless the fraction or the number is 0.

    Args:
        names: All cases; or patients, whose cases are all labelled or none.
        fraction: Share of them.
        draw: Which draw of the cases; others choose others.
        count: So many of them, in place of a share.
        kind: What the names are of, for the message.

    Raises:
        DataError: The fraction is not in [0, 1], or there are not so many cases.
    """
    if not 0 <= fraction <= 1:
        raise DataError(f"labelled_fraction: expected a number in [0, 1], found {fraction!r}")
    order = _shuffled(names, f"labelled:{draw}")
    if count is None:
        share = round(len(order) * fraction)
        count = max(share, 1) if fraction > 0 else 0
    elif not 0 <= count <= len(order):
        raise DataError(f"labelled_cases: expected at most the {len(order)} {kind} that there are, found {count!r}")
    return sorted(order[:count])


def _shuffled(names: Sequence[str], salt: str) -> list[str]:
    """The distinct names in the order of their hashes, which no version of a library changes."""
    return sorted(set(names), key=lambda name: hashlib.sha256(f"{salt}:{name}".encode()).digest())
