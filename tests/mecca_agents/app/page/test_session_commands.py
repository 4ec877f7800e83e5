"""Marks as a browser sends them: which side they are on, what is done with them, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mecca_agents.app.page.session_commands import SessionCommands
from mecca_agents.app.page.what_next import what_next
from mecca_agents.app.tab.folder import Folder
from mecca_agents.app.tab.tab import Tab
from mecca_agents.online.live import LearnSettings, ProjectLearner
from mecca_agents.session import Model, SessionError
from tests.support.annotation import Case, run


class Direct:
    """Does at once what a page would do in another thread, and keeps what it would say."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab
        self.said: list[str] = []

    async def do(self, what: str, function: Any, *arguments: Any) -> Any:
        return function(*arguments)

    def say(self, message: str, kind: str = "") -> None:
        self.said.append(message)

    def refresh(self) -> None:
        pass


@pytest.fixture
def commands(signed_model: Model, case: Case) -> Iterator[SessionCommands]:
    """At the case, of a run that was trained with signs."""
    tab = Tab(signed_model, Folder(case.folder), 1 << 20)
    tab.open_scan([case.scan], ["head.nii.gz"])
    yield SessionCommands(Direct(tab))  # type: ignore[arg-type]
    tab.close()


def test_marks_have_the_side_that_the_browser_says(commands: SessionCommands) -> None:
    session, said = commands.tab.session, commands.runner.said  # type: ignore[attr-defined]
    run(commands.point_set({"point": [30, 25, 20], "inside": True}))
    run(commands.point_set({"point": [50.5, 25, 20], "inside": False}))
    assert [(click.point, click.inside) for click in session.clicks] == [((30, 25, 20), True), ((50.5, 25, 20), False)]
    run(commands.scribble_drawn({"points": [[10, 40, 20], [40, 40, 20]], "inside": False}))
    line = session.clicks[2:]
    assert len(line) > 4 and not any(click.inside for click in line) and {click.point[1] for click in line} == {40}
    run(commands.lasso_drawn({"points": [[20, 10, 22], [40, 10, 22], [30, 20, 22]], "inside": True}))
    area = session.clicks[2 + len(line) :]
    assert len(area) > 4 and all(click.inside and click.point[2] == 22 for click in area)
    assert said == []


def test_what_is_known_is_said_to_be_and_undone_by_its_name(commands: SessionCommands) -> None:
    session, said = commands.tab.session, commands.runner.said  # type: ignore[attr-defined]
    sent = {"points": [[10, 40, 20], [40, 40, 20]], "inside": True}
    run(commands.scribble_drawn(sent))
    count = len(session.clicks)
    run(commands.scribble_drawn(sent))
    assert len(session.clicks) == count and "nothing was added" in said.pop()
    run(commands.scribble_drawn({**sent, "inside": False}))
    assert len(session.clicks) > count and not said
    run(commands.undo())
    assert len(session.clicks) == count and said == ["Taken back: the last mark."]


def test_strokes_of_the_brush(commands: SessionCommands) -> None:
    session, said = commands.tab.session, commands.runner.said  # type: ignore[attr-defined]
    assert not commands.unsaved
    sent = {"points": [[30, 25, 20], [36, 25, 20]], "axis": 2, "radius": 2, "inside": True}
    run(commands.brush_drawn(sent))
    mask = session.mask()
    assert mask[33, 27, 20] and not mask[33, 28, 20] and mask[:, :, 20].sum() == mask.sum() > 0 and commands.unsaved
    run(commands.brush_drawn(sent))
    assert said == ["Nothing was changed there."]
    run(commands.brush_drawn({**sent, "radius": 0, "inside": False}))
    assert session.mask().sum() == mask.sum() - 7
    run(commands.undo())
    run(commands.undo())
    assert said[1:] == ["Taken back: the stroke of the eraser.", "Taken back: the stroke of the brush."]
    assert session.pristine


def test_what_would_be_lost_with_the_page(commands: SessionCommands) -> None:
    tab = commands.tab
    run(commands.point_set({"point": [30, 25, 20], "inside": True}))
    assert commands.unsaved  # a click that waits for the first step
    run(commands.step())
    tab.add_object()
    assert commands.unsaved
    tab.choose_object(0)
    assert commands.unsaved and tab.session.mask().any() and not tab.session.steps
    tab.remove_object(1)
    assert commands.unsaved


def test_what_is_accepted_is_said_and_saved(commands: SessionCommands, signed_model: Model, tmp_path: Path) -> None:
    tab, said = commands.tab, commands.runner.said  # type: ignore[attr-defined]
    tab.learner = ProjectLearner(LearnSettings(tmp_path / "project"), signed_model)
    run(commands.brush_drawn({"points": [[30, 25, 20]], "axis": 2, "radius": 2, "inside": True}))
    assert commands.unsaved
    run(commands.accept())
    (label,) = (tmp_path / "project" / "labels").iterdir()
    assert said == [f"Accepted as {label.name.partition('.')[0]}."] and not commands.unsaved
    tab.objects = tab.objects.renamed(0, "??")
    with pytest.raises(SessionError, match="accept: expected an object's name"):
        run(commands.accept())


