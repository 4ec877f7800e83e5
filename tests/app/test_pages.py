"""Several pages at once, browsers that go away, and what fifty sessions leave behind."""

from __future__ import annotations

import gc
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from person import Person
from scans import Case, Served


def _wait(condition: Callable[[], bool]) -> None:
    """There is no hurry on a busy machine, but no endless wait either."""
    for _ in range(2400):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


def _uploads() -> set[str]:
    return {path.name for path in Path(tempfile.gettempdir()).glob("mecca-annotate-*")}


def _resident() -> float:
    """MiB."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_two_pages_are_two_sessions(people: Callable[[], Person], case: Case) -> None:
    one, two = people().come(), people().come()
    one.draw_box(*case.box)
    one.step()
    assert one.place is not two.place
    assert one.place.session.steps == 1 and two.place.session.steps == 0 and two.place.session.box is None
    two.press("s")
    two.until("() => document.querySelectorAll('tbody tr').length === 2")
    assert one.place.session.mask().sum() != two.place.session.mask().sum()


def test_a_browser_that_closes_in_the_middle_of_a_step(
    people: Callable[[], Person], case: Case, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step ends, its session is thrown away, and the other page has lost nothing."""
    other, going = people().come(), people().come()
    other.draw_box(*case.box)
    place, begun, go_on = going.place, threading.Event(), threading.Event()
    act = type(place.session.model.agent).act

    def slow(agent: Any, observation: Any) -> Any:
        if threading.current_thread().name.startswith("mecca") and not begun.is_set():
            begun.set()
            go_on.wait(60)
        return act(agent, observation)

    monkeypatch.setattr(type(place.session.model.agent), "act", slow)
    going.press("s")
    assert begun.wait(120)
    going.page.locator(".desk-left").get_by_text("The step …").wait_for()
    going.press("s")
    going.hears("Please wait: the step is not done yet")
    query = "low=0&high=500&opacity=0.5&modality=0&heat=&outlines=mask"
    answer = going.page.request.get(f"{served.url}session/{place.key}/slice/axial/3?{query}")
    assert answer.ok  # slices are still served
    going.page.close()
    _wait(lambda: place.key not in served.workplaces._open)
    go_on.set()
    other.step()
    assert other.place.session.steps == 1
    assert not place.uploads.folder.exists()
    with pytest.raises(ValueError, match="closed"):
        place.session.mask()


def test_a_page_that_is_loaded_anew_is_a_new_session(people: Callable[[], Person], served: Served) -> None:
    person = people().come()
    before = person.place
    person.come()
    assert person.place is not before
    _wait(lambda: before.key not in served.workplaces._open)
    assert not before.uploads.folder.exists()


def test_fifty_sessions_leave_nothing_behind(browser: Any, served: Served, case: Case) -> None:
    """Opened in a browser, used and closed: memory and files are where they were."""
    from nicegui import Client

    def visit() -> None:
        context = browser.new_context(viewport={"width": 900, "height": 600})
        try:
            person = Person(context.new_page(), served.url, served.workplaces.find).come()
            person.place.act("step")
        finally:
            context.close()

    _wait(lambda: len(served.workplaces) == 0)
    for _ in range(5):
        visit()
    _wait(lambda: len(served.workplaces) == 0)
    files, handles, memory = _uploads(), len(os.listdir("/proc/self/fd")), _resident()
    clients = len(Client.instances)
    for _ in range(50):
        visit()
    _wait(lambda: len(served.workplaces) == 0)
    assert _uploads() == files
    _wait(lambda: len(Client.instances) <= clients and len(os.listdir("/proc/self/fd")) <= handles + 3)
    grown = _resident() - memory
    assert grown < 50, f"{grown:.0f} MiB more after 50 sessions"  # one of them takes more than 1 MiB
