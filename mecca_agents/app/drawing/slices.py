"""One slice as the browser gets it: a picture of the scan with a layer over it, and the outlines on top."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mecca_agents.app.drawing.colours import HEATS, Heat, blend
from mecca_agents.app.drawing.contours import outline
from mecca_agents.app.drawing.planes import Plane
from mecca_agents.session import InteractiveSession, SessionError
from mecca_agents.session.inputs.mask import BoxedMask
from mecca_env.data.base import Triple

OUTLINES = ("mask", "label", "advice", "objects")
"""The outlines of every slice, where it is wanted and there."""

PROPOSED = ("first", "second")
"""Those of two proposals, where these are there."""


@dataclass(frozen=True)
class DisplaySettings:
    """The choice of what is to be seen.

    Attributes:
        low: Intensity that is black.
        high: Intensity that is white; above `low`.
        heat: Layer over the scan, or None.
        opacity: Of that layer, in [0, 1].
        modality: Of the scan, from 0.
        outlines: Which of `OUTLINES`.
    """

    low: float
    high: float
    heat: Heat | None = None
    opacity: float = 0.5
    modality: int = 0
    outlines: frozenset[str] = frozenset(("mask",))


def read_display(query: Mapping[str, str]) -> DisplaySettings:
    """Display settings from the words of a request. Raises `SessionError`."""
    low, high, opacity = (_number(query, name) for name in ("low", "high", "opacity"))
    heat, modality = query.get("heat", ""), _number(query, "modality")
    outlines = frozenset(filter(None, query.get("outlines", "").split(",")))
    if not low < high:
        raise SessionError(f"window: expected a low intensity below the high one, got {low:g} and {high:g}")
    if not 0 <= opacity <= 1:
        raise SessionError(f"opacity: expected 0 to 1, got {opacity:g}")
    if heat and heat not in HEATS:
        raise SessionError(f"heat: expected one of {', '.join(HEATS)}, got {heat[:40]!r}")
    if not outlines <= set(OUTLINES):
        raise SessionError(f"outlines: expected some of {', '.join(OUTLINES)}, got {sorted(outlines)!r:.80}")
    if modality != int(modality):
        raise SessionError(f"modality: expected a whole number, got {modality:g}")
    return DisplaySettings(low, high, heat or None, opacity, int(modality), outlines)


def _number(query: Mapping[str, str], name: str) -> float:
    try:
        value = float(query[name])
    except (KeyError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise SessionError(f"{name}: expected a number, got {query.get(name)!r:.40}")
    return value


def draw_slice(
    session: InteractiveSession,
    plane: Plane,
    index: int,
    display: DisplaySettings,
    label: NDArray[np.bool_] | None = None,
    objects: Sequence[tuple[str, BoxedMask]] = (),
    proposed: Sequence[NDArray[np.bool_]] = (),
) -> dict[str, Any]:
    """One slice, as JSON.

    Args:
        session: With a scan.
        plane: The view.
        index: Of the slice along `plane.axis`.
        display: What is to be seen.
        label: The reference of a review, (X, Y, Z), or None.
        objects: Other objects, each with its colour.
        proposed: Two masks of the next step, (X, Y, Z) each, or none; they take the place of the mask's outline.

    Returns:
        `image`, a PNG of a pixel for each voxel as a data URL; `paths`, outlines by name, in its pixels; `objects`,
        colours and outlines of the other objects on this slice.

    Raises:
        SessionError: No such slice or modality, or the session has no scan.
    """
    axis = plane.axis
    scan = plane.picture(session.image_slice(axis, index, display.modality))
    grey = _window(scan, display)
    values = None if display.heat is None else _heat(session, plane, index, display.heat)
    pixels = (
        grey if values is None or display.heat is None else _over(session, grey, values, display.heat, display.opacity)
    )
    names = sorted(display.outlines - ({"objects", "mask"} if proposed else {"objects"}))
    masks = {name: _outlined(session, name, axis, index, label) for name in names}
    masks |= {n: _of_scan(mask, axis, index, session.shape) for n, mask in zip(PROPOSED, proposed, strict=False)}
    paths = {name: outline(plane.picture(mask)) for name, mask in masks.items() if mask is not None}
    shown = objects if "objects" in display.outlines else ()
    others = [(colour, _slice_of(mask, plane.axis, index, session.shape)) for colour, mask in shown]
    drawn = [(colour, outline(plane.picture(mask))) for colour, mask in others if mask is not None]
    return {"image": data_url(np.asarray(np.rint(pixels), np.uint8)), "paths": paths, "objects": drawn}


def data_url(pixels: NDArray[np.uint8]) -> str:
    """A picture, (rows, columns) or (rows, columns, 3), as a PNG in a URL."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _window(scan: NDArray[np.float32], display: DisplaySettings) -> NDArray[np.float32]:
    """Intensities as [0, 255], (rows, columns)."""
    scaled = (scan - np.float32(display.low)) * np.float32(255 / (display.high - display.low))
    return np.clip(scaled, 0, 255, out=scaled)


def _heat(session: InteractiveSession, plane: Plane, index: int, heat: Heat) -> NDArray[np.float32] | None:
    """A layer's values, NaN outside of what the agent sees; None where there are none now."""
    values, (low, high) = session.overlay(heat, plane.axis, index), session.view
    if values is None or not low[plane.axis] <= index < high[plane.axis]:
        return None
    inside = tuple(slice(low[a], high[a]) for a in range(3) if a != plane.axis)
    shown = np.full(values.shape, np.nan, np.float32)
    shown[inside] = values[inside]
    return plane.picture(shown)


def _over(
    session: InteractiveSession, grey: NDArray[np.float32], values: NDArray[np.float32], heat: Heat, opacity: float
) -> NDArray[np.uint8]:
    config = session.model.config
    most = 1.0 if config.action == "continuous" else max(map(abs, config.adjustments))
    return blend(grey, values, heat, opacity, most)


def _outlined(
    session: InteractiveSession, name: str, axis: int, index: int, label: NDArray[np.bool_] | None
) -> NDArray[np.bool_] | None:
    if name != "label":
        return session.overlay(name, axis, index)  # type: ignore[arg-type]
    return None if label is None else _of_scan(label, axis, index, session.shape)


def _of_scan(mask: NDArray[np.bool_], axis: int, index: int, shape: Triple) -> NDArray[np.bool_] | None:
    """A slice of a mask of a whole scan; None where it is of the scan before, while another one is opened."""
    if mask.shape != shape:
        return None
    plane: NDArray[np.bool_] = np.moveaxis(mask, axis, 0)[index]
    return plane


def _slice_of(mask: BoxedMask, axis: int, index: int, shape: Triple) -> NDArray[np.bool_] | None:
    """A slice of a mask; None where it has nothing there, or is of the scan before."""
    low, high = mask.box
    if not low[axis] <= index < high[axis] or any(b > n for b, n in zip(high, shape, strict=True)):
        return None
    others = [other for other in range(3) if other != axis]
    plane = np.zeros([shape[other] for other in others], bool)
    plane[tuple(slice(low[other], high[other]) for other in others)] = mask.part.take(index - low[axis], axis)
    return plane
