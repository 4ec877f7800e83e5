"""Which of two proposals is better: when that is asked, what answers it, and what passes it over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mecca_agents.agent import Agent
from mecca_agents.app.tab.folder import Folder
from mecca_agents.app.tab.question import QUESTION, cannot_ask
from mecca_agents.app.tab.tab import Tab
from mecca_agents.session import Model, SessionError
from tests.support.annotation import Case


@pytest.fixture
def tab(signed_model: Model, case: Case) -> Iterator[Tab]:
    """At the case, with a click inside; its agent has not learned much, and is in doubt."""
    opened = Tab(signed_model, Folder(case.folder), 1 << 20)
    opened.open_scan([case.scan], ["head.nii.gz"])
    opened.add_clicks(_middle(case), True)
    yield opened
    opened.close()


def _middle(case: Case) -> list[int]:
    return [(a + b) // 2 for a, b in zip(*case.box, strict=True)]


def test_one_is_taken_and_after_undo_the_other(tab: Tab) -> None:
    assert tab.question.masks is None and tab.question.number == 0
    tab.question.ask()
    asked = tab.question.masks
    assert asked is not None and (asked[0] ^ asked[1]).any() and tab.session.steps == 0 and tab.question.number == 1
    tab.choose(1)
    assert tab.question.masks is None and tab.session.steps == 1 and (tab.session.mask() == asked[1]).all()
    assert tab.undo() == "choose"
    again = tab.question.masks
    assert again is asked and tab.question.number == 1 and tab.session.steps == 0
    tab.choose(0)
    assert (tab.session.mask() == asked[0]).all()
    assert [entry.action for entry in tab.session.log()][2:] == ["choose", "undo", "choose"]
    assert [tab.undo() for _ in range(3)] == ["choose", QUESTION, "add_clicks"] and tab.session.pristine
    assert [tab.redo() for _ in range(2)] == ["add_clicks", "choose"] and (tab.session.mask() == asked[0]).all()


def test_neither_leaves_all_as_it_was_and_others_can_be_asked_for(tab: Tab) -> None:
    tab.question.ask()
    before, log = tab.question.masks, tab.session.log()
    assert tab.question.end() and tab.question.masks is None and not tab.question.end()
    assert tab.session.log() == log and not tab.session.steps
    with pytest.raises(SessionError, match="take: expected two proposals, got none"):
        tab.choose(0)  # a key that was pressed before the browser heard that there is nothing to take
    tab.step()
    tab.undo()
    assert tab.question.masks is None
    tab.question.ask()
    after = tab.question.masks
    assert before is not None and after is not None and (after[0] != before[0]).any() and tab.question.number == 2
    tab.question.ask()
    assert tab.question.number == 3 and tab.question.masks is not after


@pytest.mark.parametrize(
    ("do", "comes_back"),
    [
        (lambda tab, case: tab.step(), True),
        (lambda tab, case: tab.add_clicks([_middle(case)[0] + 4, *_middle(case)[1:]], True), True),
        (lambda tab, case: tab.set_box(*case.box), True),
        (lambda tab, case: tab.reset(), True),
        (lambda tab, case: tab.paint([_middle(case)], 2, 3, True), True),
        (lambda tab, case: tab.add_object(), False),
        (lambda tab, case: tab.open_scan([case.scan], ["again.nii.gz"]), False),
    ],
)
def test_whatever_is_done_passes_it_over(
    tab: Tab, case: Case, do: Callable[[Tab, Case], None], comes_back: bool
) -> None:
    tab.question.ask()
    masks = tab.question.masks
    do(tab, case)
    assert tab.question.masks is None and tab.question.number == 0
    if comes_back:
        tab.undo()
        assert tab.question.masks is masks
    else:
        assert not tab.session.can_undo


def test_what_fails_or_only_saves_leaves_it(tab: Tab, case: Case, tmp_path: Path) -> None:
    tab.question.ask()
    masks = tab.question.masks
    with pytest.raises(ValueError):
        tab.open_scan([case.folder / "none.nii.gz"], ["none.nii.gz"])
    tab.mask_file()
    tab.log_file()
    assert tab.question.masks is masks
    with pytest.raises(SessionError, match="accept: expected an answer first, one of the two proposals"):
        tab.question.refuse("accept")
    tab.choose(0)
    tab.question.refuse("accept")
    tab.close()
    assert tab.question.masks is None


def test_agents_that_cannot_and_that_are_in_no_doubt(tab: Tab, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = type(tab.session.model.agent)
    assert tab.session.model.proposes and cannot_ask(tab.session) == ""
    monkeypatch.setattr(agent, "propose", lambda *_: None)
    with pytest.raises(SessionError, match="expected an agent in doubt, got one whose two masks would be the same"):
        tab.question.ask()
    monkeypatch.setattr(agent, "propose", Agent.propose)
    assert cannot_ask(tab.session) == "expected an agent that proposes, got intercnn, which has one answer alone"
    with pytest.raises(SessionError, match="proposals: expected an agent that proposes, got intercnn"):
        tab.question.ask()
    assert tab.question.masks is None and not np.any(tab.session.mask())
