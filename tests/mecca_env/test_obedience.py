"""Whether a prediction does what clicks say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mecca_env.metrics import obedience, obeyed

PREDICTION = np.zeros((4, 5, 6), bool)
PREDICTION[1, 2, 3] = PREDICTION[3, 4, 5] = True
CLICKS = np.array([(1, 2, 3), (0, 0, 0), (3, 4, 5), (3, 4, 4), (-1, -1, -1)])


def test_a_click_is_obeyed_where_its_voxel_is_on_its_side() -> None:
    signs = np.array([1, -1, -1, 1, 0])
    assert obeyed(PREDICTION, CLICKS, signs).tolist() == [True, True, False, False]
    assert obedience(PREDICTION, CLICKS, signs) == 0.5
    assert obedience(PREDICTION, CLICKS, -signs) == 0.5
    assert obedience(PREDICTION, CLICKS[:2], signs[:2]) == 1.0
    assert obedience(~PREDICTION, CLICKS[:2], signs[:2]) == 0.0


def test_the_same_click_twice_counts_twice() -> None:
    assert obeyed(PREDICTION, CLICKS[[0, 0, 1]], np.array([1, 1, 1])).tolist() == [True, True, False]


def test_tensors_of_a_state_are_taken() -> None:
    clicks, signs = torch.from_numpy(CLICKS), torch.tensor([1, -1, -1, 1, 1], dtype=torch.int8)
    assert obedience(torch.from_numpy(PREDICTION), clicks, signs) == 0.5


def test_without_clicks_there_is_no_share() -> None:
    assert math.isnan(obedience(PREDICTION, CLICKS[4:], np.array([0])))
    assert math.isnan(obedience(PREDICTION, np.zeros((0, 3), int), np.zeros(0, int)))


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"clicks: expected voxels of a grid \(4, 5, 6\), got \[0, 5, 0\]"):
        obeyed(PREDICTION, np.array([(0, 5, 0)]), np.array([1]))
    with pytest.raises(ValueError, match=r"clicks: expected voxels of a grid \(4, 5, 6\), got \[0, -1, 0\]"):
        obeyed(PREDICTION, np.array([(0, -1, 0)]), np.array([1]))
    with pytest.raises(ValueError, match=r"signs: expected 1 or -1, got \[0\]"):
        obeyed(PREDICTION, CLICKS[:1], np.array([0]))
    with pytest.raises(ValueError, match=r"expected shapes .*, got \(4, 5, 6\), \(5, 3\), \(4,\)"):
        obeyed(PREDICTION, CLICKS, np.ones(4, int))
    with pytest.raises(TypeError, match="prediction: expected a bool mask"):
        obeyed(PREDICTION.astype(float), CLICKS, np.ones(5, int))  # type: ignore[arg-type]
