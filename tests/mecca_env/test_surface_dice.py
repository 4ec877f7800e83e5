"""Normalised surface Dice by area: cases done by hand, and MONAI's number."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mecca_env.metrics import surface_dice, surface_metrics
from tests.mecca_env.test_metrics import SPACINGS, blob

Bits = NDArray[np.bool_]

VOXEL = math.sqrt(3)
"""Surface of one voxel: a triangle with sides of the square root of a half at each of eight corners."""

PAIR = math.sqrt(3) + 2 * math.sqrt(2)
"""Surface of two voxels beside each other: the same corners, and four rectangles of 1 by the root of a half."""


def nsd(
    prediction: Bits, label: Bits, tolerance: float, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> float:
    return surface_dice(prediction, label, spacing=spacing, tolerance=tolerance)


def test_areas_count_and_not_voxels() -> None:
    prediction, label = np.zeros((14, 5, 5), bool), np.zeros((14, 5, 5), bool)
    prediction[2, 2, 2] = label[2, 2, 2] = True
    label[9:11, 2, 2] = True  # far from all that is predicted
    assert nsd(prediction, label, 1.0) == pytest.approx(2 * VOXEL / (2 * VOXEL + PAIR), abs=1e-6)
    assert surface_metrics(prediction, label).nsd == 2 / 4


def test_two_equal_objects_of_which_one_is_found() -> None:
    label = np.zeros((30, 9, 9), bool)
    label[2:8, 2:7, 2:7] = label[20:26, 2:7, 2:7] = True
    prediction = label.copy()
    prediction[15:] = False
    assert nsd(prediction, label, 2.0, (1.5, 0.7, 2.0)) == pytest.approx(2 / 3, abs=1e-6)  # (A + A) of (A + 2 A)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_tolerance_is_in_millimetres_along_each_axis(axis: int) -> None:
    spacing = [0.4, 0.4, 0.4]
    spacing[axis] = 2.0
    label = np.zeros((12, 12, 12), bool)
    label[3:7, 3:7, 3:7] = True
    moved = np.roll(label, 1, axis)  # by 2 mm, which the tolerance forgives
    assert nsd(moved, label, 2.0, (spacing[0], spacing[1], spacing[2])) == 1.0
    assert nsd(moved, label, 1.99, (spacing[0], spacing[1], spacing[2])) < 1.0
    assert nsd(np.roll(label, 5, axis - 1), label, 1.99, (spacing[0], spacing[1], spacing[2])) < 1.0
    assert nsd(np.roll(label, 4, axis - 1), label, 1.99, (spacing[0], spacing[1], spacing[2])) == 1.0


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("tolerance", [0.0, 1.0, 2.0])
def test_it_is_monais_number(spacing: tuple[float, float, float], tolerance: float) -> None:
    from monai.metrics import compute_surface_dice

    for seed in range(4):
        prediction, label = blob(seed), blob(seed + 10)  # both run into the border
        both = [torch.from_numpy(mask)[None, None] for mask in (prediction, label)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = compute_surface_dice(
                *both, [tolerance], include_background=True, spacing=list(spacing), use_subvoxels=True
            ).item()
        assert 0 < expected < 1 or tolerance == 2.0
        assert nsd(prediction, label, tolerance, spacing) == pytest.approx(expected, abs=1e-6)
        assert surface_dice(both[0][0, 0], both[1][0, 0], spacing=spacing, tolerance=tolerance) == pytest.approx(
            expected
        )


def test_what_lies_far_from_both_masks_changes_nothing() -> None:
    prediction, label = blob(0), blob(1)
    wide = [np.pad(mask, ((3, 20), (0, 7), (11, 0))) for mask in (prediction, label)]
    assert nsd(*wide, 1.0) == pytest.approx(nsd(prediction, label, 1.0), abs=1e-6)


def test_empty_masks() -> None:
    nothing, something = np.zeros((5, 5, 5), bool), np.zeros((5, 5, 5), bool)
    something[2, 2, 2] = True
    assert nsd(nothing, nothing, 2.0) == 1.0
    assert nsd(nothing, something, 9.0) == nsd(something, nothing, 9.0) == 0.0
    assert nsd(something, something, 0.0) == 1.0
    assert nsd(~nothing, ~nothing, 0.0) == 1.0  # the whole grid


def test_bad_arguments_are_refused() -> None:
    mask = np.ones((3, 3, 3), bool)
    with pytest.raises(ValueError, match=r"expected one shape \(D, H, W\), got \(3, 3, 3\) and \(2, 3, 3\)"):
        nsd(mask, mask[:2], 1.0)
    with pytest.raises(ValueError, match="spacing: expected three finite numbers above 0"):
        nsd(mask, mask, 1.0, (1.0, 1.0, 0.0))
    with pytest.raises(ValueError, match="tolerance: expected a number of at least 0, got -1"):
        nsd(mask, mask, -1.0)
    with pytest.raises(TypeError, match="label: expected a bool mask"):
        surface_dice(mask, mask.astype(np.uint8), spacing=(1, 1, 1), tolerance=1)  # type: ignore[arg-type]
