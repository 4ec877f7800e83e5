"""A report's pictures: Dice against clicks for all methods (Fig. 8), and for the reward weightings alone (Fig. 9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mecca_agents.report.comparison import BOUNDS, Cells, by_method, by_step, is_trained, reached, summarise
from mecca_agents.report.studies import Study

if TYPE_CHECKING:  # matplotlib takes a second to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HINTLESS = ("pnet", "unet", "ua-mt")
"""Methods that see no hints: drawn dashed."""

WEIGHTINGS = ("iter-mrl", "focal-iter-mrl", "err-iter-mrl", "mecca")
"""Methods that differ in how the reward is weighted (Sec. 4.4)."""

BLACK, ORANGE, SKY, GREEN, BLUE, RED, PURPLE = (
    *("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"),
)
"""Colours of Okabe and Ito (2008), which the colour-blind tell apart, but for yellow, which is faint on white."""

STYLES: dict[str, tuple[str, str]] = {
    "random": ("0.5", ""),
    "oracle": ("0.5", ""),
    "mean-mask": ("0.3", "_"),
    "ellipsoid": ("0.3", "|"),
    "pnet": (ORANGE, "h"),
    "unet": (BLUE, "d"),
    "deepigeos": (ORANGE, "P"),
    "intercnn": (SKY, "X"),
    "iter-mrl": (BLUE, "s"),
    "focal-iter-mrl": (PURPLE, "^"),
    "err-iter-mrl": (BLACK, "v"),
    "bs-iris": (GREEN, "D"),
    "ppo": (SKY, "<"),
    "ua-mt": (GREEN, "p"),
    "mecca": (RED, "o"),
    "iter-mrl-expected": (BLUE, "*"),
    "mecca-expected": (RED, "*"),
    "random-walker": (BLACK, "P"),
    "growcut": (PURPLE, "X"),
}
"""Colour and marker of a method, the same in every picture."""

_OWN = tuple(zip((SKY, PURPLE, GREEN, ORANGE, BLACK, BLUE), "*<>H1.", strict=True))  # of methods that are not listed
_SIZE = (7.2, 4.4)  # inches, without the names beside it
_MOST_BANDS = 6  # of more curves bands would hide one another; their last intervals stand side by side
_APART = 0.015  # of the width that the curves have: how far from one another those stand


class Curve(NamedTuple):
    """A method's Dice % over clicks or steps, (T,) each."""

    x: Any
    mean: Any
    low: Any
    high: Any


def figure8(study: Study) -> Figure | None:
    """Dice against clicks, one line for each method, all cases labelled; None where there is none."""
    rows = by_method(study.cells)
    curves = {method: _curve(cells, clicks=True) for method, cells in rows.items()}
    return draw_curves(curves, f"{study.name}: Dice against clicks", "clicks made so far") if curves else None


def figure9(study: Study) -> Figure | None:
    """Dice at each step of the methods that differ in their reward; None where there are not two of them."""
    rows = {method: cells for method, cells in by_method(study.cells).items() if method in WEIGHTINGS}
    curves = {method: _curve(cells, clicks=False) for method, cells in rows.items()}
    return draw_curves(curves, f"{study.name}: weightings of the reward", "step") if len(curves) > 1 else None


def _curve(cells: Cells, clicks: bool) -> Curve:
    of_steps = [summarise(reached(cells, step=step), is_trained(cells)) for step in range(cells[0].horizon)]
    x = by_step(cells, "clicks" if clicks else "step")
    return Curve(x, *(np.array([getattr(of, name) for of in of_steps]) for name in ("mean", "low", "high")))


def draw_curves(curves: Mapping[str, Curve], title: str, x_label: str) -> Figure:
    """Lines of Dice %; the names stand beside the axes, from the best last value downwards.

    They have 95 % bands; of many, the intervals of their last values stand to the right instead, in the names' order.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=_SIZE)
    axes = figure.subplots()
    banded = len(curves) <= _MOST_BANDS
    low, high = _limits(curves, banded)
    own = iter(_OWN * len(curves))
    looks = {method: STYLES.get(method) or next(own) for method in curves}
    order = sorted(curves, key=lambda method: -float(curves[method].mean[-1]))
    for method, curve in curves.items():
        colour, marker = looks[method]
        if banded:
            axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)
        style = ":" if method in BOUNDS else "--" if method in HINTLESS else "-" if method in STYLES else "-."
        axes.plot(
            curve.x,
            curve.mean,
            color=colour,
            marker=marker,
            linestyle=style,
            linewidth=2.6 if method == "mecca" else 1.6,
            markersize=6,
            label=_name(method, curve, low, high),
            zorder=3 if method == "mecca" else 2,
        )
    if not banded:
        _draw_last(axes, {method: curves[method] for method in order}, looks)
    axes.set_ylim(low, high)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.set_title(title, fontsize=12)
    axes.set_xlabel(x_label, fontsize=11)
    known = any(np.isfinite(curve.low).all() for method, curve in curves.items() if banded or method not in BOUNDS)
    axes.set_ylabel("Dice %, mean" + (", 95 % band" if banded else ", 95 % of the last") * known, fontsize=11)
    axes.tick_params(labelsize=10)
    axes.grid(color="0.9", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    handles, names = (dict(zip(curves, found, strict=True)) for found in axes.get_legend_handles_labels())
    axes.legend(
        [handles[method] for method in order],
        [names[method] for method in order],
        loc="upper left",
        bbox_to_anchor=(1.02, 1.0),
        borderaxespad=0.0,
        fontsize=10,
        frameon=False,
        handlelength=3.2,
    )
    return figure


def _draw_last(axes: Axes, curves: Mapping[str, Curve], looks: Mapping[str, tuple[str, str]]) -> None:
    """The last values with their intervals, side by side to the right of the curves."""
    measured = [method for method in curves if method not in BOUNDS and np.isfinite(curves[method].low[-1])]
    width = max((float(np.ptp(curve.x)) for curve in curves.values()), default=0.0) or 1.0
    for place, method in enumerate(measured, 1):
        curve, (colour, marker) = curves[method], looks[method]
        beyond = max(float(other.x[-1]) for other in curves.values()) + place * _APART * width
        axes.vlines(beyond, curve.low[-1], curve.high[-1], color=colour, linewidth=1.6)
        axes.plot(beyond, curve.mean[-1], color=colour, marker=marker, markersize=5)


def _limits(curves: Mapping[str, Curve], banded: bool) -> tuple[float, float]:
    """Of the Dice axis: what the methods need; bounds that lie far from them would press them flat."""
    shown = [curve for method, curve in curves.items() if method not in BOUNDS] or list(curves.values())
    seen = slice(None) if banded else slice(-1, None)
    values = np.concatenate([part for curve in shown for part in (curve.mean, curve.low[seen], curve.high[seen])])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    room = max(0.05 * (high - low), 0.5)
    return max(low - room, -1.0), min(high + room, 101.0)


def _name(method: str, curve: Curve, low: float, high: float) -> str:
    """For the legend; where the line is outside of the axes, it says where."""
    if method in BOUNDS and (curve.mean.min() < low or curve.mean.max() > high):
        first, last = curve.mean[0], curve.mean[-1]
        return f"{method} (off scale:\n{first:.1f} to {last:.1f} %)"
    return f"{method} (no hints)" if method in HINTLESS else method
