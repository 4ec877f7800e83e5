"""A picture of every evaluated case: what the user clicked, what the agent did, how sure it was (Figs. 5-7 and 10)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mecca_agents.evaluation.play import PlayedStep
from mecca_agents.runs.errors import RunError
from mecca_env.atomic import atomically, os_errors_as
from mecca_env.rendering import AXES, greyscale, shown_slice

if TYPE_CHECKING:  # matplotlib takes a second to import and most programs draw nothing
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

SLICE_AXIS = 2
"""The axis along which one slice is shown: the scan's own slices, the last axis."""

LABEL, PREDICTION, CLICK, ADVICE = "#56B4E9", "#F0A000", "#D55E00", "#CC79A7"
"""Colours of Okabe and Ito (2008), which the colour-blind tell apart; the outlines differ in style, too."""

NEARBY = 2
"""Clicks up to so many slices away are shown, faintly."""

DPI = 150

_CELL, _GAP = 1.75, 0.08  # inches: the longer side of a slice, and the space between two
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.95, 0.1, 0.8, 0.5  # inches: captions, nothing, titles, colour bars
_ENTRY, _LINE = 1.9, 0.21  # inches: room for an entry of the legend
_FINE = 8  # points of an outline along a voxel's edge
_GREY: dict[str, Any] = {"cmap": "gray", "vmin": 0.0, "vmax": 1.0}
_LEGEND: dict[str, Any] = {
    "fontsize": 8,
    "facecolor": "0.6",
    "edgecolor": "none",
    "borderpad": 0.4,
    "handlelength": 2.4,
}


class FigureWriter:
    """Writes `<case>.png` when a case is over; an observer of evaluations.

    Args:
        folder: An existing folder; files of these names are replaced.
        method: The method's name, for the title.
    """

    def __init__(self, folder: Path, method: str) -> None:
        self._folder, self._method = folder, method
        self._steps: list[PlayedStep] = []

    def __call__(self, played: PlayedStep) -> None:
        """Take in a step. Raises `RunError` where the file cannot be written."""
        self._steps.append(played)
        if not played.over:
            return
        steps, self._steps = self._steps, []
        path = self._folder / f"{played.case}.png"
        figure = draw_case(steps, self._method)
        with os_errors_as(lambda reason: RunError(f"{path}: the figure cannot be written: {reason}")):
            atomically(path, lambda temporary: figure.savefig(temporary, dpi=DPI, format="png"))


def draw_case(steps: Sequence[PlayedStep], method: str) -> Figure:
    """One row for each step of a case, all on one slice: the one that the first step left with the most errors.

    From left to right, as it happened: the volume with the label's outline and the clicks that the agent was given;
    the label; the action; the confidence in it, with the voxels outlined whose action goes the wrong way (Eq. 7); the
    probability after it; the regions then advised to the user, with the clicks made there, which belong to the next
    step. Without a confidence or a guide there is no such column.

    Args:
        steps: All steps of one case, in order.
        method: The method's name, for the title.

    Returns:
        The figure, ready to be saved.
    """
    from matplotlib.figure import Figure

    first = steps[0].after
    index = shown_slice(_host(first.prediction[0]), _host(first.label[0]), SLICE_AXIS)
    columns = _columns(steps[0])
    across, along = first.shape[0], first.shape[1]
    cell = _CELL / max(across, along)
    width = _LEFT + len(columns) * (across * cell + _GAP) + _RIGHT
    entries, abreast = _legend(columns), max(int(width / _ENTRY), 1)
    bottom = _BOTTOM + math.ceil(len(entries) / abreast) * _LINE
    height = bottom + len(steps) * (along * cell + _GAP) + _TOP
    figure = Figure(figsize=(width, height))
    sides = {"left": _LEFT / width, "right": 1 - _RIGHT / width, "top": 1 - _TOP / height, "bottom": bottom / height}
    spaces = {"wspace": _GAP / (across * cell), "hspace": _GAP / (along * cell)}
    grid = figure.add_gridspec(len(steps), len(columns), **sides, **spaces)
    earlier = 0
    for row, played in enumerate(steps):
        view = _Row(played, index, earlier)
        earlier = int(played.before.n_clicks[0])
        for column, name in enumerate(columns):
            axes = figure.add_subplot(grid[row, column])
            getattr(view, name)(axes)
            axes.set(xticks=[], yticks=[], xlim=(-0.5, across - 0.5), ylim=(-0.5, along - 0.5))
            if column == 0:
                axes.set_ylabel(view.caption, fontsize=9, rotation=0, ha="right", va="center", linespacing=1.5)
            if row == 0:
                axes.set_title({"probability": "probability after"}.get(name, name), fontsize=10)
            if row == len(steps) - 1 and name in ("action", "confidence", "probability"):
                _colour_bar(figure, axes)
    case, left = f"{steps[0].envs.dataset.name}  {steps[0].case}", sides["left"]
    subtitle = f"{method}, slice {AXES[SLICE_AXIS]} {index} of {first.shape[SLICE_AXIS]}"
    figure.text(left, 1 - 0.18 / height, case, fontsize=11, weight="bold", va="center")
    figure.text(left, 1 - 0.39 / height, subtitle, fontsize=9, color="0.35", va="center")
    figure.legend(handles=entries, loc="lower center", ncol=abreast, **_LEGEND)
    return figure


