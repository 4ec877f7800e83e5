"""An endless data set of random shapes; a case is a pure function of its index.

No case is meant to look like an organ. An agent that finds all of these, of any form, shade and texture, among others
of the same kind, has learned to use prompts and borders, which is of use on organs that it never saw.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mecca_env.data.base import Scan
from mecca_env.data.procedural.noise import Grid
from mecca_env.data.procedural.source import ProceduralSource, checked_index
from mecca_env.data.shapes.families import FAMILIES
from mecca_env.data.shapes.painting import paint
from mecca_env.data.shapes.scanner import Scanner
from mecca_env.data.shapes.scene import Scene

_SCALARS = 0x73686470  # name of the random stream


def shapes_scan(
    index: int, *, families: Collection[str] = tuple(FAMILIES), device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor, Scene]:
    """Draw case `index`; the result depends on nothing else, not even on the device.

    Args:
        index: Case number in [0, 2^30).
        families: What targets may be, keys of `FAMILIES`.
        device: Where to draw it and leave it.

    Returns:
        image: (1, X, Y, Z) float32, arbitrary units.
        label: (X, Y, Z) bool, the target.
        scene: What was drawn, its grid included.

    Raises:
        IndexError: `index` is out of range.
    """
    index = checked_index(ShapesSource.name, index)
    for attempt in count():  # few targets come out too small or too large
        rng = np.random.default_rng([index, _SCALARS, attempt])
        scene = Scene.draw(rng, families)
        scanner = Scanner.draw(rng, scene.extent, scene.look.contrast)
        grid = Grid.whole(scene.size, scene.extent, int(rng.integers(2**32)), torch.device(device))
        painted = paint(scene, grid)
        if painted is not None:
            signal, label = painted
            return scanner.acquire(grid, signal)[None], label, scene
    raise AssertionError("there is always another attempt")


class ShapesSource(ProceduralSource):
    """2^30 volumes of random shapes as a `VolumeSource`; recently used ones are kept in memory.

    Args:
        families: What targets may be, keys of `mecca_env.data.shapes.families.FAMILIES`.
        **settings: See `ProceduralSource`.

    Attributes:
        name: "shapes".
        modalities: 1.

    Raises:
        ValueError: There is no such family, or none is given.
    """

    name = "shapes"
    words = "the built-in random shapes"

    def __init__(self, *, families: Collection[str] = tuple(FAMILIES), **settings: Any) -> None:
        super().__init__(**settings)
        if not families or not set(families) <= set(FAMILIES):
            raise ValueError(f"families: expected some of {', '.join(FAMILIES)}, got {families!r}")
        self._families = tuple(families)

    def scan(self, index: int) -> Scan:
        """Case `index` on its whole grid. Raises `IndexError` when out of range."""
        image, label, scene = shapes_scan(index, families=self._families, device=self._device)
        grid = Grid.whole(scene.size, scene.extent, 0, torch.device("cpu"))
        return Scan(self.case_name(index), image.cpu().numpy(), label.cpu().numpy(), grid.affine)
