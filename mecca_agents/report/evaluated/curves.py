"""Dice against prompts, of one evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mecca_agents.evaluation.results import Result, means_of_scans
from mecca_agents.evaluation.statistics import case_interval
from mecca_agents.report.plots import Curve, draw_curves
from mecca_agents.runs.errors import RunError
from mecca_agents.runs.folder import check_writable
from mecca_env.atomic import atomically, os_errors_as

_DPI = 150


def curve_of(results: Sequence[Result]) -> Curve:
    """Mean Dice % on the scan's own grid over the mean number of prompts, with the 95 % interval of the mean.

    Cases of one scan count once. With fewer than eight scans there is no interval, and low and high are NaN.
    """
    points = []
    for step in sorted({result.step for result in results}):
        here = [result for result in results if result.step == step]
        values = means_of_scans([result.case for result in here], [100 * result.dice_scan for result in here])
        clicks = float(np.mean([result.clicks for result in here]))
        points.append((clicks, float(np.mean(values)), *(case_interval(values) or (np.nan, np.nan))))
    return Curve(*np.array(points).T)


def check_picture(path: Path) -> None:
    """Raise `RunError` where a picture could not be written there."""
    if path.suffix.lower() != ".png":
        raise RunError(f"{path}: expected a name that ends in .png, found {path.name!r}")
    check_writable(path)


def save_curve(results: Sequence[Result], path: Path) -> None:
    """Draw `curve_of` into a PNG file. Raises `RunError` where that cannot be written."""
    about = results[0]
    title = f"{about.dataset}: Dice on the scan's grid, protocol {about.protocol}"
    figure = draw_curves({about.method: curve_of(results)}, title, "prompts made so far")
    with os_errors_as(lambda reason: RunError(f"{path}: the picture cannot be written: {reason}")):
        atomically(path, lambda temporary: figure.savefig(temporary, dpi=_DPI, format="png", bbox_inches="tight"))
