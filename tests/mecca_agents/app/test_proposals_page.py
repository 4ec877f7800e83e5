"""A person who chooses between two proposals, in a real browser, up to the choice in the project's log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mecca_agents.agent import Agent
from mecca_agents.app.drawing.colours import LINES
from mecca_agents.online.live import LearnSettings, ProjectLearner
from mecca_agents.session import Model, read_log
from tests.support.annotation import Case, Served
from tests.support.person import Person

pytestmark = pytest.mark.slow  # a browser


def _sees(person: Person, question: bool) -> None:
    """Wait until there is a question, or none, and all is drawn."""
    person.until(
        "there => (document.querySelectorAll('path.mv-is-first, path.mv-is-second').length > 0) === there"
        " && (document.querySelector('.question').offsetParent !== null) === there"
        " && (document.querySelector('.propose').offsetParent === null) === there",
        question,
    )
    person.idle()


def test_take_the_second_undo_take_the_first_and_accept(
    people: Callable[[], Person],
    served: Served,
    model: Model,
    case: Case,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learner = ProjectLearner(LearnSettings(tmp_path / "project"), model)
    monkeypatch.setattr(served.tabs, "learner", learner)
    person = people().come()
    session, page = person.tab.session, person.page
    low, high = case.box
    person.draw_box(low, high)
    before = person.page.locator(".annotate-controls").evaluate("e => e.scrollHeight")
    person.button("Two proposals").click()
    _sees(person, True)
    first, second = (mask.copy() for mask in session.proposed or ())
    for name in ("first", "second"):
        line = page.locator(f"[data-plane=axial] path.mv-is-{name}")
        assert line.get_attribute("stroke") == LINES[name].colour
    page.locator(".take-first").hover()  # it alone
    person.until("() => getComputedStyle(document.querySelector('path.mv-is-second')).display === 'none'")
    assert page.locator("[data-plane=axial] path.mv-is-first").is_visible()
    assert page.locator(".annotate-controls").evaluate("e => e.scrollHeight") <= before

    person.press("j")
    person.hears("accept: expected an answer first")
    person.press("2")
    _sees(person, False)
    assert np.array_equal(session.mask(), second) and session.steps == 1 and person.outline("axial", "mask")
    person.press("z")
    person.hears("taken back: the choice")
    _sees(person, True)
    person.press("Escape")
    _sees(person, False)
    assert session.steps == 0 and not session.mask().any()
    person.press("y")  # the second again, and back before it
    person.until("() => document.querySelectorAll('path.mv-is-mask').length > 0")
    person.press("z")
    person.until("() => document.querySelectorAll('path.mv-is-mask').length === 0")
    person.press("q")
    _sees(person, True)
    page.locator(".take-first").click()
    _sees(person, False)
    person.press("j")
    person.hears("Accepted as head-")

    (path,) = (learner.project / "logs").iterdir()
    choices = [entry.details for entry in read_log(path).entries if entry.action == "choose"]
    assert [(choice["index"], choice["number"]) for choice in choices] == [(1, 1), (0, 1)]
    assert session.steps == 1 and not np.array_equal(session.mask(), second) and first.any()
    learner.poll()
    page.get_by_role("tab", name="Learning").click()
    page.locator(".choices", has_text="hold 1 choice between two proposals").wait_for()

    monkeypatch.setattr(type(model.agent), "propose", Agent.propose)  # as of a method that has one answer alone
    person.press("s")
    person.until("() => document.querySelector('.propose button').disabled")
    page.locator(".propose").hover()
    page.get_by_text("Off: expected an agent that proposes").wait_for()
