"""What a brush covers: discs, lines and the border of the scan."""

from __future__ import annotations

import numpy as np
import pytest

from mecca_agents.app.tab.brush import covered
from mecca_agents.session import SessionError

SHAPE = (9, 11, 13)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("radius", [0, 0.5, 1, 2, 3.5])
def test_one_point_covers_a_disc(axis: int, radius: float) -> None:
    point = (4.0, 5.0, 6.0)
    index, plane = covered([point], axis, radius, SHAPE)
    first, second = (other for other in range(3) if other != axis)
    rows, columns = np.indices([SHAPE[first], SHAPE[second]])
    expected = (rows - point[first]) ** 2 + (columns - point[second]) ** 2 <= radius**2
    assert index == point[axis] and (plane == expected).all()


def test_a_line_covers_what_lies_near_to_any_of_its_pieces() -> None:
    points = [(1, 1.3, 6.0), (7.2, 4, 6), (2, 9, 6)]
    _, plane = covered(points, 2, 1.5, SHAPE)
    close = np.vstack([np.linspace(a, b, 2000)[:, :2] for a, b in zip(points, points[1:], strict=False)])
    voxels = np.indices(SHAPE[:2]).reshape(2, -1).T
    away = np.sqrt(((voxels[:, None] - close) ** 2).sum(axis=2)).min(axis=1).reshape(SHAPE[:2])
    assert (plane == (away <= 1.5)).all() and 20 < plane.sum() < plane.size


def test_the_thinnest_line_has_no_gap_and_one_beyond_the_scan_is_cut_off() -> None:
    _, plane = covered([(0.5, 0.5, 3), (8.4, 10.4, 3.4)], 2, 0, SHAPE)
    assert plane.any(axis=0).all() and plane.sum() < 30
    _, plane = covered([(-50, 5, 3), (500, 5, 3)], 2, 1, SHAPE)
    assert plane[:, 4:7].all() and plane.sum() == 3 * SHAPE[0]
    assert not covered([(-50, 5, 3)], 2, 1, SHAPE)[1].any()


@pytest.mark.parametrize("points", [[(1, 1, 3), (1, 1, 4)], [(1, 1, 13)], [(1, 1, -1)]])
def test_a_stroke_lies_on_one_slice(points: list[tuple[float, ...]]) -> None:
    with pytest.raises(SessionError, match="brush: expected points on one slice of the scan"):
        covered(points, 2, 1, SHAPE)
