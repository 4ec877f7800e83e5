"""A person with several objects, a brush and an eraser, in a real browser: one label map, voxel by voxel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from mecca_agents.app.tab.brush import covered
from tests.support.annotation import Case
from tests.support.person import VIEWS, Person

pytestmark = pytest.mark.slow  # a browser


def _take(person: Person, key: str, tool: str) -> None:
    person.press(key)
    person.until("tool => document.querySelector('.mv-view').classList.contains('mv-' + tool)", tool)


def _paint(person: Person, view: str, start: list[int], end: list[int]) -> None:
    """Press at one voxel, go to another one, release, and wait until the page shows another version."""
    version = person.page.locator(".mv").get_attribute("data-version")
    mouse = person.page.mouse
    mouse.move(*person.at(view, start))
    mouse.down()
    mouse.move(*person.at(view, end), steps=4)
    assert person.page.locator(f"[data-plane={view}] path.mv-stroke").count() == 1
    assert person.page.locator(f"[data-plane={view}] ellipse.mv-brush-tip").count() == 1
    mouse.up()
    _changed(person, version)


def _changed(person: Person, before: str | None) -> None:
    person.until("before => document.querySelector('.mv').dataset.version !== before", before)
    person.idle()


def _do(person: Person, button: str) -> None:
    version = person.page.locator(".mv").get_attribute("data-version")
    person.button(button).click()
    _changed(person, version)


def _fill(person: Person, field: str, value: str) -> None:
    box: Any = person.page.get_by_label(field, exact=True)
    version = person.page.locator(".mv").get_attribute("data-version")
    box.fill(value)
    box.press("Enter")
    _changed(person, version)


def _with(mask: np.ndarray, line: list[list[int]], axis: int, radius: float, inside: bool) -> np.ndarray:
    """What a stroke should make of a mask."""
    after = mask.copy()
    index, area = covered(line, axis, radius, mask.shape)  # type: ignore[arg-type]
    np.moveaxis(after, axis, 0)[index][area] = inside
    return after


def _nearly(found: np.ndarray, expected: np.ndarray, before: np.ndarray) -> bool:
    """A hand on a screen is a fraction of a voxel away: but for the rim of the stroke it is what was meant."""
    changed = int((expected != before).sum())
    return changed > 0 and int((found != expected).sum()) <= 0.35 * changed


def test_several_objects_brush_and_eraser_to_one_label_map(person: Person, case: Case, tmp_path: Path) -> None:
    session, tab, page = person.tab.session, person.tab, person.page
    low, high = case.box
    person.draw_box(low, high)
    person.step()
    stepped = session.mask()
    middle = np.argwhere(stepped).mean(axis=0).round().astype(int).tolist()
    person.look_at(middle)
    axial = person.plane("axial").axis
    x, y, z = middle

    _take(person, "u", "eraser")
    _paint(person, "axial", [x - 4, y, z], [x + 4, y, z])
    erased = session.mask()
    assert _nearly(erased, _with(stepped, [[x - 4, y, z], [x + 4, y, z]], axial, 3, False), stepped)
    _take(person, "r", "brush")
    person.press("[")
    person.until("() => document.querySelector('[aria-label=Radius]').value === '2'")
    _paint(person, "coronal", [x + 8, y, z], [x + 8, y, z + 6])
    brushed = session.mask()
    line = [[x + 8, y, z], [x + 8, y, z + 6]]
    assert _nearly(brushed, _with(erased, line, person.plane("coronal").axis, 2, True), erased)
    person.press("z")
    person.hears("taken back: the stroke of the brush")
    person.idle()
    assert (session.mask() == erased).all()
    person.press("y")
    person.hears("done again: the stroke of the brush")
    person.idle()
    assert (session.mask() == brushed).all()
    page.keyboard.down("Control")
    _paint(person, "axial", [x + 8, y, z], [x + 9, y, z])  # the brush is an eraser now
    page.keyboard.up("Control")
    first = session.mask()
    assert first.sum() < brushed.sum() and not first[x + 8, y, z]
    person.step()  # the agent goes on from it
    assert session.steps == 1
    first = session.mask()

    page.get_by_role("tab", name="Objects").click()
    _fill(person, "Name of object 1", "tumour")
    _do(person, "Add object")
    assert session.pristine and person.outline("axial", "mask") == ""
    page.locator("[data-plane=axial] path.mv-is-objects").wait_for()
    _fill(person, "Name of object 2", "edge & <b>rest</b>")
    low_z = int(np.argwhere(first)[:, 2].min())
    person.look_at([x, y, low_z + 1])
    _paint(person, "axial", [x - 6, y - 6, low_z + 1], [x + 6, y + 6, low_z + 1])
    version = page.locator(".mv").get_attribute("data-version")
    person.press("s")
    _changed(person, version)
    assert session.steps == 1
    _paint(person, "axial", [x - 8, y + 8, low_z + 1], [x + 8, y + 8, low_z + 1])
    second = session.mask()
    assert (second & first).any() and (second & ~first).any()
    colour: Any = page.get_by_label("Colour of object 2", exact=True)
    version = page.locator(".mv").get_attribute("data-version")
    colour.fill("#00ffcc")
    _changed(person, version)
    assert page.locator("path.mv-is-mask").first.get_attribute("stroke") == "#00ffcc"
    assert page.locator("path.mv-is-objects").first.get_attribute("stroke") == "#f0e442"

    _do(person, "Add object")
    _do(person, "Choose object 1")
    assert (session.mask() == first).all() and tab.objects.now.name == "tumour"
    _do(person, "Choose object 2")
    assert (session.mask() == second).all()
    person.button("Remove object 3").click()
    with_dialog = page.locator(".q-dialog")
    version = page.locator(".mv").get_attribute("data-version")
    with_dialog.get_by_role("button", name="Remove").click()
    with_dialog.wait_for(state="detached")
    _changed(person, version)
    assert [item.name for item in tab.objects.items] == ["tumour", "edge & <b>rest</b>"]
    assert all(person.outline(view, "mask") for view in VIEWS)

    for overwrite in (False, True):
        if overwrite:
            version = page.locator(".mv").get_attribute("data-version")
            page.get_by_text("overwrite", exact=True).click()
            _changed(person, version)
        files: list[Any] = []

        def keep(file: Any, files: list[Any] = files) -> None:
            files.append(file)

        page.on("download", keep)
        person.button("Save labels").click()
        person.hears(f"the {'later' if overwrite else 'earlier'} one has them")
        while len(files) < 2:
            page.wait_for_timeout(50)
        page.remove_listener("download", keep)
        paths = {file.suggested_filename: tmp_path / file.suggested_filename for file in files}
        for file in files:
            file.save_as(paths[file.suggested_filename])
        assert set(paths) == {"head_labels.nii.gz", "head_labels.json"}
        image = nib.load(paths["head_labels.nii.gz"])
        labels = np.asarray(image.dataobj)
        expected = first.astype(np.uint8)
        expected[second & (~first | overwrite)] = 2
        assert (
            labels.dtype == np.uint8
            and (labels == expected).all()
            and np.array_equal(image.affine, nib.load(case.scan).affine)
        )
        names = json.loads(paths["head_labels.json"].read_text())["objects"]
        assert [(entry["value"], entry["name"], entry["colour"]) for entry in names] == [
            (1, "tumour", "#f0e442"),
            (2, "edge & <b>rest</b>", "#00ffcc"),
        ]
    person.until("() => document.querySelector('.annotate-controls') !== null")
    person.press("i")
    person.until("() => document.querySelectorAll('path.mv-is-objects').length === 0")


def test_names_that_cannot_be_are_refused_and_shown_as_they_were(person: Person) -> None:
    page = person.page
    page.get_by_role("tab", name="Objects").click()
    _do(person, "Add object")
    field: Any = page.get_by_label("Name of object 2", exact=True)
    field.fill("Object 1")
    field.press("Enter")
    person.hears("name: expected one that no other object has")
    person.until("() => document.querySelector('[aria-label=\"Name of object 2\"]').value === 'Object 2'")
    assert [item.name for item in person.tab.objects.items] == ["Object 1", "Object 2"]
