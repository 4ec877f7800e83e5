"""The curve of one evaluation: Dice on the scan's grid against prompts."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from mecca_agents.evaluation import Result
from mecca_agents.evaluation.statistics import case_interval
from mecca_agents.report.evaluated.curves import curve_of, save_curve
from mecca_agents.runs import RunError

MEASURES = (0.5, 2.0, 3.0, 0.2, 0.0, 0.1)  # on the episode's grid


def results(dice: list[float]) -> list[Result]:
    return [
        Result(*("mecca", "d", f"case{i}", 0, 0, step, 3 * step + i % 2), *MEASURES, "paper", math.nan, value / step)
        for i, value in enumerate(dice)
        for step in (1, 2)
    ]


def test_it_is_the_mean_over_cases_with_its_interval() -> None:
    dice = list(np.linspace(0.2, 0.9, 10))
    curve = curve_of(results(dice))
    assert curve.x.tolist() == [3.5, 6.5]
    assert curve.mean == pytest.approx([55.0, 27.5])
    for step in (1, 2):
        low_high = case_interval([100 * value / step for value in dice])
        assert (curve.low[step - 1], curve.high[step - 1]) == low_high


def test_of_few_cases_there_is_no_band() -> None:
    curve = curve_of(results([0.2, 0.4]))
    assert np.isnan(curve.low).all() and np.isnan(curve.high).all() and curve.mean == pytest.approx([30.0, 15.0])


def test_it_is_a_picture(tmp_path: Path) -> None:
    save_curve(results([0.2, 0.4]), tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG") and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(RunError, match=r"gone/curve\.png: the picture cannot be written"):
        save_curve(results([0.2, 0.4]), tmp_path / "gone" / "curve.png")
