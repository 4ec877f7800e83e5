"""One episode as a picture: three orthogonal slices through the current errors, and a window that shows them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from mecca_env.state import State

Pixels = NDArray[np.uint8]
Bits = NDArray[np.bool_]
Floats = NDArray[np.float32]
Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

GREEN: Colour = (40, 220, 90)
YELLOW: Colour = (255, 225, 0)
RED: Colour = (255, 45, 45)
BLUE: Colour = (70, 170, 255)
WARM: Colour = (255, 130, 30)
VIOLET: Colour = (190, 110, 255)
WHITE: Colour = (236, 238, 242)

AXES = "DHW"
MIN_PANEL = 96
"""Smallest side of a panel, pixels: below it the caption cannot be read."""

_BACKGROUND: Colour = (18, 20, 24)
_TEXT = WHITE
_MUTED: Colour = (150, 156, 166)
_MARGIN = 6
_HINT_OPACITY = 0.55
_NEARBY = 2
_SQUARE = np.ones((3, 3), bool)


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that is drawn of one episode.

    Attributes:
        volume: First modality, z-scored, (D, H, W) float32.
        label: Foreground, (D, H, W) bool.
        probability: Foreground probability, (D, H, W) float32 in [0, 1].
        hint: Hint map, (D, H, W) float32 in [0, 1]; signed (2, D, H, W), inside and outside.
        clicks: Voxels that the user clicked, (K, 3) integers; rows with -1 are padding.
        advice: Regions shown to the user, (D, H, W) bool, or None without a guide (Sec. 3.5).
        step: Steps taken.
        horizon: T, steps of an episode.
        dice: Dice score of the thresholded probability.
        n_clicks: Clicks made so far.
        dataset: The data set's name.
        case: The case's name.
        signs: Of the clicks, (K,): 1 inside, -1 outside the target; None: they have none.
        box: What is shown of a box, (D, H, W) float32 in [0, 1]; None: there is none.

    Raises:
        ValueError: The arrays do not share one (D, H, W) shape, or clicks are not (K, 3).
    """

    volume: Floats
    label: Bits
    probability: Floats
    hint: Floats
    clicks: NDArray[np.integer[Any]]
    advice: Bits | None
    step: int
    horizon: int
    dice: float
    n_clicks: int
    dataset: str
    case: str
    signs: NDArray[np.integer[Any]] | None = None
    box: Floats | None = None

    def __post_init__(self) -> None:
        shape = self.volume.shape
        if len(shape) != 3:
            raise ValueError(f"volume: expected (D, H, W), got {shape}")
        if self.signs is not None and self.signs.shape != self.clicks.shape[:1]:
            raise ValueError(f"signs: expected one for each of {len(self.clicks)} clicks, got {self.signs.shape}")
        for name in ("label", "probability", "hint", "advice", "box"):
            array = getattr(self, name)
            if name == "hint" and array.shape == (2, *shape):
                continue
            if array is not None and array.shape != shape:
                raise ValueError(f"{name}: expected the volume's shape {shape}, got {array.shape}")
        if self.clicks.ndim != 2 or self.clicks.shape[1] != 3:
            raise ValueError(f"clicks: expected (K, 3), got {self.clicks.shape}")


def scene_of(state: State, index: int, horizon: int, dataset: str = "", case: str = "") -> Scene:
    """The scene of episode `index` of a batch."""

    def host(tensor: Tensor) -> Any:
        return tensor[index].cpu().numpy()

    return Scene(
        volume=host(state.volume)[0],
        label=host(state.label),
        probability=host(state.probability),
        hint=host(state.hint),
        clicks=host(state.clicks),
        advice=None if state.advice is None else host(state.advice),
        step=int(state.step[index]),
        horizon=horizon,
        dice=float(state.dice[index]),
        n_clicks=int(state.n_clicks[index]),
        dataset=dataset,
        case=case,
        signs=None if state.signs is None else host(state.signs),
        box=None if state.box is None else host(state.box),
    )


