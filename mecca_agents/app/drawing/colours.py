"""Colours for all kinds of colour vision, most of them Okabe and Ito's; lines differ by their dashes, too."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Heat = Literal["probability", "action", "confidence", "hint"]
"""A layer that is shown as colours over the scan, one at a time."""

HEATS: tuple[Heat, ...] = get_args(Heat)


@dataclass(frozen=True)
class Line:
    """The look of a kind of outline.

    Attributes:
        name: In the legend.
        colour: Of CSS.
        dash: Lengths of dashes and gaps, pixels of the screen; empty: one solid line.
        width: Pixels of the screen.
    """

    name: str
    colour: str
    dash: str
    width: float


LINES = {
    "mask": Line("mask", "#f0e442", "", 2.0),
    "label": Line("label", "#56b4e9", "9 5", 2.2),
    "objects": Line("others", "#c3cbd6", "7 3 2 3", 1.4),
    "advice": Line("advice", "#ff9ad5", "3 4", 3.0),
    "box": Line("box", "#ffffff", "14 6", 1.6),
    "view": Line("view", "#c3cbd6", "3 7", 1.4),
    "first": Line("orange", "#e69f00", "", 2.2),
    "second": Line("violet", "#8c7bff", "5 5", 2.2),
}
"""The outlines, by what they show; those of objects have the colours of these. Two proposals are named by theirs."""

MARKS = {"click": "#ff7f0e", "inside": "#2ad4a0", "outside": "#ff7f0e"}
"""Of clicks, by what they say, which their shapes say, too; seen ones are hollow, those that wait for it filled."""

_STOPS: dict[Heat, tuple[str, ...]] = {
    "probability": ("#00224e", "#35456c", "#666970", "#948e77", "#c8b866", "#fee838"),
    "confidence": ("#00224e", "#35456c", "#666970", "#948e77", "#c8b866", "#fee838"),
    "action": ("#0072b2", "#7fb8d8", "#eeeeee", "#eaae80", "#d55e00"),
    "hint": ("#3a1600", "#d55e00", "#ffd9a0"),
}


def gradient(heat: Heat) -> str:
    """Its colours from low to high, as a CSS background."""
    return f"linear-gradient(to right, {', '.join(_STOPS[heat])})"


@cache
def table(heat: Heat) -> NDArray[np.float32]:
    """Its colours from low to high, (256, 3) in [0, 255]."""
    stops = np.array([[int(stop[i : i + 2], 16) for i in (1, 3, 5)] for stop in _STOPS[heat]])
    at = np.linspace(0, len(stops) - 1, 256)
    return np.stack([np.interp(at, np.arange(len(stops)), stops[:, c]) for c in range(3)], axis=1).astype(np.float32)


def blend(
    grey: NDArray[np.float32], values: NDArray[np.float32], heat: Heat, opacity: float, most: float
) -> NDArray[np.uint8]:
    """Lay values over a greyscale slice.

    Args:
        grey: (rows, columns) in [0, 255].
        values: Likewise; NaN where nothing is laid over. Those of "action" are in [-most, most], the others in [0, 1].
        heat: What they are.
        opacity: In [0, 1]; of "hint" and "action" it is less where they are near 0.
        most: The largest change of an action.

    Returns:
        (rows, columns, 3).
    """
    inside = np.isfinite(values)
    known = np.where(inside, values, 0)
    scaled = (known / most + 1) / 2 if heat == "action" else known
    colours = table(heat)[np.clip(np.rint(scaled * 255), 0, 255).astype(np.intp)]
    strength = np.clip(np.abs(known) / (most if heat == "action" else 1), 0, 1) if heat in ("hint", "action") else 1.0
    cover = (opacity * strength * inside)[..., None]
    return np.asarray(np.rint(grey[..., None] * (1 - cover) + colours * cover), np.uint8)
