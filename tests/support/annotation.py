"""A case, a running server and a way to await, for the tests of the page."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mecca_agents.app.tab.tabs import Tabs


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine and return its result; in a thread of its own, since Playwright has a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


@dataclass(frozen=True)
class Case:
    """A scan on the disk, with its label."""

    folder: Path
    scan: Path
    label_file: Path
    label: NDArray[np.bool_]
    affine: NDArray[np.float64]

    @property
    def box(self) -> tuple[list[int], list[int]]:
        """Around the label."""
        inside = np.argwhere(self.label)
        return inside.min(axis=0).tolist(), (inside.max(axis=0) + 1).tolist()

    def edges(self, count: int, seed: int = 0) -> list[list[int]]:
        """Voxels of the label's surface, apart from each other."""
        from scipy.ndimage import binary_erosion

        surface = np.argwhere(self.label & ~binary_erosion(self.label))
        chosen = np.random.default_rng(seed).permutation(surface)
        kept: list[Any] = []
        for voxel in chosen:
            if all(np.abs(voxel - other).max() > 3 for other in kept):
                kept.append(voxel)
        return [voxel.tolist() for voxel in kept[:count]]


@dataclass(frozen=True)
class Served:
    """A server that runs."""

    url: str
    tabs: Tabs