def test_while_two_proposals_are_shown_nothing_is_saved_or_accepted(commands: SessionCommands) -> None:
    tab, said = commands.tab, commands.runner.said  # type: ignore[attr-defined]
    run(commands.point_set({"point": [30, 25, 20], "inside": True}))
    run(commands.propose())
    for save in (commands.accept, commands.save_mask, commands.save_labels):
        with pytest.raises(SessionError, match="expected an answer first, one of the two proposals"):
            run(save())
    assert what_next(tab, "move") == what_next(tab, "inside") and what_next(tab, "box").startswith("Two proposals: ")
    run(commands.undo())
    assert said == ["Taken back: the two proposals."] and tab.question.masks is None and len(tab.session.clicks) == 1
    run(commands.propose())
    commands.take_neither()
    assert tab.question.masks is None and not tab.session.steps
    run(commands.propose())
    run(commands.box_drawn({"axis": 2, "start": [10, 10, 20], "end": [40, 40, 20]}))
    assert tab.question.masks is None and tab.draft.extents[0] is not None
    run(commands.propose())
    run(commands.take(1))
    assert tab.session.steps == 1 and commands.unsaved and tab.question.masks is None
    run(commands.undo())
    assert said[1:] == ["Taken back: the choice."] and tab.question.masks is not None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"radius": -1}, "radius: expected 0 to 64 voxels"),
        ({"radius": 1e9}, "radius: expected 0 to 64 voxels"),
        ({"radius": float("nan")}, "radius: expected 0 to 64 voxels"),
        ({"radius": 10**400}, "radius: expected 0 to 64 voxels"),
        ({"radius": "3"}, "radius: expected 0 to 64 voxels"),
        ({"radius": True}, "radius: expected 0 to 64 voxels"),
        ({"axis": 3}, "axis: expected 0, 1 or 2"),
        ({"axis": [0]}, "axis: expected 0, 1 or 2"),
        ({"inside": None}, "inside: expected true or false of a brush"),
        ({"inside": "no"}, "inside: expected true, false or nothing"),
        ({"points": []}, "line: expected 1 to 1000 points"),
        ({"points": [[1, 2, 3], [1, 2, 9]]}, "brush: expected points on one slice"),
        ({"points": [[1, 2, -7]]}, "brush: expected points on one slice"),
        ({"points": [[1, 2, None]]}, "point: expected 3 numbers"),
    ],
)
def test_strokes_that_cannot_be(commands: SessionCommands, change: Any, words: str) -> None:
    sent = {"points": [[30, 25, 20]], "axis": 2, "radius": 2, "inside": True, **change}
    with pytest.raises(SessionError) as caught:
        run(commands.brush_drawn(sent))
    assert str(caught.value).startswith(words) and len(str(caught.value)) < 300
    assert commands.tab.session.pristine


@pytest.mark.parametrize(
    ("name", "sent", "words"),
    [
        ("point_set", {"point": [1, 2, 3]}, "inside: expected True or False"),
        ("point_set", {"point": [1, 2, 3], "inside": "yes"}, "inside: expected true, false or nothing"),
        ("point_set", {"point": [1, 2, float("nan")], "inside": True}, "point: expected finite numbers"),
        ("scribble_drawn", {"points": [], "inside": True}, "line: expected 1 to 1000 points, got 0"),
        ("scribble_drawn", {"points": [[1, 2, 3]] * 5000, "inside": True}, "line: expected 1 to 1000 points, got 5000"),
        ("scribble_drawn", {"inside": True}, "points: expected it in what the browser sends"),
        ("scribble_drawn", {"points": [[1, 2, 3], [1, 2, 400]], "inside": True}, "points: expected voxels of what"),
        ("lasso_drawn", {"points": [[1, 2, 3], [4, 5, 3]], "inside": True}, "line: expected 3 to 1000 points, got 2"),
        (
            "lasso_drawn",
            {"points": [[1, 2, 3], [4, 5, 6], [9, 2, 1]], "inside": True},
            "points: expected an outline on",
        ),
        ("lasso_drawn", {"points": [[1, 2, 3], [4, 5, 3], [9, 2, 3]], "inside": 1}, "inside: expected true, false"),
    ],
)
def test_marks_that_cannot_be(commands: SessionCommands, name: str, sent: Any, words: str) -> None:
    with pytest.raises(SessionError) as caught:
        run(getattr(commands, name)(sent))
    assert str(caught.value).startswith(words) and len(str(caught.value)) < 300
    assert not commands.tab.session.clicks and commands.tab.session.pristine
