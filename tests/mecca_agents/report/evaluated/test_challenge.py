"""The CVPR 2025 challenge's scores of one evaluation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mecca_agents.evaluation import Result
from mecca_agents.evaluation.protocols import ScanScores, interactive_scores
from mecca_agents.report.evaluated.challenge import challenge_table, other_than_challenge

DICE = {"a": [0.1, 0.5, 0.6, 0.7, 0.86, 0.8], "b": [0.3, 0.4, 0.5, 0.92, 0.7, 0.9]}
BOUND = ScanScores(0.9, 0.95)
MEASURES = (0.5, 2.0, 3.0, 0.2, 0.0, 0.25)  # on the episode's grid, and 0.25 s


def results(dice: dict[str, list[float]], protocol: str = "cvpr25") -> list[Result]:
    return [
        Result(*("fake", "d", case, 0, 0, step + 1, step), *MEASURES, protocol, math.nan, value, value / 2)
        for case, values in dice.items()
        for step, value in enumerate(values)
    ]


def test_its_scores_are_means_over_cases_of_those_of_each() -> None:
    lines = challenge_table(results(DICE), BOUND).splitlines()
    assert lines[0] == "CVPR 2025 challenge, on the scan's own grid, mean over 2 cases"
    found = [float(value) for value in lines[2].split()[1:5]]
    each = [interactive_scores([ScanScores(v, v / 2) for v in values]) for values in DICE.values()]
    assert found == pytest.approx(np.mean(each, axis=0), abs=1e-4)
    # a reaches 0.85 with the fourth click, b with the third; only b reaches 0.90, a counts with all five
    assert lines[2].split()[5:] == ["3.5", "0", "4.0", "50", "0.25"]
    assert lines[3].split() == ["label", "(bound)", "3.6000", "3.8000", "0.9000", "0.9500"]


def test_the_classes_of_a_scan_count_once() -> None:
    dice = {"s-label1": [0.5] * 6, "s-label2": [0.7] * 6, "t-label1": [0.2] * 6}
    line = challenge_table(results(dice), BOUND).splitlines()[2]
    assert float(line.split()[3]) == pytest.approx((0.6 + 0.2) / 2)


def test_other_prompts_than_the_challenges_are_named() -> None:
    assert other_than_challenge({"protocol": "cvpr25", "clicks": (0, 1, 1, 1, 1, 1), "augment": False}) == []
    other = other_than_challenge({"protocol": "cvpr25", "user": "edge", "horizon": 4})
    assert other == ["user", "horizon", "clicks"]
    title = challenge_table(results(DICE), BOUND, other).splitlines()[0]
    assert title.startswith("CVPR 2025 challenge, but for user, horizon, clicks, on the scan's own grid")


@pytest.mark.parametrize(
    ("dice", "protocol"), [(DICE, "one-click"), (DICE, "paper"), ({"a": [0.5, 0.6]}, "cvpr25")], ids=str
)
def test_there_are_none_of_another_protocol_nor_of_too_few_clicks(dice: dict[str, list[float]], protocol: str) -> None:
    assert challenge_table(results(dice, protocol), BOUND) == ""