def _columns(played: PlayedStep) -> list[str]:
    """The methods of `_Row` that have something to draw."""
    missing = {"confidence": played.confidence is None, "advice": played.after.advice is None}
    names = ("volume", "label", "action", "confidence", "probability", "advice")
    return [name for name in names if not missing.get(name, False)]


class _Row:
    """One step on one slice; the first axis runs to the right, the second one upwards.

    Args:
        played: The step.
        index: The slice.
        earlier: Clicks that had been shown to the agent before this step.
    """

    def __init__(self, played: PlayedStep, index: int, earlier: int) -> None:
        self.played, self.index, self.earlier = played, index, earlier
        self.outline = self._plane(played.after.label[0])
        clicks, dice = int(played.before.n_clicks[0]), 100 * float(played.after.dice[0])
        self.caption = f"step {played.step}\n{clicks} clicks\nDice {dice:.1f} %"

    def volume(self, axes: Axes) -> None:
        """The scan, the label's outline, and the clicks that the agent saw."""
        self._scan(axes)
        _outline(axes, self.outline, LABEL, "solid")
        clicks = _host(self.played.before.clicks[0])
        self._clicks(axes, clicks[: self.earlier], filled=False)
        self._clicks(axes, clicks[self.earlier :], filled=True)

    def label(self, axes: Axes) -> None:
        """The label."""
        axes.imshow(self.outline, origin="lower", **_GREY)

    def action(self, axes: Axes) -> None:
        """The action, added to each probability."""
        config = self.played.envs.config
        limit = 1.0 if config.action == "continuous" else max(abs(a) for a in config.adjustments)
        axes.imshow(self._plane(self.played.change), origin="lower", cmap="PuOr_r", vmin=-limit, vmax=limit)

    def confidence(self, axes: Axes) -> None:
        """The confidence in that, and where it was wrong."""
        assert self.played.confidence is not None
        axes.imshow(self._plane(self.played.confidence), origin="lower", cmap="viridis", vmin=0.0, vmax=1.0)
        _outline(axes, self._plane((self.played.change > 0) != self.played.after.label[0]), "white", "dotted")

    def probability(self, axes: Axes) -> None:
        """The probability that came of it."""
        axes.imshow(self._plane(self.played.after.probability[0]), origin="lower", **_GREY)
        _outline(axes, self.outline, LABEL, "solid")
        _outline(axes, self._plane(self.played.after.prediction[0]), PREDICTION, "dashed")

    def advice(self, axes: Axes) -> None:
        """The regions where the user was asked to click, and the clicks made there."""
        assert self.played.after.advice is not None
        self._scan(axes)
        mask = self._plane(self.played.after.advice[0])
        axes.contourf(mask, levels=(0.5, 1.5), colors=[ADVICE], alpha=0.4)
        _outline(axes, mask, ADVICE, "dashdot")
        self._clicks(axes, _host(self.played.after.clicks[0])[int(self.played.before.n_clicks[0]) :], filled=True)

    def _plane(self, array: Tensor) -> NDArray[Any]:
        """The slice of (D, H, W) as rows from below and columns."""
        return _host(array.select(SLICE_AXIS, self.index)).T

    def _scan(self, axes: Axes) -> None:
        grey = greyscale(_host(self.played.after.volume[0, 0]))
        axes.imshow(grey.take(self.index, SLICE_AXIS).T, origin="lower", **_GREY)

    def _clicks(self, axes: Axes, clicks: NDArray[Any], filled: bool) -> None:
        """Clicks (K, 3), padded with -1, that are near the slice."""
        clicks = clicks[(clicks >= 0).all(axis=1)]
        away = np.abs(clicks[:, SLICE_AXIS] - self.index)
        for near, opacity in (((away > 0) & (away <= NEARBY), 0.5), (away == 0, 1.0)):
            axes.scatter(*clicks[near, :2].T, alpha=opacity, **_mark(filled))