def render_frame(scene: Scene, panel: int = 220) -> Pixels:
    """Draw three orthogonal slices side by side, a caption above and a legend below.

    Along each axis the slice with the most wrongly segmented voxels is shown; without errors, the middle of the label.
    The label is outlined in green, the prediction (probability above 0.5) inside its edge in yellow, so that both
    stay visible where they agree; advice regions in blue, a shown box in white; clicks are red dots, fainter up to two
    slices away, and violet crosses where they say "outside"; the hint is a warm tint, and violet outside. In each panel
    the first shown axis runs to the right and the second one upwards, which for scans in nibabel's RAS order puts
    anterior or superior on top.

    Args:
        scene: The state to draw; it is not changed.
        panel: Side of the square that each slice is fitted into, pixels.

    Returns:
        (height, width, 3) uint8, both even. The size depends on `panel` alone, so frames make a video.

    Raises:
        ValueError: `panel` is below `MIN_PANEL`.
    """
    if panel < MIN_PANEL:
        raise ValueError(f"panel: expected at least {MIN_PANEL} pixels, got {panel}")
    box = panel + 2 * _MARGIN
    font = _font(max(round(panel / 16), 9))
    bar = round(panel / 7)
    width, height = 3 * box, box + 2 * bar
    canvas = Image.new("RGB", (width + width % 2, height + height % 2), _BACKGROUND)
    grey = greyscale(scene.volume)
    prediction = scene.probability > 0.5
    for column, axis in enumerate((2, 1, 0)):
        index = shown_slice(prediction, scene.label, axis)
        view = _Slice(scene, axis, index, panel)
        canvas.paste(view.draw(grey, prediction), (column * box, bar))
    draw = ImageDraw.Draw(canvas)
    _caption(draw, scene, font, width, bar)
    _legend(draw, scene, font, width, bar + box + bar // 2)
    return np.array(canvas, dtype=np.uint8)


def shown_slice(prediction: Bits, label: Bits, axis: int) -> int:
    """Index along `axis` of the slice with the most errors, else the label's middle, else the grid's middle.

    Args:
        prediction: (D, H, W) bool.
        label: (D, H, W) bool.
        axis: 0, 1 or 2.

    Returns:
        The index; the lowest one of several that are equal.
    """
    others = tuple(a for a in range(3) if a != axis)
    errors = (prediction != label).sum(axis=others)
    if errors.any():
        return int(errors.argmax())
    occupied = np.flatnonzero(label.any(axis=others))
    return int(occupied[len(occupied) // 2]) if len(occupied) else label.shape[axis] // 2


class _Slice:
    """One slice of a scene, fitted into a square box with a margin for contours at the grid's border."""

    def __init__(self, scene: Scene, axis: int, index: int, panel: int) -> None:
        self.scene, self.axis, self.index, self.panel = scene, axis, index, panel
        self.right, self.up = (a for a in range(3) if a != axis)
        across, along = scene.volume.shape[self.right], scene.volume.shape[self.up]
        self.scale = panel / max(across, along)
        self.width, self.height = (max(round(n * self.scale), 1) for n in (across, along))
        self.box = panel + 2 * _MARGIN
        self.left, self.top = (self.box - self.width) // 2, (self.box - self.height) // 2

    def draw(self, grey: Floats, prediction: Bits) -> Image.Image:
        """The finished panel, `grey` in [0, 1]."""
        scene = self.scene
        canvas = np.empty((self.box, self.box, 3), np.float32)
        canvas[:] = _BACKGROUND
        inside = canvas[self.top : self.top + self.height, self.left : self.left + self.width]
        inside[:] = 255 * self._smooth(grey)[..., None]
        for colour, hint in zip((WARM, VIOLET), scene.hint if scene.hint.ndim == 4 else scene.hint[None], strict=False):
            _blend(inside, colour, _HINT_OPACITY * self._smooth(hint))
        thickness = max(round(self.panel / 220), 1)
        if scene.box is not None:
            canvas[_inner_edge(self._blocks(scene.box > 0), thickness)] = WHITE
        if scene.advice is not None:
            canvas[_inner_edge(self._blocks(scene.advice), thickness)] = BLUE
        canvas[_outer_edge(self._blocks(scene.label), thickness)] = GREEN
        canvas[_inner_edge(self._blocks(prediction), thickness)] = YELLOW
        self._clicks(canvas)
        image = Image.fromarray(canvas.round().astype(np.uint8))
        self._axes(ImageDraw.Draw(image))
        return image

    def _plane(self, array: NDArray[Any]) -> NDArray[Any]:
        """The slice as rows and columns: the first axis to the right, the second one upwards."""
        plane: NDArray[Any] = np.take(array, self.index, axis=self.axis).T[::-1]
        return plane

    def _smooth(self, array: Floats) -> Floats:
        """The slice at the panel's resolution, interpolated, (height, width) in [0, 1]."""
        plane = Image.fromarray(np.ascontiguousarray(self._plane(array), dtype=np.float32))
        resized = plane.resize((self.width, self.height), Image.Resampling.BICUBIC)
        return np.clip(np.asarray(resized, np.float32), 0, 1)

    def _blocks(self, mask: Bits) -> Bits:
        """The slice's voxels as blocks of pixels in the box, (box, box)."""
        plane = self._plane(mask)
        rows, columns = plane.shape
        row = np.arange(self.height) * rows // self.height
        column = np.arange(self.width) * columns // self.width
        box = np.zeros((self.box, self.box), bool)
        box[self.top : self.top + self.height, self.left : self.left + self.width] = plane[np.ix_(row, column)]
        return box

    def _clicks(self, canvas: Floats) -> None:
        made = (self.scene.clicks >= 0).all(axis=1)
        outside = np.zeros_like(made) if self.scene.signs is None else self.scene.signs < 0
        away = np.abs(self.scene.clicks[:, self.axis] - self.index)
        for distance, opacity in ((slice(1, _NEARBY + 1), 0.35), (slice(0, 1), 1.0)):
            for number in np.flatnonzero(made & (away >= distance.start) & (away < distance.stop)):
                click, mark = self.scene.clicks[number], _cross if outside[number] else _dot
                x = self.left + (click[self.right] + 0.5) * self.scale - 0.5
                y = self.top + self.height - (click[self.up] + 0.5) * self.scale - 0.5
                mark(canvas, x, y, max(self.panel / 75, 2.0), opacity)

    def _axes(self, draw: ImageDraw.ImageDraw) -> None:
        """Write which slice this is, and in the corner which axes run right and up."""
        font = _font(max(round(self.panel / 20), 8))
        arm = round(self.panel / 14)
        x, y = _MARGIN + 2, self.box - _MARGIN - 2
        style: dict[str, Any] = {"font": font, "fill": _TEXT, "stroke_width": 2, "stroke_fill": _BACKGROUND}
        draw.text((x, _MARGIN + 2), f"{AXES[self.axis]} {self.index}", anchor="lt", **style)
        for colour, thickness in ((_BACKGROUND, 5), (_TEXT, 1)):
            draw.line([(x, y - arm), (x, y), (x + arm, y)], fill=colour, width=thickness)
        draw.text((x + arm + 5, y - 2), AXES[self.right], anchor="lm", **style)
        draw.text((x, y - arm - 4), AXES[self.up], anchor="lb", **style)


def greyscale(volume: Floats) -> Floats:
    """Intensities between the 1st and the 99th percentile, as [0, 1]."""
    low, high = np.percentile(volume, (1, 99))
    scaled = (np.asarray(volume, np.float32) - np.float32(low)) / np.float32(max(high - low, 1e-6))
    return np.clip(scaled, 0, 1, out=scaled)


def _inner_edge(mask: Bits, thickness: int) -> Bits:
    from scipy.ndimage import binary_erosion  # late, since it takes longer to import than an env to make

    inside: Bits = binary_erosion(mask, _SQUARE, iterations=thickness)
    return mask & ~inside


def _outer_edge(mask: Bits, thickness: int) -> Bits:
    from scipy.ndimage import binary_dilation  # late, as above

    around: Bits = binary_dilation(mask, _SQUARE, iterations=thickness)
    return around & ~mask


def _blend(pixels: Floats, colour: Colour, opacity: Floats) -> None:
    pixels += (np.asarray(colour, np.float32) - pixels) * opacity[..., None]


def _dot(canvas: Floats, x: float, y: float, radius: float, opacity: float) -> None:
    """A red disc with a dark rim and smooth edges, its centre in pixels."""
    patch, right, down = _around(canvas, x, y, int(radius) + 3)
    distance = np.hypot(down, right).astype(np.float32)
    _blend(patch, (0, 0, 0), 0.7 * opacity * np.clip(radius + 1.5 - distance, 0, 1))
    _blend(patch, RED, opacity * np.clip(radius + 0.5 - distance, 0, 1))


def _cross(canvas: Floats, x: float, y: float, radius: float, opacity: float) -> None:
    """A violet diagonal cross, likewise."""
    reach = 1.3 * radius
    patch, right, down = _around(canvas, x, y, int(reach) + 3)
    from_arms = np.minimum(np.abs(down - right), np.abs(down + right)) / np.sqrt(2)
    distance = np.maximum(from_arms, np.hypot(down, right) - reach).astype(np.float32)
    half = radius / 3
    _blend(patch, (0, 0, 0), 0.7 * opacity * np.clip(half + 1.5 - distance, 0, 1))
    _blend(patch, VIOLET, opacity * np.clip(half + 0.5 - distance, 0, 1))


def _around(canvas: Floats, x: float, y: float, reach: int) -> tuple[Floats, Floats, Floats]:
    """The pixels around a point, and how far each of them is to the right of it and below it."""
    top, left = max(round(y) - reach, 0), max(round(x) - reach, 0)
    patch = canvas[top : round(y) + reach + 1, left : round(x) + reach + 1]
    rows, columns = np.ogrid[top : top + patch.shape[0], left : left + patch.shape[1]]
    return patch, (columns - x).astype(np.float32), (rows - y).astype(np.float32)


def _caption(draw: ImageDraw.ImageDraw, scene: Scene, font: Font, width: int, bar: int) -> None:
    state = f"step {scene.step}/{scene.horizon}    Dice {scene.dice:.3f}    clicks {scene.n_clicks}"
    room = width - draw.textlength(state, font) - 5 * _MARGIN
    name = f"{scene.dataset}  {scene.case}"
    while draw.textlength(name, font) > room and len(name) > 1:
        name = name.rstrip("…")[:-1] + "…"
    draw.text((_MARGIN + 2, bar // 2), name, font=font, fill=_MUTED, anchor="lm")
    draw.text((width - _MARGIN - 2, bar // 2), state, font=font, fill=_TEXT, anchor="rm")


def _legend(draw: ImageDraw.ImageDraw, scene: Scene, font: Font, width: int, y: int) -> None:
    entries = [("label", GREEN), ("prediction", YELLOW)]
    entries += [("click", RED)] if scene.signs is None else [("inside", RED), ("outside", VIOLET)]
    entries.append(("hint", WARM))
    if scene.box is not None:
        entries.append(("box", WHITE))
    if scene.advice is not None:
        entries.append(("advice", BLUE))
    swatch = round(draw.textlength("mm", font))
    lengths = [swatch + draw.textlength(f"  {name}", font) for name, _ in entries]
    gap = draw.textlength("mm", font)
    x = (width - sum(lengths) - gap * (len(entries) - 1)) / 2
    for (name, colour), length in zip(entries, lengths, strict=True):
        middle, r = x + swatch / 2, swatch / 5
        if name in ("click", "inside"):
            draw.ellipse((middle - r, y - r, middle + r, y + r), fill=colour)
        elif name == "outside":
            draw.line((middle - r, y - r, middle + r, y + r), fill=colour, width=2)
            draw.line((middle - r, y + r, middle + r, y - r), fill=colour, width=2)
        elif name == "hint":
            draw.rectangle((x, y - swatch / 4, x + swatch, y + swatch / 4), fill=tuple(c // 2 + 20 for c in colour))
        else:
            draw.line((x, y, x + swatch, y), fill=colour, width=2)
        draw.text((x + length, y), name, font=font, fill=_MUTED, anchor="rm")
        x += length + gap


@lru_cache(maxsize=16)
def _font(size: int) -> Font:
    return ImageFont.load_default(size)
