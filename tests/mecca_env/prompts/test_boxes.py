"""The challenge's box: on the middle slice, widened by one draw, from the first to the last slice."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mecca_env.prompts import SliceBox, middle_slice_box

Bits = NDArray[np.bool_]
SHAPE = (12, 256, 512)


def staircase() -> Bits:
    """An object that is another rectangle on each of its slices 2 to 6."""
    label = np.zeros(SHAPE, bool)
    for number in range(5):
        label[2 + number, 100 + number : 110 + number, 200:230] = True
    return label


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_without_widening_it_is_the_box_of_the_middle_slice() -> None:
    box = middle_slice_box(staircase(), rng(), widest=0)
    assert box == SliceBox(axis=0, middle=4, low=(2, 102, 200), high=(7, 112, 230))
    assert box.drawn == ((4, 102, 200), (5, 112, 230))


def test_one_draw_widens_all_four_sides_each_by_its_length() -> None:
    found = {middle_slice_box(staircase(), rng(seed)) for seed in range(60)}
    expected = {SliceBox(0, 4, (2, 102 - d, 200 - 2 * d), (7, 112 + d, 230 + 2 * d)) for d in range(6)}
    assert found == expected  # each of 0 to 5, inclusive, and nothing else


def test_the_same_generator_draws_the_same_box_and_goes_on() -> None:
    one, other = rng(3), rng(3)
    boxes = [middle_slice_box(staircase(), one) for _ in range(20)]
    assert boxes == [middle_slice_box(staircase(), other) for _ in range(20)]
    assert len(set(boxes)) > 1


def test_less_than_a_pixel_is_none() -> None:
    label = np.zeros((3, 40, 60), bool)  # 5 pixels of 256 are less than one of 40, and one of 60
    label[1, 20, 30] = True
    found = {middle_slice_box(label, rng(seed)) for seed in range(60)}
    assert found == {SliceBox(0, 1, (1, 20, 30 - d), (2, 21, 31 + d)) for d in (0, 1)}


def test_it_is_clipped_to_the_scan() -> None:
    label = np.zeros(SHAPE, bool)
    label[:, :3, 508:] = True
    boxes = {middle_slice_box(label, rng(seed)) for seed in range(60)}
    assert {(box.low[1], box.high[2]) for box in boxes} == {(0, 512)}
    assert {box.high[1] for box in boxes} == set(range(3, 9))
    assert {(box.low[0], box.high[0]) for box in boxes} == {(0, 12)}


@pytest.mark.parametrize(("slices", "middle"), [([4], 4), ([4, 5], 5), ([1, 2, 9], 2), ([0, 1, 8, 9], 8)])
def test_the_middle_is_one_that_the_object_is_on(slices: list[int], middle: int) -> None:
    label = np.zeros(SHAPE, bool)
    label[slices, 50, 60] = True
    box = middle_slice_box(label, rng(), widest=0)
    assert (box.middle, box.low[0], box.high[0]) == (middle, slices[0], slices[-1] + 1)


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 1, 0), (1, 2, 0)])
def test_any_axis_may_be_that_of_the_slices(order: tuple[int, int, int]) -> None:
    axis = order.index(0)
    for seed in range(10):
        box = middle_slice_box(staircase(), rng(seed))
        turned = middle_slice_box(staircase().transpose(order), rng(seed), axis=axis)
        corners = [tuple(corner[a] for a in order) for corner in (box.low, box.high)]
        assert turned == SliceBox(axis, box.middle, *corners)
        assert turned.drawn[0][axis] + 1 == turned.drawn[1][axis] == box.middle + 1


def test_what_no_box_can_be_drawn_around_is_refused() -> None:
    with pytest.raises(ValueError, match="label: expected an object to draw a box around, got an empty mask"):
        middle_slice_box(np.zeros(SHAPE, bool), rng())
    with pytest.raises(TypeError, match="label: expected a bool mask, got uint8"):
        middle_slice_box(staircase().astype(np.uint8), rng())
    with pytest.raises(ValueError, match=r"label: expected three axes, got shape \(256, 512\)"):
        middle_slice_box(staircase()[4], rng())
    with pytest.raises(ValueError, match="axis: expected 0, 1 or 2, got 3"):
        middle_slice_box(staircase(), rng(), axis=3)
    with pytest.raises(ValueError, match="widest: expected a number of pixels of at least 0, got -1"):
        middle_slice_box(staircase(), rng(), widest=-1)
