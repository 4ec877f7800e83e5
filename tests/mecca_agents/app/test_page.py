"""A person at the page, in a real browser: from opening a scan to the saved mask, and everything in between."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from mecca_agents.app.page.shortcuts import shortcuts
from mecca_agents.session import read_log
from tests.support.annotation import Case
from tests.support.person import VIEWS, Person

pytestmark = pytest.mark.slow  # a browser


def test_from_the_box_to_the_saved_mask(person: Person, case: Case, tmp_path: Path) -> None:
    """Draw a box, click, step: the mask changes and Dice rises; undo; save; load; compare voxel by voxel."""
    session = person.tab.session
    low, high = case.box
    person.draw_box(low, high)
    assert session.box == (tuple(low), tuple(high))
    person.send("Review", case.label_file)
    person.step()
    first = session.mask()
    assert first.any()
    middle = np.argwhere(first).mean(axis=0)
    person.look_at(middle)
    outlines = [person.outline(view, "mask") for view in VIEWS]
    assert all(outlines) and all(person.outline(view, "label") for view in VIEWS)
    assert (
        len(
            set(
                person.page.locator("path.mv-line").evaluate_all(
                    "all => all.map(e => e.getAttribute('stroke-dasharray'))"
                )
            )
        )
        > 1
    )

    person.choose_click()
    edges = case.edges(12)
    for number, voxel in enumerate(edges):
        person.add_click(VIEWS[number % 3], voxel)
    assert [tuple(round(v) for v in click.point) for click in session.clicks] == [tuple(voxel) for voxel in edges]
    person.step()
    second = session.mask()
    person.look_at(middle)
    assert (first != second).any()
    assert [person.outline(view, "mask") for view in VIEWS] != outlines
    rows = person.steps()
    assert [row[:2] for row in rows] == [["1", "0"], ["2", "12"], ["3", "0"]]
    assert float(rows[1][4]) > float(rows[0][4]) > 0.3  # Dice
    assert float(rows[1][5]) < float(rows[0][5])  # ASSD

    person.press("z")
    person.until("n => document.querySelectorAll('tbody tr').length === n", 2)
    person.idle()
    assert session.steps == 1 and (session.mask() == first).all()
    person.press("y")
    person.until("n => document.querySelectorAll('tbody tr').length === n", 3)
    person.idle()

    saved = person.saved("Save mask", tmp_path)
    image = nib.load(saved)
    assert saved.name == "head_mask.nii.gz"
    assert (np.asarray(image.dataobj) == second).all() and np.allclose(image.affine, case.affine)
    log = person.saved("Save session", tmp_path)
    assert read_log(log).files == ("head.nii.gz",)

    person.come()  # the page anew: another session
    assert person.tab.session is not session and person.tab.session.steps == 0
    person.send("Load session", log)
    assert (person.tab.session.mask() == second).all()
    person.send("Review", saved)
    assert [row[4] for row in person.steps()][1] == "1.000"
    assert not any(person.tab.uploads.folder.iterdir())

    person.come()
    person.send("Load mask", saved)  # goes on from it, without its clicks
    tab = person.tab
    assert (tab.session.mask() == second).all() and tab.session.steps == 0 and tab.session.box is not None
    person.look_at(middle)
    assert all(person.outline(view, "mask") for view in VIEWS)
    person.step()
    assert tab.session.steps == 1
    person.press("z", "z")
    person.hears("taken back: the loaded mask")
    assert not tab.session.mask().any()


def test_slices_by_wheel_keys_slider_and_the_linked_cross(person: Person) -> None:
    tab, page = person.tab, person.page
    axial = person.plane("axial")

    def index(view: str) -> int:
        return int(page.locator(f".mv-view[data-plane={view}]").get_attribute("data-index"))

    start = index("axial")
    page.mouse.move(*person.at("axial", [v // 2 for v in tab.session.shape]))
    page.mouse.wheel(0, -100)
    person.until("n => document.querySelector('[data-plane=axial]').dataset.index == n", start + 1)
    for key, expected in (("ArrowUp", 2), ("ArrowLeft", 1), ("ArrowDown", 0), ("PageUp", 10), ("PageDown", 0)):
        person.press(key)
        person.until("n => document.querySelector('[data-plane=axial]').dataset.index == n", start + expected)
    coronal = index("coronal")
    person.press("2", "ArrowUp")
    person.until("n => document.querySelector('[data-plane=coronal]').dataset.index == n", coronal + 1)
    person.idle()
    drawn = page.locator(".mv-view[data-plane=sagittal]").get_attribute("data-drawn")
    target = [10, 20, start]
    person.click("axial", target)  # looks there: the two other views follow
    person.idle()
    assert [index(view) for view in VIEWS] == [target[person.plane(view).axis] for view in VIEWS]
    assert page.locator(".mv-view[data-plane=sagittal]").get_attribute("data-drawn") != drawn
    assert axial.axis == 2
    for _ in range(200):
        page.mouse.wheel(0, -100)
    person.until("n => document.querySelector('[data-plane=axial]').dataset.index == n", tab.session.shape[2] - 1)
    person.idle()


def test_window_zoom_and_one_view_alone(person: Person) -> None:
    page, middle = person.page, [v // 2 for v in person.tab.session.shape]

    def window() -> list[float]:
        url = page.locator(".mv-view[data-plane=axial]").get_attribute("data-wanted")
        return [float(part.partition("=")[2]) for part in url.split("&") if part.startswith(("low=", "high="))]

    thumbs = page.locator(".q-range .q-slider__thumb").evaluate_all("all => all.map(e => e.style.left)")
    assert thumbs == ["20%", "60%"]  # half a window's width below it, a whole one above it
    before, size = window(), person.at("axial", [0, 0, 0])
    person.drag("axial", middle, [v + 8 for v in middle], button="right")
    person.until("w => !document.querySelector('[data-plane=axial]').dataset.wanted.includes('high=' + w)", before[1])
    person.idle()
    assert window() != before
    person.press("w")
    person.until("w => document.querySelector('[data-plane=axial]').dataset.wanted.includes('high=' + w)", before[1])
    here = person.at("axial", middle)
    page.mouse.move(*here)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    person.until("x => document.querySelector('[data-plane=axial] > svg > g').getScreenCTM().e < x - 10", size[0])
    assert np.allclose(person.at("axial", middle), here, atol=2)  # what is under the pointer stays there
    person.press("0", "x")
    person.until("() => document.querySelector('.mv').classList.contains('mv-one')")
    wide = page.locator(".mv-view[data-plane=axial]").bounding_box()
    assert wide["width"] > 900 and page.locator(".mv-view:visible").count() == 1
    person.press("x")
    person.until("() => !document.querySelector('.mv').classList.contains('mv-one')")


def test_overlays_can_be_switched(person: Person, case: Case) -> None:
    person.draw_box(*case.box)
    person.step()
    person.look_at(np.argwhere(case.label).mean(axis=0))
    page = person.page

    def pictures() -> list[str]:
        return page.locator(".mv-view image").evaluate_all("all => all.map(e => e.getAttribute('href'))")

    plain = pictures()
    seen = [plain]
    for key in "pafh":
        person.press(key)
        heat = {"p": "probability", "a": "action", "f": "confidence", "h": "hint"}[key]
        person.until("h => document.querySelector('.mv-view').dataset.wanted.includes('heat=' + h)", heat)
        person.idle()
        if key != "h":  # there were no clicks
            assert pictures() not in seen
            seen.append(pictures())
    person.press("h")
    person.until("() => document.querySelector('.mv-view').dataset.wanted.includes('heat=&')")
    person.idle()
    assert pictures() == plain
    for key, name in (("m", "mask"), ("v", "advice")):
        assert person.outline("axial", name) or name == "advice"
        person.press(key)
        person.until("n => !document.querySelector('.mv-view').dataset.wanted.includes(n)", name)
        person.idle()
        assert all(person.outline(view, name) == "" for view in VIEWS)
    assert page.locator("rect.mv-is-box").count() == 3
    person.press("o")
    page.locator("rect.mv-is-box").first.wait_for(state="detached")


def test_advice_leads_the_views_there(person: Person, case: Case) -> None:
    person.draw_box(*case.box)
    person.step()
    regions = person.tab.session.advice()
    assert regions
    person.page.get_by_role("tab", name="Advice").click()
    person.page.get_by_role("button", name="1. at voxel").click()
    axis, centre = person.plane("axial").axis, regions[0].centre
    person.until("n => document.querySelector('[data-plane=axial]').dataset.index == n", centre[axis])
    person.press("g")
    axis, centre = person.plane("sagittal").axis, regions[1].centre
    person.until("n => document.querySelector('[data-plane=sagittal]').dataset.index == n", centre[axis])


def test_a_changed_box_is_used_when_the_person_says_so(person: Person, case: Case) -> None:
    session = person.tab.session
    low, high = case.box
    person.draw_box(low, high)
    person.step()
    person.look_at([(a + b) // 2 for a, b in zip(low, high, strict=True)])
    person.drag("axial", [v - 3.4 for v in low], [v - 0.6 for v in high])
    person.until("() => document.querySelector('.mv').dataset.draft !== document.querySelector('.mv').dataset.box")
    assert session.steps == 1 and session.box == (tuple(low), tuple(high))
    person.press("Enter")
    person.until("() => document.querySelectorAll('tbody tr').length === 1")
    assert session.steps == 0 and session.box is not None
    assert session.box[0][:2] == (low[0] - 3, low[1] - 3)
    person.button("Undo").click()
    person.until("() => document.querySelectorAll('tbody tr').length === 2")
    assert session.steps == 1 and session.box == (tuple(low), tuple(high))


def test_clicks_that_cannot_be(person: Person, case: Case) -> None:
    person.draw_box(*case.box)
    person.choose_click()
    person.look_at([(a + b) // 2 for a, b in zip(*case.box, strict=True)])
    person.click("axial", [1, 1, 0])
    person.hears("expected voxels of what the agent sees")
    person.add_click("axial", case.edges(1)[0])
    person.click("axial", case.edges(1)[0])
    person.hears("There was a click in this voxel")
    assert person.marks() == len(person.tab.session.clicks) == 1


def test_times_are_exported_as_in_table_7(person: Person, case: Case, tmp_path: Path) -> None:
    person.draw_box(*case.box)
    person.step()
    person.step()
    person.button("Times").click()
    with person.page.expect_download() as found:
        person.page.get_by_text("Table 7 as .csv").click()
    found.value.save_as(tmp_path / "times.csv")
    row = next(csv.DictReader(io.StringIO((tmp_path / "times.csv").read_text())))
    assert row["method"] == "mecca-expected" and row["sessions"] == "1" and float(row["1"]) > 0
    assert found.value.suggested_filename == "head_times.csv"


def test_the_page_says_what_the_model_was_trained_on_and_lists_every_key(person: Person) -> None:
    assert "built-in phantom: no real scan, not for clinical use" in person.page.inner_text(".annotate-top")
    person.page.get_by_role("tab", name="Keys and mouse").click()
    panel = person.page.locator(".mv-panel")
    panel.get_by_text("step", exact=True).wait_for()
    text = panel.inner_text()
    assert all(shortcut.label in text for shortcut in shortcuts(False) if shortcut.words)


def test_everything_fits_at_1280_by_720(person: Person, case: Case) -> None:
    person.draw_box(*case.box)
    person.step()
    person.press("p")
    person.page.locator(".annotate-controls .h-2").wait_for()
    fits = person.page.evaluate(
        """() => {
          const [page, controls] = [document.documentElement, document.querySelector('.annotate-controls')];
          return [page.scrollWidth, page.scrollHeight,
            controls.scrollHeight - controls.clientHeight, controls.scrollWidth - controls.clientWidth];
        }"""
    )
    assert fits == [1280, 720, 0, 0]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha"])
def test_scans_of_every_kind_can_be_sent(person: Person, case: Case, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"sent{suffix}"
    image = nib.load(case.scan)
    if suffix == ".mha":
        sitk = pytest.importorskip("SimpleITK")
        sitk.WriteImage(sitk.GetImageFromArray(np.asarray(image.dataobj).T), str(path))
    else:
        nib.save(image, path)
    person.send("Open scan", path)
    person.until("name => document.querySelector('.annotate-top').innerText.includes(name)", path.name)
    assert person.tab.session.shape == case.label.shape
    assert not any(person.tab.uploads.folder.iterdir())  # read, and gone


def test_files_that_are_no_scans(person: Person, case: Case, tmp_path: Path) -> None:
    session = person.tab.session
    shape = session.shape
    affine = np.eye(4)
    text, four, huge, wrong = (tmp_path / name for name in ("text.nii", "four.nii", "huge.nii.gz", "notes.json"))
    text.write_text("no image")
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4, 3), np.float32), affine), four)
    header = nib.Nifti1Header()
    header.set_data_shape((1200, 1200, 1200))
    nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), affine).to_filename(huge)
    with gzip.open(huge, "wb") as file:
        file.write(header.binaryblock + b"\0" * 1000)
    for path, words in (
        (text, "text.nii: expected a readable image"),
        (four, "expected 1 channel"),
        (huge, "it was not read"),
    ):
        person.send("Open scan", path)
        person.hears(words)
    wrong.write_text(json.dumps({"format": 1}))
    person.send("Load session", wrong)
    person.hears("notes.json: expected the log of a session")
    assert session.shape == shape and person.tab.name == "head.nii.gz"


def test_a_file_of_the_folder_and_one_that_has_vanished(person: Person, case: Case) -> None:
    copy = case.folder / "soon_gone.nii.gz"
    copy.write_bytes(case.scan.read_bytes())
    person.button("Open scan").click()
    entry = person.page.get_by_role("button", name="soon_gone.nii.gz")
    entry.wait_for()
    copy.unlink()
    entry.click()
    person.hears("soon_gone.nii.gz: expected a file in")
    path: Any = person.page.get_by_label("Path below the folder of the server")
    path.fill("../../etc/passwd")
    path.press("Enter")
    person.hears("found one outside of it")
    path.fill("head_label.nii.gz")
    path.press("Enter")
    person.until("() => document.querySelector('.annotate-top').innerText.includes('head_label.nii.gz')")
    person.idle()
    assert person.tab.name == "head_label.nii.gz"
