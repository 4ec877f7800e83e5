"""What people have given in earlier sessions, case by case and step by step, to be given again in episodes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mecca_env.atomic import os_errors_as, write_text
from mecca_env.data.base import Box, DataError

FORMAT = 1
"""Version of the file."""


@dataclass(frozen=True, eq=False)
class RecordedPrompts:
    """What somebody gave on one scan.

    Attributes:
        points: Before each of their steps, (K, 3) float64, voxels of the scan, fractions included; K may be 0.
        signs: Of those, (K,) int8: 1 inside the target, -1 outside of it, 0 where nobody said.
        box: What they drew; None: nothing.
    """

    points: tuple[NDArray[np.float64], ...]
    signs: tuple[NDArray[np.int8], ...]
    box: Box | None = None

    @property
    def plain(self) -> dict[str, Any]:
        """The same as JSON holds it: `box`, and `steps` with x, y, z and side of each point."""
        steps = [
            [[*map(float, point), int(sign)] for point, sign in zip(points, signs, strict=True)]
            for points, signs in zip(self.points, self.signs, strict=True)
        ]
        return {"box": None if self.box is None else [list(map(int, corner)) for corner in self.box], "steps": steps}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> RecordedPrompts:
        """What `plain` made. Raises `ValueError`, `TypeError` or `KeyError` where it did not."""
        steps = [np.array(step, np.float64).reshape(-1, 4) for step in plain["steps"]]
        if not steps or not all(np.isfinite(step).all() and np.isin(step[:, 3], (-1, 0, 1)).all() for step in steps):
            raise ValueError("expected steps with finite points and sides of -1, 0 or 1")
        box = plain["box"]
        if box is not None:
            (a, b, c), (d, e, f) = ([int(v) for v in corner] for corner in box)
            box = ((a, b, c), (d, e, f))
        return cls(tuple(step[:, :3] for step in steps), tuple(step[:, 3].astype(np.int8) for step in steps), box)


@dataclass(frozen=True)
class Recordings:
    """The recorded prompts of a data set.

    Attributes:
        cases: By the name of the case.
        share: Of the episodes of such a case, those in which they are given.
    """

    cases: Mapping[str, RecordedPrompts]
    share: float = 1.0

    @cached_property
    def identity(self) -> str:
        """A text that others have not."""
        text = json.dumps([self.share, {name: found.plain for name, found in self.cases.items()}], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def write_recordings(path: Path, cases: Mapping[str, RecordedPrompts]) -> None:
    """Write the prompts of several cases, whole or not at all. Raises `OSError`."""
    data = {"format": FORMAT, "cases": {name: found.plain for name, found in cases.items()}}
    write_text(path, json.dumps(data) + "\n")


def read_recordings(path: Path | str, share: float = 1.0) -> Recordings:
    """Read what `write_recordings` wrote.

    Args:
        path: Of the file.
        share: See `Recordings`.

    Raises:
        DataError: The file is missing or something else.
        ValueError: The share is not in [0, 1].
    """
    path, share = Path(path), checked_share(share)
    with os_errors_as(lambda reason: DataError(f"{path}: expected recorded prompts, found {reason}")):
        text = path.read_bytes()
    try:
        data = json.loads(text)
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']!r}, not {FORMAT}")
        found = {str(name): RecordedPrompts.from_plain(plain) for name, plain in data["cases"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        what = f"{type(error).__name__}: {error}"
        raise DataError(f"{path}: expected recorded prompts, found something else ({what})") from error
    return Recordings(found, share)


def checked_share(share: Any) -> float:
    """A share of episodes. Raises `ValueError` where it is no number in [0, 1]."""
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not (isfinite(share) and 0 <= share <= 1):
        raise ValueError(f"prompted: expected a number in [0, 1], got {share!r}")
    return float(share)


def most_of(recordings: Sequence[Recordings], steps: int) -> tuple[int, int]:
    """The most points that are given before one step, and in one episode of so many steps."""
    counts = [[len(points) for points in one.points[:steps]] for found in recordings for one in found.cases.values()]
    return max(map(max, counts), default=0), max(map(sum, counts), default=0)