def _mark(filled: bool) -> dict[str, Any]:
    """Style of clicks: discs of this step, rings of earlier ones."""
    if filled:
        return {"s": 26, "facecolor": CLICK, "edgecolor": "black", "linewidth": 0.8}
    return {"s": 14, "facecolor": "none", "edgecolor": CLICK, "linewidth": 1.2}


def _outline(axes: Axes, mask: NDArray[np.bool_], colour: str, style: str) -> None:
    """Along the edges of the voxels, so that single ones stay visible."""
    if mask.any() and not mask.all():
        fine = np.kron(mask, np.ones((_FINE, _FINE)))
        up, right = ((np.arange(n) + 0.5) / _FINE - 0.5 for n in fine.shape)
        axes.contour(right, up, fine, levels=(0.5,), colors=[colour], linestyles=[style], linewidths=[1.2])


def _colour_bar(figure: Figure, axes: Axes) -> None:
    """Draw what the colours of the column above mean."""
    image, above, height = axes.images[0], axes.get_position(), figure.get_figheight()
    box = figure.add_axes((above.x0 + 0.05 * above.width, above.y0 - 0.17 / height, 0.9 * above.width, 0.09 / height))
    low, high = image.get_clim()
    bar = figure.colorbar(image, cax=box, orientation="horizontal", ticks=(low, (low + high) / 2, high))
    bar.ax.xaxis.set_major_formatter(lambda value, _: f"{value:+g}" if low < 0 < abs(value) else f"{value:g}")
    bar.ax.tick_params(length=2, pad=1.5, labelsize=7)
    bar.outline.set_linewidth(0.5)


def _legend(columns: Sequence[str]) -> list[Line2D]:
    from matplotlib.lines import Line2D

    def line(colour: str, style: Any, name: str) -> Line2D:
        return Line2D([], [], color=colour, linestyle=style, linewidth=1.8, label=name)

    def mark(filled: bool, name: str) -> Line2D:
        style = _mark(filled)
        face, edge = style["facecolor"], style["edgecolor"]
        return Line2D([], [], linestyle="", marker="o", markerfacecolor=face, markeredgecolor=edge, label=name)

    entries = [line(LABEL, "solid", "label"), line(PREDICTION, "dashed", "prediction")]
    if "confidence" in columns:
        entries.append(line("white", "dotted", "action goes the wrong way"))
    if "advice" in columns:
        entries.append(line(ADVICE, "dashdot", "advice for the next clicks"))
    return [*entries, mark(True, "new click, faint: nearby slice"), mark(False, "earlier click")]


def _host(tensor: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.cpu().numpy()
    return array
