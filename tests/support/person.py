"""A person at the page: looks, draws and clicks in a real browser, in voxels of the scan."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mecca_agents.app.drawing.planes import Plane
from mecca_agents.app.tab.tab import Tab

VIEWS = ("axial", "coronal", "sagittal")


class Person:
    """Drives one page.

    Args:
        page: Playwright's.
        url: Of the server.
        found: Finds the tab of the page by its key.
    """

    def __init__(self, page: Any, url: str, found: Any = None) -> None:
        self.page, self.url, self._found = page, url, found
        self.errors: list[str] = []
        page.set_default_timeout(120_000)  # a busy machine
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._heard)
        page.on("filechooser", lambda chooser: None)  # caught from now on: asked for with a click, it may come too late

    def _heard(self, message: Any) -> None:
        expected = ("404", "400", "ERR_CONTENT_LENGTH_MISMATCH")  # the last: left while something was loading
        if message.type == "error" and not any(words in message.text for words in expected):
            self.errors.append(message.text)

    def come(self, scan: bool = True) -> Person:
        """Load the page; where it opens a scan, wait for it."""
        self.page.goto(self.url)
        self.page.wait_for_selector(".mv-view image" if scan else ".mv-empty")
        if scan:
            self.idle()
        return self

    @property
    def tab(self) -> Tab:
        """The server's state of this page."""
        key = self.page.evaluate("document.querySelector('.mv').dataset.base.split('/')[2]")
        tab: Tab = self._found(key)
        return tab

    def idle(self) -> None:
        """Wait until nothing is under way and all that is to be seen is drawn."""
        self.page.wait_for_function(
            """() => {
              const views = [...document.querySelectorAll('.mv-view')];
              const drawn = views.every((view) => view.dataset.drawn === view.dataset.wanted);
              const doing = [...document.querySelectorAll('.annotate-controls .q-linear-progress')];
              return drawn && views.length === 3 && doing.every((e) => e.style.visibility === 'hidden');
            }"""
        )

    def until(self, condition: str, argument: Any = None) -> None:
        """Wait until an expression of JavaScript is true."""
        self.page.wait_for_function(condition, arg=argument)

    def button(self, text: str) -> Any:
        """A button by its text."""
        return self.page.get_by_role("button", name=text, exact=True)

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def look_at(self, voxel: Sequence[float]) -> None:
        """Turn the sliders of all views there."""
        for plane in self.tab.planes:
            slider = self.page.locator(f"[data-plane={plane.name.lower()}] .mv-slider")
            slider.evaluate(
                "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }", str(round(voxel[plane.axis]))
            )
        self.idle()

    def plane(self, view: str) -> Plane:
        """The plane of a view."""
        return next(plane for plane in self.tab.planes if plane.name.lower() == view)

    def at(self, view: str, voxel: Sequence[float]) -> tuple[float, float]:
        """Pixel of the screen at a voxel of the slice that is shown."""
        plane, shape = self.plane(view), self.tab.session.shape
        x, y = voxel[plane.right] + 0.5, voxel[plane.up] + 0.5
        c = shape[plane.right] - x if plane.flip_right else x
        r = y if plane.flip_up else shape[plane.up] - y
        found = self.page.locator(f"[data-plane={view}] > svg > g").first.evaluate(
            "(g, [c, r]) => { const p = new DOMPoint(c, r).matrixTransform(g.getScreenCTM()); return [p.x, p.y]; }",
            [c, r],
        )
        return float(found[0]), float(found[1])

    def drag(self, view: str, start: Sequence[float], end: Sequence[float], **mouse: Any) -> None:
        """Press at one voxel, release at another one."""
        (x0, y0), (x1, y1) = self.at(view, start), self.at(view, end)
        self.page.mouse.move(x0, y0)
        self.page.mouse.down(**mouse)
        self.page.mouse.move((x0 + x1) / 2, (y0 + y1) / 2)
        self.page.mouse.move(x1, y1)
        self.page.mouse.up(**mouse)

    def click(self, view: str, voxel: Sequence[float]) -> None:
        """Click on a voxel of the shown slice."""
        self.page.mouse.click(*self.at(view, voxel))

    def draw_box(self, low: Sequence[int], high: Sequence[int]) -> None:
        """Draw a box in the axial view, then in the coronal one; high exclusive."""
        first, last = [v - 0.4 for v in low], [v - 0.6 for v in high]
        middle = [(a + b) // 2 for a, b in zip(low, high, strict=True)]
        self.look_at(middle)
        self.press("b")
        self.until("() => document.querySelector('.mv-view').classList.contains('mv-box')")
        self.drag("axial", first, last)
        self.until("() => document.querySelector('.mv').dataset.draft !== 'null'")
        self.drag("coronal", first, last)
        self.until("() => document.querySelector('.mv').dataset.box !== 'null'")
        self.idle()

    def choose_click(self) -> None:
        """Take the tool that clicks."""
        self.press("c")
        self.until("() => document.querySelector('.mv-view').classList.contains('mv-click')")

    def marks(self) -> int:
        """Clicks that the page knows of."""
        return int(self.page.evaluate("document.querySelector('.mv').dataset.clicks"))

    def add_click(self, view: str, voxel: Sequence[float]) -> None:
        """Look at a voxel, click on it and wait until the page has it."""
        before = self.marks()
        self.look_at(voxel)
        self.click(view, voxel)
        self.until("n => document.querySelector('.mv').dataset.clicks > n", before)

    def steps(self) -> list[list[str]]:
        """The rows of the table of steps."""
        rows = self.page.locator("tbody tr").all()
        return [[cell.inner_text() for cell in row.locator("td").all()] for row in rows]

    def step(self) -> None:
        """Step, and wait for the answer."""
        before = len(self.steps())
        self.press("s")
        self.until("n => document.querySelectorAll('tbody tr').length > n", before)
        self.idle()

    def messages(self) -> str:
        """Messages that the page shows in passing."""
        return " | ".join(self.page.locator(".q-notification__message").all_inner_texts())

    def hears(self, words: str) -> None:
        """Wait for a message."""
        self.page.locator(".q-notification__message", has_text=re.compile(re.escape(words), re.I)).first.wait_for()

    def outline(self, view: str, name: str) -> str:
        """The path of an outline, as it is drawn; empty where there is none."""
        paths = self.page.locator(f"[data-plane={view}] path.mv-is-{name}")
        return paths.first.get_attribute("d") if paths.count() else ""

    def saved(self, text: str, to: Path) -> Path:
        """Save with a button; the file."""
        with self.page.expect_download() as found:
            self.button(text).click()
        path = to / found.value.suggested_filename
        found.value.save_as(path)
        return path

    def send(self, button: str, path: Path) -> None:
        """Open something by sending a file of this computer."""
        self.button(button).click()
        with self.page.expect_file_chooser() as chooser:
            self.button("From this computer").click()
        chooser.value.set_files(path)
        self.page.locator(".q-dialog").wait_for(state="detached")
        self.idle()
