"""Boxes that are drawn on slices, and marks that arrive as masks."""

from __future__ import annotations

import numpy as np
import pytest

from mecca_agents.serve.prompting.boxes import DrawnBoxes, read_drawn
from mecca_agents.serve.prompting.marks import MOST_EDGES, MOST_SIDED, edge_voxels, sided_voxels
from mecca_env.data.base import Box

SHAPE = (100, 90, 40)
SPACING = (1.0, 1.0, 2.0)
AXIAL: Box = ((10, 20, 15), (30, 60, 16))  # 20 and 40 mm
CORONAL: Box = ((12, 40, 5), (34, 41, 25))


def _whole(*boxes: Box, **other: float) -> Box:
    return DrawnBoxes(boxes).whole(SHAPE, SPACING, usual=96.0, **other)  # type: ignore[arg-type]


def test_a_slice_says_two_axes_and_the_third_is_as_deep_as_they_are_on_average() -> None:
    assert DrawnBoxes((AXIAL,)).guessed(SHAPE) == (2,)
    assert _whole(AXIAL) == ((10, 20, 8), (30, 60, 23))  # 30 mm, of which voxel 15 is the middle
    assert _whole(AXIAL, reach=2.0) == ((10, 20, 0), (30, 60, 31))


def test_a_second_plane_says_the_rest() -> None:
    drawn = DrawnBoxes((AXIAL,)).also(CORONAL)
    assert drawn.guessed(SHAPE) == ()
    assert drawn.whole(SHAPE, SPACING, usual=96.0) == ((10, 20, 5), (34, 60, 25))


def test_two_parallel_slices_are_both_in_it() -> None:
    far = ((10, 20, 35), (30, 60, 36))
    low, high = _whole(AXIAL, far)
    assert (low[2], high[2]) == (8, 40) and (low[:2], high[:2]) == ((10, 20), (30, 60))
    assert _whole(CORONAL, far)[1][2] == 36  # a slice beyond what is known of its axis


def test_a_box_in_three_dimensions_is_what_it_is() -> None:
    box = ((1, 2, 3), (9, 8, 7))
    assert _whole(box) == box and not DrawnBoxes((box,)).guessed(SHAPE)


def test_a_guess_holds_the_mask_and_ends_at_the_scan() -> None:
    mask: Box = ((0, 0, 2), (5, 5, 38))
    assert _whole(AXIAL, also=mask) == ((10, 20, 2), (30, 60, 38))  # type: ignore[arg-type]
    assert _whole(((50, 50, 39), (51, 51, 40)))[1] == (99, 90, 40)  # one voxel: the usual size


def test_a_scan_of_one_slice_has_nothing_to_guess() -> None:
    box: Box = ((1, 2, 0), (9, 8, 1))
    drawn = DrawnBoxes((box,))
    assert drawn.guessed((20, 20, 1)) == () and drawn.whole((20, 20, 1), SPACING, usual=9.0) == box


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        ((1.4, 2.5, 3), (5.4, 6.5, 4), ((1, 3, 3), (5, 7, 4))),
        ((12.5, 1, 1), (13.5, 2, 2), ((13, 1, 1), (14, 2, 2))),
        ((5, 6, 4), (1, 2, 3), ((1, 2, 3), (5, 6, 4))),
        ((-5, -1e300, 3), (5, 1e300, 3), ((0, 0, 3), (5, 90, 4))),
        ((100, 0, 0), (110, 5, 5), None),
        ((0, -9, 0), (5, -3, 5), None),
    ],
)
def test_corners_become_voxels_of_the_scan(low: tuple[float, ...], high: tuple[float, ...], found: Box | None) -> None:
    assert read_drawn(low, high, SHAPE) == found


def test_a_mark_is_all_of_its_voxels_from_the_middle_on() -> None:
    mark = np.zeros((20, 20, 9), bool)
    mark[4:9, 10, 3] = True
    voxels = sided_voxels(mark)
    assert voxels[0].tolist() == [6, 10, 3]
    assert sorted(map(tuple, voxels)) == [(x, 10, 3) for x in range(4, 9)]


def test_very_many_voxels_are_thinned_evenly() -> None:
    mark = np.zeros((200, 200, 3), bool)
    mark[:, :, 1] = True
    voxels = sided_voxels(mark)
    assert len(voxels) == MOST_SIDED and len(np.unique(voxels, axis=0)) == MOST_SIDED
    tiles = np.unique(voxels[:, :2] // 20, axis=0)
    assert len(tiles) == 100  # some in each tile of 20 x 20


def test_an_area_is_its_outline_where_edges_are_wanted() -> None:
    mark = np.zeros((30, 30, 9), bool)
    mark[5:25, 8:20, 4] = True
    found = edge_voxels(mark)
    assert len(found) == MOST_EDGES == len(np.unique(found, axis=0)) and (found[:, 2] == 4).all()
    on_edge = np.isin(found[:, 0], (5, 24)) | np.isin(found[:, 1], (8, 19))
    assert on_edge.all() and {5, 24} <= set(found[:, 0].tolist())
    line = np.zeros_like(mark)
    line[5:9, 3, 2] = True
    assert sorted(edge_voxels(line)[:, 0].tolist()) == [5, 6, 7, 8]
