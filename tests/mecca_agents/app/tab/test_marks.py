"""Marks inside and outside: what a page does with them, and which of them it draws."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mecca_agents.app.tab.folder import Folder
from mecca_agents.app.tab.marks import MOST_MARKS, Mark, Strokes, marks_of
from mecca_agents.app.tab.tab import Tab
from mecca_agents.session import Click, Model, SessionError
from tests.support.annotation import Case


@pytest.fixture
def tab(signed_model: Model, case: Case) -> Iterator[Tab]:
    """Of a run that was trained with signs, with the case opened."""
    tab = Tab(signed_model, Folder(case.folder), 1 << 20)
    tab.open_scan([case.scan], ["head.nii.gz"])
    yield tab
    tab.close()


def _outline(middle: list[float], radius: float) -> list[tuple[float, float, float]]:
    turns = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    x, y, z = middle
    return [(x + radius * np.cos(turn), y + radius * np.sin(turn), z) for turn in turns]


def _clicks(first: int, count: int, inside: bool | None = True, step: int = 1) -> list[Click]:
    return [Click((float(n), 0.0, 0.0), (n, 0, 0), step, False, inside) for n in range(first, first + count)]


def test_a_point_a_line_and_an_area_are_one_action_each(tab: Tab, case: Case) -> None:
    session = tab.session
    middle = np.argwhere(case.label).mean(axis=0).round().tolist()
    tab.open_label(case.label_file, "label")
    tab.add_clicks([middle], True)
    tab.add_scribble([middle, [middle[0] + 12.0, middle[1], middle[2]]], True)
    tab.add_lasso(_outline([9.0, 9.0, middle[2]], 6), False)
    assert session.box is None and session.view != ((0, 0, 0), session.shape)
    sides = [click.inside for click in session.clicks]
    counts = [1, sides.count(True), len(sides)]
    assert sides[0] and counts[0] < counts[1] < counts[2] and sides == sorted(sides, reverse=True)
    tab.step()
    assert tab.review is not None and len(tab.review.scores) == 1
    tab.undo()
    for left in (counts[1], counts[0], 0):
        assert tab.undo() == "add_clicks"
        assert len(session.clicks) == left
    assert tab.marks == []
    for number in (1, 2, 3):
        tab.redo()
        assert len(session.clicks) == counts[number - 1]


def test_runs_say_whether_they_want_sides(tab: Tab, model: Model, case: Case) -> None:
    with pytest.raises(SessionError, match="inside: expected True or False"):
        tab.add_clicks([(5, 5, 5)])
    other = Tab(model, Folder(case.folder), 1 << 20)
    other.open_scan([case.scan], ["head.nii.gz"])
    assert tab.signed and not other.signed
    with pytest.raises(SessionError, match="inside: expected None"):
        other.add_clicks([(5, 5, 5)], True)
    other.add_clicks([(5, 5, 5)])
    assert other.marks == [Mark((5.0, 5.0, 5.0), "click", True)]
    other.close()


def test_a_line_has_one_large_mark_and_small_ones_wherever_it_comes_from(tab: Tab, case: Case, tmp_path: Path) -> None:
    tab.add_clicks([(30, 25, 20)], True)
    tab.add_scribble([(10, 25, 20), (40, 25, 20)], False)
    tab.step()
    tab.add_lasso(_outline([30.0, 25.0, 25.0], 9), True)
    found = tab.marks
    large = [mark for mark in found if not mark.small]
    assert [mark.kind for mark in large] == ["outside", "inside", "inside"]
    assert {(mark.kind, mark.waiting) for mark in found if mark.small} == {("outside", False), ("inside", True)}
    assert {mark.point for mark in found} <= {click.point for click in tab.session.clicks} and len(found) <= MOST_MARKS
    assert large[2] == Mark((30.0, 25.0, 20.0), "inside", False)
    assert np.allclose(large[1].point, (30, 25, 25), atol=3)  # of the area: its middle
    name, content = tab.log_file()
    (tmp_path / name).write_bytes(content)
    tab.undo(), tab.redo()
    assert tab.marks == found
    tab.open_scan([case.scan], ["head.nii.gz"])
    assert tab.marks == []
    tab.open_log(tmp_path / name, name)
    assert tab.marks == found


def test_of_many_clicks_few_are_drawn_and_short_lines_stay_whole() -> None:
    area, line, single = _clicks(0, 5000), _clicks(6000, 20, False), _clicks(7000, 3, step=2)
    strokes = Strokes()
    strokes.add(area)
    strokes.add(line)
    strokes.add(single[:1])  # one new click is a click like any other
    found = marks_of([*area, *line, *single], 1, strokes)
    assert len(found) <= MOST_MARKS
    assert sum(mark.small and mark.kind == "outside" for mark in found) == 19
    assert sum(mark.small and mark.kind == "inside" for mark in found) > 100
    assert [mark.point[0] for mark in found if not mark.small] == [2499, 6009, 7000, 7001, 7002]
    assert all(mark.waiting == (mark.point[0] >= 7000) for mark in found)
    drawn = sorted(mark.point[0] for mark in found if mark.small and mark.kind == "inside")
    assert drawn[0] < 50 and drawn[-1] > 4950 and max(np.diff(drawn)) < 50


def test_single_clicks_and_many_lines_have_an_end_too() -> None:
    assert len(marks_of(_clicks(0, 1000, None), 0, Strokes())) == MOST_MARKS
    strokes, clicks = Strokes(), list[Click]()
    for number in range(400):
        clicks += _clicks(10 * number, 5)
        strokes.add(clicks[-5:])
    assert 0 < len(marks_of(clicks, 0, strokes)) <= MOST_MARKS


def test_lines_over_the_same_voxels_are_lines_of_their_own() -> None:
    """One is undone and drawn again: the next line is not taken for a part of it."""
    strokes = Strokes()
    for _ in range(2):
        strokes.add(_clicks(0, 10))
    strokes.add(_clicks(100, 10))
    single, lines = strokes.parted([*_clicks(0, 10), *_clicks(100, 10)])
    assert not single and [len(line) for line in lines] == [10, 10]
