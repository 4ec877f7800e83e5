"""Boxes from two strokes, and what browsers send, which may be anything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mecca_agents.app.page.browser_input import (
    MOST_POINTS,
    read_line,
    read_point,
    read_side,
    read_stroke,
    read_window,
    read_words,
)
from mecca_agents.app.tab.box_draft import BoxDraft
from mecca_agents.session import SessionError
from mecca_agents.session.inputs.scan import read_box

SHAPE = (20, 30, 40)


def test_two_views_make_a_box() -> None:
    first = BoxDraft().drawn(2, (3.2, 4.7, 11), (9.4, 20.1, 11), SHAPE)
    assert first.box is None and first.missing == [2]
    second = first.drawn(0, (5, 22.6, 30.2), (5, 4.6, 8.8), SHAPE)
    assert second.box == ((3, 5, 9), (10, 24, 31))  # the later stroke decides the axis that both have
    assert BoxDraft.of(second.box) == second and second.missing == []


def test_one_view_twice_is_no_box() -> None:
    draft = BoxDraft().drawn(1, (1, 0, 1), (5, 0, 5), SHAPE).drawn(1, (2, 0, 2), (6, 0, 6), SHAPE)
    assert draft.box is None and draft.extents == ((2, 7), None, (2, 7))


def test_a_stroke_that_leaves_the_scan_ends_at_its_border() -> None:
    draft = BoxDraft().drawn(2, (-50, -0.4, 0), (99, 29.4, 0), SHAPE)
    assert draft.extents == ((0, 20), (0, 30), None)


@pytest.mark.parametrize(("start", "end"), [((5, 5, 5), (5, 9, 5)), ((-9, 1, 1), (-3, 5, 1)), ((25, 1, 1), (30, 5, 1))])
def test_a_stroke_without_area_in_the_scan_is_refused(start: Any, end: Any) -> None:
    with pytest.raises(SessionError, match="box: expected a rectangle"):
        BoxDraft().drawn(2, start, end, SHAPE)


coordinates = st.tuples(*[st.floats(-100, 100)] * 3)


@given(st.lists(st.tuples(st.sampled_from((0, 1, 2)), coordinates, coordinates), max_size=5))
def test_every_box_that_comes_out_is_one_of_the_scan(strokes: Any) -> None:
    draft = BoxDraft()
    for axis, start, end in strokes:
        try:
            draft = draft.drawn(axis, start, end, SHAPE)
        except SessionError:
            continue
    if draft.box is not None:
        assert read_box(*draft.box, SHAPE) == draft.box


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(("axis", "start", "end", "x")), inner),
    max_leaves=8,
)


@given(anything)
def test_readers_return_what_they_say_or_refuse(sent: Any) -> None:
    readers = (read_point, read_window, read_stroke, lambda value: read_words(value, 3), lambda v: read_line(v, 1))
    for read in readers:
        try:
            found = read(sent)
        except SessionError:
            continue
        assert found is not None


def test_readers_read() -> None:
    assert read_point([1, 2.5, 3]) == (1, 2.5, 3)
    assert read_window([1, 2]) == (1, 2)
    assert read_stroke({"axis": 1, "start": [0, 0, 0], "end": [1, 1, 1]}) == (1, (0, 0, 0), (1, 1, 1))
    assert read_words(["a", "b"], 2) == ["a", "b"]
    for wrong in ([1, 2], [1, 2, "3"], [1, 2, float("nan")], [1, 2, 10**400], None, [True, 1, 1]):
        with pytest.raises(SessionError):
            read_point(wrong)


def test_lines_and_sides_are_read() -> None:
    assert read_line([[1, 2.5, 3], [4, 5, 6]], 2) == [(1, 2.5, 3), (4, 5, 6)]
    assert len(read_line([[1, 2, 3]] * MOST_POINTS, 1)) == MOST_POINTS
    assert [read_side(sent) for sent in ({"inside": True}, {"inside": False}, {"inside": None}, {})] == [
        True, False, None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ([[1, 2, 3]] * 2, "line: expected 3 to 1000 points, got 2"),
        ([[1, 2, 3]] * (MOST_POINTS + 1), "line: expected 3 to 1000 points, got 1001"),
        ("line", "line: expected 3 to 1000 points, got 'line'"),
        ([[1, 2, 3], [1, 2, float("nan")], [1, 2, 3]], "point: expected finite numbers"),
        ([[1, 2, 3], [1, 2], [1, 2, 3]], "point: expected 3 numbers"),
        ([[1e308] * 3, [-1e308] * 3, [0] * 3], "line: expected points in the scan"),
    ],
)
def test_lines_that_cannot_be_are_refused_in_a_sentence(sent: Any, words: str) -> None:
    with pytest.raises(SessionError) as caught:
        read_line(sent, 3)
    assert str(caught.value).startswith(words) and len(str(caught.value)) < 200


@pytest.mark.parametrize("side", [1, 0, "true", [], {}, 0.5, float("nan")])
def test_a_side_is_true_or_false(side: Any) -> None:
    with pytest.raises(SessionError, match="^inside: expected true, false or nothing, got"):
        read_side({"inside": side})
