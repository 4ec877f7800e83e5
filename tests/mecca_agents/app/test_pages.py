"""Several pages at once, browsers that go away, and what sessions leave behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT
from tests.support.annotation import Case, Served
from tests.support.person import Person

pytestmark = pytest.mark.slow  # a browser


def _wait(condition: Callable[[], bool]) -> None:
    """There is no hurry on a busy machine, but no endless wait either."""
    for _ in range(2400):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


def _resident(process: int) -> float:
    """MiB."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _handles(process: int) -> int:
    return len(os.listdir(f"/proc/{process}/fd"))


def test_two_pages_are_two_sessions(people: Callable[[], Person], case: Case) -> None:
    one, two = people().come(), people().come()
    one.draw_box(*case.box)
    one.step()
    assert one.tab is not two.tab
    assert one.tab.session.steps == 1 and two.tab.session.steps == 0 and two.tab.session.box is None
    two.press("s")
    two.until("() => document.querySelectorAll('tbody tr').length === 2")
    assert one.tab.session.mask().sum() != two.tab.session.mask().sum()


def test_a_browser_that_closes_in_the_middle_of_a_step(
    people: Callable[[], Person], case: Case, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step ends, its session is thrown away, and the other page has lost nothing."""
    other, going = people().come(), people().come()
    other.draw_box(*case.box)
    tab, begun, go_on = going.tab, threading.Event(), threading.Event()
    act = type(tab.session.model.agent).act

    def slow(agent: Any, observation: Any) -> Any:
        if threading.current_thread().name.startswith("mecca") and not begun.is_set():
            begun.set()
            go_on.wait(60)
        return act(agent, observation)

    monkeypatch.setattr(type(tab.session.model.agent), "act", slow)
    going.press("s")
    assert begun.wait(120)
    going.page.locator(".annotate-controls").get_by_text("The step …").wait_for()
    going.press("s")
    going.hears("Please wait: the step is not done yet")
    query = "low=0&high=500&opacity=0.5&modality=0&heat=&outlines=mask"
    answer = going.page.request.get(f"{served.url}session/{tab.key}/slice/axial/3?{query}")
    assert answer.ok  # slices are still served
    going.page.close()
    _wait(lambda: tab.key not in served.tabs._open)
    go_on.set()
    other.step()
    assert other.tab.session.steps == 1
    assert not tab.uploads.folder.exists()
    with pytest.raises(ValueError, match="closed"):
        tab.session.mask()


def test_a_page_that_is_loaded_anew_is_a_new_session(people: Callable[[], Person], served: Served) -> None:
    person = people().come()
    before = person.tab
    person.come()
    assert person.tab is not before
    _wait(lambda: before.key not in served.tabs._open)
    assert not before.uploads.folder.exists()


def test_sessions_leave_nothing_behind(browser: Any, case: Case, tmp_path: Path) -> None:
    """Opened in a browser, used and closed: memory and files of the server are where they were."""
    program = (
        "import sys; from pathlib import Path; from mecca_agents.app import Settings, serve; "
        "from mecca_agents.session import load_model; scan = Path(sys.argv[1]); "
        "serve(load_model('phantom', device='cpu'), Settings(scan.parent, (scan,), port=0, reconnect=1.0), show=False)"
    )
    surroundings = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(tmp_path),
        "MALLOC_ARENA_MAX": "2",
    }
    command = [sys.executable, "-c", program, str(case.scan)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=surroundings) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[2]

            def visit(times: int) -> None:
                for _ in range(times):
                    context = browser.new_context(viewport={"width": 900, "height": 600})
                    person = Person(context.new_page(), url).come()
                    person.step()
                    context.close()
                _wait(lambda: not list(tmp_path.glob("mecca-annotate-*")))

            visit(12)  # until what is loaded and compiled once is there; the allocator's pools grow by 10 MiB after it
            before, files = (_resident(process.pid), _handles(process.pid)), set(tmp_path.rglob("*"))
            visit(12)
            grown = _resident(process.pid) - before[0]
            print(f"{before[0]:.0f} MiB, and after 12 sessions {grown:+.1f} MiB")
            assert grown < 20  # sessions that stay take 2 MiB and more, each
            _wait(lambda: _handles(process.pid) <= before[1])
            assert set(tmp_path.rglob("*")) == files
        finally:
            process.terminate()


GARBAGE = [
    None,
    7,
    -1.5,
    "x" * 3000,
    [],
    [1, 2],
    ["nan", {}, []],
    {},
    {"point": [1e308, None, "a"]},
    {"point": [1e308] * 3},
]
GARBAGE += [
    {"axis": 9, "start": [0] * 3, "end": [1] * 3},
    {"axis": 0, "start": [-1e9] * 3, "end": [1e9] * 3},
    True,
    [[[[]]]],
    {"point": [1, 2, 3], "inside": "yes"},
    {"points": [[1e308] * 3, [-1e308] * 3, [0] * 3], "inside": None},
    {"points": [[1, 1, 1]] * 2000, "inside": None},
    {"points": [[1, 2, 3], [4, 5, 6], [7, float("nan"), 9]]},
]


def test_garbage_through_the_socket_is_answered_on_the_page(person: Person, case: Case, served: Served) -> None:
    """Every event that a page can send, with everything but what it should bring: a message, and the page goes on."""
    from nicegui import Client

    tab, page = person.tab, person.page
    client = next(
        c for c in Client.instances.values() if any(getattr(e, "_tab", None) is tab for e in c.elements.values())
    )
    viewer = next(e for e in client.elements.values() if getattr(e, "_tab", None) is tab)
    messages: list[Any] = [
        {"id": viewer.id, "client_id": client.id, "listener_id": listener.id, "args": [json.dumps(sent)]}
        for listener in viewer._event_listeners.values()
        for sent in GARBAGE
    ]
    messages += [{}, {"id": 1}, {"id": "x", "client_id": client.id, "listener_id": 3, "args": 5}, [], None, "x"]
    # all in one go: a message is on the page for six seconds, and sending them one by one may take longer
    page.evaluate("messages => messages.forEach((message) => window.socket.emit('event', message))", messages)
    person.hears("expected")
    assert tab.session.steps == 0 and not tab.session.clicks
    person.step()
    assert tab.session.steps == 1 and not tab.session.clicks and tab.session.box is None
