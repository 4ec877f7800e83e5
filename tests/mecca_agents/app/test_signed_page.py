"""A person at the page of a run that was trained with signs, in a real browser: points, lines and areas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mecca_agents.app.drawing.colours import MARKS
from mecca_agents.app.page.shortcuts import shortcuts
from mecca_agents.app.tab.marks import MOST_MARKS
from mecca_agents.session import InteractiveSession, Model
from tests.support.annotation import Case, Served
from tests.support.person import Person

pytestmark = pytest.mark.slow  # a browser


@pytest.fixture
def person(
    people: Callable[[], Person], served: Served, signed_model: Model, monkeypatch: pytest.MonkeyPatch
) -> Person:
    """At a page whose agent wants to be told sides; there is one server in a process, and others use it, too."""
    monkeypatch.setattr(served.tabs, "model", signed_model)
    return people().come()


def _take(person: Person, key: str, tool: str) -> None:
    person.press(key)
    person.until("tool => document.querySelector('.mv-view').classList.contains('mv-' + tool)", tool)


def _draw(person: Person, view: str, voxels: Sequence[Sequence[float]]) -> None:
    """Press at the first voxel, go to the others one after the other, and release."""
    mouse = person.page.mouse
    mouse.move(*person.at(view, voxels[0]))
    mouse.down()
    for voxel in voxels[1:]:
        mouse.move(*person.at(view, voxel), steps=3)
    assert person.page.locator(f"[data-plane={view}] path.mv-drawing").count() == 1
    mouse.up()


def _changed(person: Person, before: str | None) -> None:
    """Wait until the page shows a later version of the session."""
    person.until("before => document.querySelector('.mv').dataset.version !== before", before)
    person.idle()


def _version(person: Person) -> str | None:
    version: str | None = person.page.locator(".mv").get_attribute("data-version")
    return version


def _sides(person: Person) -> list[bool | None]:
    return [click.inside for click in person.tab.session.clicks]


def _shapes(person: Person) -> dict[str, tuple[str, str, str]]:
    """How the large marks of each side look in the axial view."""
    found = {}
    for kind in ("inside", "outside"):
        marks = person.page.locator(f"[data-plane=axial] .mv-mark-{kind}:not(.mv-mark-small)")
        (look,) = set(
            marks.evaluate_all(
                "all => all.map(e => [...e.querySelectorAll('path')].slice(1)"
                ".flatMap(p => [p.getAttribute('d'), p.getAttribute('fill')]).join('|'))"
            )
        )
        body, fill, sign, _ = look.split("|")
        colour = MARKS[kind]
        found[kind] = (
            "round" if "A" in body else "square",
            "+" if "V" in sign else "-",
            "filled" if fill == colour else "hollow",
        )
    return found


def test_marks_inside_and_outside(person: Person, case: Case, signed_model: Model, tmp_path: Path) -> None:
    """Points, a line and an area on both sides, a step, undo and redo, and the mask that is saved."""
    session, page = person.tab.session, person.page
    x, y, z = np.argwhere(case.label).mean(axis=0).round().tolist()
    assert (
        all(person.button(name).count() == 1 for name in ("Inside", "Outside", "Lasso"))
        and not person.button("Click").count()
    )
    assert "Click inside the target (C), or draw a box" in page.inner_text(".annotate-controls")
    person.look_at([x, y, z])
    _take(person, "c", "inside")
    for button, expected in (("left", [True]), ("right", [True, False])):
        version = _version(person)
        page.mouse.click(*person.at("axial", [x if button == "left" else 4, y, z]), button=button)
        _changed(person, version)
        assert _sides(person) == expected
    assert np.allclose([c.point for c in session.clicks], [[x, y, z], [4, y, z]], atol=0.3)
    low, high = session.view
    assert session.box is None and (low, high) != ((0, 0, 0), session.shape) and low[0] > 4  # where all is background
    window = page.locator(".mv-view[data-plane=axial]").get_attribute("data-wanted")
    person.drag("axial", [x, y, z], [x + 8, y + 8, z], button="right")  # still window and level
    person.until("w => document.querySelector('[data-plane=axial]').dataset.wanted !== w", window)
    person.press("w")
    assert len(session.clicks) == 2

    _take(person, "d", "outside")
    version = _version(person)
    _draw(person, "axial", [[10, 8, z], [30, 8, z], [50, 12, z]])
    _changed(person, version)
    line = session.clicks[2:]
    assert len(line) > 4 and not any(click.inside for click in line)
    assert {click.point[2] for click in line} == {z} and min(click.point[1] for click in line) == 8
    _take(person, "e", "lasso")
    outline = [[x + 7 * np.cos(turn), y + 7 * np.sin(turn), z] for turn in np.linspace(0, 2 * np.pi, 13)[:-1]]
    version = _version(person)
    _draw(person, "axial", outline)
    _changed(person, version)
    area = session.clicks[2 + len(line) :]
    assert len(area) > 4 and all(click.inside for click in area)
    assert all(np.hypot(click.point[0] - x, click.point[1] - y) < 9 and click.point[2] == z for click in area)
    page.keyboard.down("Control")
    version = _version(person)
    _draw(person, "coronal", [[50, y, 5], [58, y, 5], [58, y, 12], [50, y, 12]])
    _changed(person, version)
    page.keyboard.up("Control")
    assert not any(click.inside for click in session.clicks[2 + len(line) + len(area) :])
    count = len(session.clicks)
    strokes = [len(line), len(area), count - 2 - len(line) - len(area)]
    room = (MOST_MARKS - 5) // 3  # small marks of each stroke; each has a large one, and so has each click
    assert strokes[2] > 0 and person.marks() == 5 + sum(min(number - 1, room) for number in strokes)
    assert page.locator("[data-plane=axial] .mv-mark-inside.mv-mark-small").count() > 4
    assert page.locator("[data-plane=axial] .mv-mark-outside:not(.mv-mark-small)").count() == 2
    assert f"{count} clicks wait for the step" in page.inner_text(".annotate-controls")
    assert _shapes(person) == {"inside": ("round", "+", "filled"), "outside": ("square", "-", "filled")}

    person.step()
    stepped = session.mask()
    assert [row[:2] for row in person.steps()] == [["1", str(count)], ["2", "0"]]
    person.press("z")
    person.hears("taken back: the step")
    for left in (2 + len(line) + len(area), 2 + len(line), 2, 1):
        version = _version(person)
        person.press("z")
        _changed(person, version)
        assert len(session.clicks) == left
    person.hears("taken back: the last mark")
    for _ in range(5):
        version = _version(person)
        person.press("y")
        _changed(person, version)
    assert len(session.clicks) == count and (session.mask() == stepped).all() and session.steps == 1
    assert _shapes(person) == {"inside": ("round", "+", "hollow"), "outside": ("square", "-", "hollow")}

    saved = person.saved("Save mask", tmp_path)
    assert (np.asarray(nib.load(saved).dataobj) == stepped).all()
    log = person.saved("Save session", tmp_path)
    with InteractiveSession(signed_model) as again:
        again.set_image(case.scan)
        again.load_log(log)
        assert again.clicks == session.clicks and (again.mask() == stepped).all()
    page.get_by_role("tab", name="Keys and mouse").click()
    panel = page.locator(".mv-panel")
    panel.get_by_text("step", exact=True).wait_for()
    text = panel.inner_text()
    assert all(shortcut.label in text for shortcut in shortcuts(True) if shortcut.words) and "the other side" in text
    fits = page.evaluate(
        "(e => [e.scrollHeight - e.clientHeight, e.scrollWidth - e.clientWidth])"
        "(document.querySelector('.annotate-controls'))"
    )
    assert fits == [0, 0]


def test_a_line_beyond_the_scan_ends_at_its_border_and_a_long_one_is_thinned_out(person: Person) -> None:
    session, page = person.tab.session, person.page
    shape = session.shape
    _take(person, "c", "inside")
    middle = [(v - 1) // 2 for v in shape]
    version = _version(person)
    (x0, y0), (x1, _) = person.at("axial", middle), person.at("axial", [shape[0] + 4, middle[1], middle[2]])
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.evaluate(  # as a hand would draw for a minute
        """([x, y]) => {
          const svg = document.querySelector('[data-plane=axial] > svg');
          for (let n = 0; n < 5000; n++) {
            const where = { clientX: x + 30 * Math.cos(n), clientY: y + 30 * Math.sin(n), bubbles: true };
            svg.dispatchEvent(new PointerEvent('pointermove', where));
          }
        }""",
        [x0, y0],
    )
    page.mouse.move(x1, y0)
    page.mouse.up()
    _changed(person, version)
    (entry,) = [entry for entry in session.log() if entry.action == "add_clicks"]
    points = np.array(entry.details["points"])
    assert points[0].tolist() == middle and points[:, 0].max() == shape[0] - 1
    assert len(points) > 1000 and person.messages() == ""
