"""Curves are shown with their uncertainty, few and many."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from matplotlib.collections import LineCollection, PolyCollection

from mecca_agents.report.plots import Curve, draw_curves


def _curves(count: int) -> dict[str, Curve]:
    x, rising = np.array([25.0, 30.0, 35.0]), np.array([70.0, 75.0, 80.0])
    return {f"method{n}": Curve(x, rising - n, rising - n - 1, rising - n + 2) for n in range(count)}


def test_few_curves_have_bands() -> None:
    axes = draw_curves(_curves(3), "title", "clicks").axes[0]
    assert [isinstance(found, PolyCollection) for found in axes.collections] == [True] * 3
    assert axes.get_ylabel() == "Dice %, mean, 95 % band"


def test_of_many_curves_the_last_intervals_stand_side_by_side_from_the_best_down() -> None:
    level, unknown = np.full((2, 3), 50.0), np.full((2, 3), np.nan)
    curves = _curves(8) | {"oracle": Curve(*np.full((4, 3), 100.0)), "once": Curve(*level, *unknown)}
    axes = draw_curves(curves, "title", "clicks").axes[0]
    assert all(type(found) is LineCollection for found in axes.collections)
    bars = [bar for found in axes.collections for bar in found.get_segments()]
    places = [float(bar[0][0]) for bar in bars]
    assert [sorted(map(float, bar[:, 1])) for bar in bars] == [[79.0 - n, 82.0 - n] for n in range(8)]
    assert places == sorted(places) and places[0] > 35 and len(set(places)) == 8
    assert axes.get_ylabel() == "Dice %, mean, 95 % of the last"
    alone = _curves(8) | {"random": _curves(1)["method0"]}
    for name in list(alone)[:-1]:
        alone[name] = alone[name]._replace(low=np.full(3, np.nan), high=np.full(3, np.nan))
    assert draw_curves(alone, "title", "clicks").axes[0].get_ylabel() == "Dice %, mean"  # that of a bound is not drawn
    assert [text.get_text() for text in axes.get_legend().get_texts()][1:9] == [f"method{n}" for n in range(8)]
