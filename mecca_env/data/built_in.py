"""The data sets that are drawn and not read: what they are called, and which stands in for one that is missing."""

from __future__ import annotations

from mecca_env.data.phantom import PhantomSource
from mecca_env.data.procedural.source import ProceduralSource
from mecca_env.data.shapes import ShapesSource

BUILT_IN: dict[str, type[ProceduralSource]] = {"Phantom": PhantomSource, "Shapes": ShapesSource}
"""Every built-in data set by the key inside its environment's id."""

STAND_IN: type[ProceduralSource] = PhantomSource
"""What is played where a data set is missing."""


def built_in(name: str, root: object = None) -> type[ProceduralSource] | None:
    """The built-in data set that results call `name`; None for one that was read from the folder `root`."""
    return next((source for source in BUILT_IN.values() if root is None and source.name == name), None)
