"""The CVPR 2025 challenge's measures, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mecca_agents.evaluation.protocols import (
    InteractiveScores,
    ScanScores,
    area_under_clicks,
    interactive_scores,
    scan_scores,
)
from mecca_env.metrics import surface_dice

ONE = (1.0, 1.0, 1.0)


def classes() -> np.ndarray:
    """Class 1 of 8 voxels, class 5 of 64."""
    label = np.zeros((20, 12, 12), np.uint8)
    label[2:4, 2:4, 2:4] = 1
    label[10:14, 4:8, 4:8] = 5
    return label


# Area under the clicks


def test_perfect_scores_after_five_clicks_are_an_area_of_four() -> None:
    assert area_under_clicks([1.0] * 5) == 4.0


def test_a_line_from_nothing_to_all() -> None:
    assert area_under_clicks([0.0, 0.25, 0.5, 0.75, 1.0]) == 2.0


def test_the_first_and_the_last_click_count_half() -> None:
    assert area_under_clicks([1.0, 0.0, 0.0, 0.0, 0.0]) == area_under_clicks([0.0, 0.0, 0.0, 0.0, 1.0]) == 0.5
    assert area_under_clicks([0.0, 1.0, 0.0, 0.0, 0.0]) == 1.0


def test_the_prediction_of_the_box_is_left_out() -> None:
    dsc, nsd = (0.9, 0.5, 0.6, 0.7, 0.8, 0.7), (0.8, 0.0, 0.2, 0.4, 0.4, 0.6)
    steps = [ScanScores(*both) for both in zip(dsc, nsd, strict=True)]
    found = interactive_scores(steps)
    assert found == pytest.approx(InteractiveScores(2.7, 1.3, 0.7, 0.6))
    assert found == interactive_scores([ScanScores(0.0, 0.0), *steps[1:]])


def test_too_few_clicks_have_no_area() -> None:
    with pytest.raises(ValueError, match="scores: expected those after two clicks or more, got 1"):
        area_under_clicks([0.5])
    with pytest.raises(ValueError, match="steps: expected that of the box and those of two clicks or more, got 2"):
        interactive_scores([ScanScores(1, 1)] * 2)


# Scores of a scan


def test_a_mask_by_hand() -> None:
    label, prediction = np.zeros((10, 10, 10), bool), np.zeros((10, 10, 10), bool)
    label[2:6, 2:6, 2:6] = True
    prediction[3:7, 2:6, 2:6] = True  # 48 of 64 voxels in common, a millimetre off
    assert scan_scores(prediction, label, spacing=ONE) == ScanScores(0.75, 1.0)
    found = scan_scores(prediction, label, spacing=(2.5, 1.0, 1.0))
    assert found.dsc == 0.75
    assert found.nsd == surface_dice(prediction, label, spacing=(2.5, 1.0, 1.0), tolerance=2.0)
    assert 0 < found.nsd < 1
    assert scan_scores(prediction, label, spacing=(2.5, 1.0, 1.0), tolerance=2.5).nsd == 1.0


def test_classes_of_the_label_count_alike_and_others_not_at_all() -> None:
    prediction = classes()
    prediction[prediction == 1] = 0  # the small one is missed
    prediction[17:, :4, :4] = 7  # a class that the label has not
    assert scan_scores(prediction, classes(), spacing=ONE) == ScanScores(0.5, 0.5)
    assert scan_scores(classes(), classes(), spacing=ONE) == ScanScores(1.0, 1.0)


def test_a_voxel_of_another_class_is_wrong() -> None:
    prediction = classes()
    prediction[prediction == 1] = 5
    found = scan_scores(prediction, classes(), spacing=ONE)
    assert found.dsc == pytest.approx((0 + 2 * 64 / (64 + 72)) / 2)


def test_nsd_is_zero_where_the_mean_dsc_is_not_above_a_fifth() -> None:
    label, prediction = np.zeros((12, 12, 12), bool), np.zeros((12, 12, 12), bool)
    label[2:7, 2, 2], prediction[6:11, 2, 2] = True, True  # 1 of 5 and 5: exactly 0.2
    assert surface_dice(prediction, label, spacing=ONE, tolerance=2.0) > 0
    assert scan_scores(prediction, label, spacing=ONE) == ScanScores(0.2, 0.0)
    prediction[6:11, 2, 2], prediction[5:10, 2, 2] = False, True
    assert scan_scores(prediction, label, spacing=ONE).nsd > 0
    several = classes()
    several[several == 5] = 0  # class 1 is right, and class 5, below a fifth itself, counts in the mean alone
    several[10:11, 4:6, 4:6] = 5
    found = scan_scores(several, classes(), spacing=ONE)
    assert found.dsc == pytest.approx((1 + 8 / 68) / 2) and found.nsd > 0.5


def test_empty_masks() -> None:
    nothing = np.zeros((5, 5, 5), np.uint8)
    something = nothing.copy()
    something[2, 2, 2] = 3
    assert scan_scores(nothing, nothing, spacing=ONE) == ScanScores(1.0, 1.0)
    assert scan_scores(something, nothing, spacing=ONE) == ScanScores(0.0, 0.0)
    assert scan_scores(nothing, something, spacing=ONE) == ScanScores(0.0, 0.0)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="prediction: expected bool or integers, got float64"):
        scan_scores(classes().astype(float), classes(), spacing=ONE)
    with pytest.raises(ValueError, match="expected one shape with three axes"):
        scan_scores(classes()[1:], classes(), spacing=ONE)
    with pytest.raises(ValueError, match="spacing: expected three finite numbers above 0"):
        scan_scores(np.zeros_like(classes()), classes(), spacing=(1.0, -1.0, 1.0))
