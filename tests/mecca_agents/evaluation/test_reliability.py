"""Reliability of confidences against SciPy's rank test and against counts made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import mannwhitneyu

from mecca_agents.evaluation.reliability import BINS, LIMIT, Reliability


def _auroc(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    return float(mannwhitneyu(confidence[right], confidence[~right]).statistic / (right.sum() * (~right).sum()))


def _collect(confidence: NDArray[np.float64], right: NDArray[np.bool_], step: int = 1) -> Reliability:
    reliability = Reliability()
    reliability.add(torch.from_numpy(confidence), torch.from_numpy(right), step)
    return reliability


def test_auroc_is_the_rank_statistic_with_ties_counted_half() -> None:
    rng = np.random.default_rng(0)
    # Confidences in the middle of bins, few of them, so that most pairs are ties.
    confidence = expit((rng.integers(BINS // 2 - 10, BINS // 2 + 10, size=2000) + 0.5) * 2 * LIMIT / BINS - LIMIT)
    right = rng.random(2000) < 0.3 + 2 * (confidence - 0.5)
    assert _collect(confidence, right).auroc() == pytest.approx(_auroc(confidence, right), abs=1e-12)


@pytest.mark.parametrize("centre", [0.0, 9.0, -9.0])
def test_auroc_is_fine_where_networks_crowd(centre: float) -> None:
    """At 9 all confidences lie within 0.001 of 1; equal parts of [0, 1] would tie them all."""
    rng = np.random.default_rng(1)
    right = rng.random(5000) < 0.8
    confidence = expit(rng.normal(centre + 0.8 * right, 1.0)).astype(np.float32).astype(np.float64)
    assert _auroc(confidence, right) > 0.65
    assert _collect(confidence, right).auroc() == pytest.approx(_auroc(confidence, right), abs=1e-4)


def test_certainty_itself_is_taken_in() -> None:
    reliability = _collect(np.array([0.0, 0.0, 1.0, 1.0]), np.array([False, True, True, True]))
    assert reliability.auroc() == pytest.approx(5 / 6)  # 2 of 3 pairs in order, one a tie
    assert [row.voxels for row in reliability.rows()] == [2, 0, 0, 0, 0, 0, 0, 0, 0, 2]


def test_the_table_is_what_one_counts_by_hand() -> None:
    confidence = np.array([0.05, 0.25, 0.25, 0.75, 0.75, 0.75, 0.75, 0.95, 0.95, 0.95])
    right = np.array([False, True, False, True, True, True, False, True, True, True])
    reliability = _collect(confidence, right)
    rows = reliability.rows()
    assert [row.voxels for row in rows] == [1, 0, 2, 0, 0, 0, 0, 4, 0, 3]
    assert (rows[2].low, rows[2].high) == (0.2, 0.3)
    assert rows[2].confidence == pytest.approx(0.25) and rows[2].right == 0.5
    assert rows[7].confidence == pytest.approx(0.75) and rows[7].right == 0.75
    assert math.isnan(rows[1].confidence) and math.isnan(rows[1].right)
    assert reliability.right == 0.7
    # 1 voxel off by 0.05, 2 by 0.25, 4 by 0, 3 by 0.05
    assert reliability.calibration_error() == pytest.approx((0.05 + 2 * 0.25 + 3 * 0.05) / 10)
    text = reliability.table().splitlines()
    assert text[0] == "confidence in 10 actions, 70.00 % of them in the label's direction"
    assert text[2] == "expected calibration error 7.00 %"
    assert text[6].split() == ["0.2", "-", "0.3", "20.00", "25.00", "50.00"]
    assert text[5].split() == ["0.1", "-", "0.2", "0.00", "-", "-"]


def test_parts_add_up_and_steps_stay_apart() -> None:
    rng = np.random.default_rng(2)
    confidence, right = rng.random((2, 3, 4, 5, 6)), rng.random((2, 3, 4, 5, 6)) < 0.5
    both = Reliability()
    for step in (0, 1):
        for case in range(3):
            both.add(torch.from_numpy(confidence[step, case]), torch.from_numpy(right[step, case]), step + 1)
    whole = _collect(confidence, right)
    assert both.auroc() == whole.auroc()
    np.testing.assert_allclose(both.rows(), whole.rows())
    assert both.steps == (1, 2) and both.voxels == 720
    for step in (0, 1):
        assert both.auroc(step + 1) == _collect(confidence[step], right[step]).auroc()
    assert both.auroc(1) != both.auroc(2)


def test_without_wrong_actions_there_is_no_auroc() -> None:
    reliability = _collect(np.array([0.6, 0.9]), np.array([True, True]))
    assert math.isnan(reliability.auroc())
    assert "AUROC - (by step  1: -)" in reliability.table()


def test_without_confidences_there_is_no_table() -> None:
    assert Reliability().voxels == 0
    with pytest.raises(ValueError, match="expected at least one confidence, found none"):
        Reliability().table()
