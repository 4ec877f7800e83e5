"""The hint below the tools: it fits what the agent wants to be told, and where the session stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from mecca_agents.app.page.what_next import what_next
from mecca_agents.app.tab.folder import Folder
from mecca_agents.app.tab.tab import Tab
from mecca_agents.session import Model
from tests.support.annotation import Case


@pytest.fixture
def opened(case: Case) -> Iterator[Callable[[Model], Tab]]:
    """Opens the case with a model."""
    tabs = list[Tab]()

    def open_with(model: Model) -> Tab:
        tabs.append(Tab(model, Folder(case.folder), 1 << 20))
        assert what_next(tabs[-1], "move") == "Open a scan to begin."
        tabs[-1].open_scan([case.scan], ["head.nii.gz"])
        return tabs[-1]

    yield open_with
    for tab in tabs:
        tab.close()


def test_clicks_on_edges(opened: Callable[[Model], Tab], model: Model, case: Case) -> None:
    tab = opened(model)
    assert "a box (B)" in what_next(tab, "move") and "click on its edges (C)" in what_next(tab, "move")
    tab.add_clicks(case.edges(1))
    assert what_next(tab, "click") == "Click on wrong edges, then step. 1 click waits for the step."


def test_a_run_that_finds_its_view_wants_a_click_inside_or_a_box(
    opened: Callable[[Model], Tab], signed_model: Model, case: Case
) -> None:
    tab = opened(signed_model)
    assert what_next(tab, "move").startswith("Click inside the target (C), or draw a box around it (B)")
    assert what_next(tab, "inside") == "Click inside the target, or draw a box around it (B)."
    for tool in ("outside", "lasso"):
        assert what_next(tab, tool).startswith("First click inside the target (C), or draw a box")
    tab.add_clicks(case.edges(2), True)
    assert "right click: outside. 2 clicks wait" in what_next(tab, "inside")
    assert "right click: inside. 2 clicks wait" in what_next(tab, "outside")
    assert "with Ctrl or Alt: outside. 2 clicks wait" in what_next(tab, "lasso")
    tab.undo()
    tab.set_box(*case.box)
    assert what_next(tab, "outside").startswith("Click outside the target, or drag a line")


def test_a_run_with_signs_that_does_not_find_its_view_wants_a_box(
    opened: Callable[[Model], Tab], signed_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Model, "finds_its_view", False)
    monkeypatch.delitem(vars(signed_model), "finds_its_view", raising=False)
    tab = opened(signed_model)
    assert "a box (B)" in what_next(tab, "move") and "inside (C) and outside (D)" in what_next(tab, "move")
    assert what_next(tab, "inside").startswith("Click inside the target, or drag a line")


def test_boxes(opened: Callable[[Model], Tab], model: Model, case: Case) -> None:
    tab = opened(model)
    assert "in one view, then in another one" in what_next(tab, "box")
    low, high = case.box
    tab.draft = tab.draft.drawn(2, low, high, tab.session.shape)
    assert what_next(tab, "box") == "Now drag a rectangle in the coronal or sagittal view."
    tab.draft = tab.draft.drawn(1, low, high, tab.session.shape)
    assert what_next(tab, "box").startswith("Use box (Enter)")
    tab.set_box(*case.box)
    assert what_next(tab, "box") == "Drag a rectangle in any view to change the box."


@pytest.mark.parametrize(("tool", "does"), [("brush", "Drag: adds"), ("eraser", "Drag: erases")])
def test_painting(opened: Callable[[Model], Tab], model: Model, case: Case, tool: str, does: str) -> None:
    tab = opened(model)
    assert what_next(tab, tool).startswith(does) and "The step goes on from it." in what_next(tab, tool)
    tab.add_clicks(case.edges(1))
    assert "Clicks that wait go with it." in what_next(tab, tool)
