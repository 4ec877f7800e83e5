"""Several objects and a brush on one page: what its session goes on from, what is undone, and what is saved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mecca_agents.app.tab.brush import covered
from mecca_agents.app.tab.folder import Folder
from mecca_agents.app.tab.tab import Tab
from mecca_agents.session import Model, SessionError
from tests.support.annotation import Case
from tests.support.headers import seen


@pytest.fixture
def tab(model: Model, case: Case) -> Iterator[Tab]:
    """With the case opened."""
    tab = Tab(model, Folder(case.folder), 1 << 20)
    tab.open_scan([case.scan], ["head.nii.gz"])
    yield tab
    tab.close()


def _painted(mask: np.ndarray, point: tuple[int, int, int], radius: float, inside: bool) -> np.ndarray:
    """A mask after a dab on an axial slice."""
    index, area = covered([point], 2, radius, mask.shape)  # type: ignore[arg-type]
    after = mask.copy()
    after[:, :, index][area] = inside
    return after


def test_a_stroke_is_what_the_next_step_goes_on_from_and_one_action(tab: Tab, case: Case) -> None:
    session = tab.session
    tab.set_box(*case.box)
    tab.add_clicks(case.edges(4))
    tab.step()
    stepped, box = session.mask(), session.box
    middle = tuple(np.argwhere(stepped).mean(axis=0).round().astype(int).tolist())
    assert tab.paint([middle], 2, 3, False)
    erased = _painted(stepped, middle, 3, False)
    assert (session.mask() == erased).all() and (erased != stepped).any()
    assert session.steps == 0 and session.box == box
    assert tab.paint([middle], 2, 1.5, True)
    brushed = _painted(erased, middle, 1.5, True)
    assert (session.mask() == brushed).all()
    tab.step()
    assert session.steps == 1 and (session.mask() != brushed).any()
    assert [tab.undo() for _ in range(3)] == ["step", "brush", "eraser"]
    assert (session.mask() == stepped).all() and session.steps == 1 and len(session.clicks) == 4
    assert [tab.redo() for _ in range(2)] == ["eraser", "brush"]
    assert (session.mask() == brushed).all()


def test_a_stroke_beyond_the_box_widens_it_and_is_undone_as_one(tab: Tab, case: Case) -> None:
    session = tab.session
    assert tab.paint([(10, 10, 20)], 2, 2, True)  # nothing was there: the stroke's own box
    assert session.box == ((8, 8, 20), (13, 13, 21)) and tab.draft.box == session.box
    one = session.mask()
    assert tab.paint([(40, 30, 20), (50, 30, 20)], 2, 2, True)
    both = session.mask()
    assert both[one].all() and both[45, 32, 20] and both[:, :, 20].sum() == both.sum()
    assert session.box == ((8, 8, 20), (53, 33, 21))
    assert tab.undo() == "brush"
    assert (session.mask() == one).all() and session.box == ((8, 8, 20), (13, 13, 21))
    assert tab.redo() == "brush"
    assert (session.mask() == both).all() and tab.draft.box == session.box
    assert [tab.undo(), tab.undo()] == ["brush", "brush"] and session.pristine and session.box is None
    assert [tab.redo(), tab.redo()] == ["brush", "brush"] and (session.mask() == both).all()
    assert tab.undo() == "brush" and tab.paint([(10, 10, 20)], 2, 9, False)  # what was undone is gone
    assert not session.can_redo and not session.mask().any()
    assert tab.undo() == "eraser" and (session.mask() == one).all()
    assert not tab.paint([(10, 10, 20)], 2, 1, True) and not tab.paint([(30, 30, 5)], 2, 4, False)
    assert (session.mask() == one).all()


def test_a_stroke_of_which_a_half_is_forgotten_is_not_undone_by_half(
    model: Model, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mecca_agents.session.history.MOST_UNDONE", 2)
    tab = Tab(model, Folder(case.folder), 1 << 20)
    tab.open_scan([case.scan], ["head.nii.gz"])
    tab.paint([(10, 10, 20)], 2, 2, True)
    tab.paint([(40, 30, 20)], 2, 2, True)  # two actions: it widens the box
    tab.step()
    assert tab.undo() == "step" and tab.session.undoable == 1
    box, mask = tab.session.box, tab.session.mask()
    with pytest.raises(SessionError, match="undo: expected the 2 actions of the brush, got 1 of them"):
        tab.undo()
    assert tab.session.box == box and (tab.session.mask() == mask).all()
    tab.close()


def test_an_agent_that_finds_its_view_finds_it_around_what_is_painted(signed_model: Model, case: Case) -> None:
    tab = Tab(signed_model, Folder(case.folder), 1 << 20)
    tab.open_scan([case.scan], ["head.nii.gz"])
    session = tab.session
    tab.add_clicks([(20, 20, 20)], True)
    view = session.view
    with pytest.raises(SessionError, match="expected an image that varies"):  # there is nothing around the head
        tab.paint([(60, 50, 3)], 2, 2, True)
    assert session.view == view and len(session.clicks) == 1
    tab.paint([(45, 40, 20)], 2, 2, True)
    assert session.box is None and session.view != view and session.mask()[45, 40, 20]
    assert tab.undo() == "brush" and session.view == view and len(session.clicks) == 1
    tab.redo()
    tab.step()
    assert session.steps == 1
    tab.close()


def test_each_object_has_its_mask_and_no_way_leads_back_into_another_one(tab: Tab, case: Case) -> None:
    session = tab.session
    tab.open_label(case.label_file, "label")
    tab.set_box(*case.box)
    tab.step()
    first, box = session.mask(), session.box
    tab.add_object("cyst")
    assert tab.review is not None and tab.review.scores == []
    assert session.pristine and session.box is None and not session.can_undo and tab.draft.box is None
    assert tab.cases == 1  # its times are kept
    tab.paint([(50, 40, 30)], 2, 3, True)
    second = session.mask()
    tab.choose_object(0)
    assert (session.mask() == first).all() and session.box == box and session.steps == 0
    tab.choose_object(0)  # is there already
    tab.step()
    assert session.steps == 1
    third = session.mask()
    tab.choose_object(1)
    assert (session.mask() == second).all()
    name, content = tab.log_file()
    (tab.uploads.folder / name).write_bytes(content)
    tab.open_log(tab.uploads.folder / name, name)  # a log like any other
    assert (session.mask() == second).all() and tab.objects.now.name == "cyst"
    tab.remove_object(1)
    assert (session.mask() == third).all() and [item.name for item in tab.objects.items] == ["Object 1"]
    tab.add_object()
    tab.remove_object(0)
    assert tab.objects.now.name == "Object 2" and session.pristine
    tab.open_scan([case.scan], ["head.nii.gz"])
    assert [item.name for item in tab.objects.items] == ["Object 1"] and tab.objects.now.mask is None


def test_all_objects_are_saved_in_one_file_on_the_scans_grid(tab: Tab, case: Case, tmp_path: Path) -> None:
    tab.paint([(20, 20, 20)], 2, 5, True)
    one = tab.session.mask()
    tab.add_object("käse")
    tab.add_object("other")
    tab.paint([(24, 20, 20)], 2, 5, True)
    other = tab.session.mask()
    for overwrite in (False, True):
        tab.objects = tab.objects.overwriting(overwrite)
        ((name, content), (names, text)), contested = tab.labels_files()
        assert (name, names) == ("head_labels.nii.gz", "head_labels.json") and contested == (one & other).sum() > 0
        (tmp_path / name).write_bytes(content)
        image = nib.load(tmp_path / name)
        labels = np.asarray(image.dataobj)
        expected = np.where(one, 1, 0)
        expected[other & (~one | overwrite)] = 3
        assert labels.dtype == np.uint8 and (labels == expected).all()
        for of_scan, of_labels in zip(seen(case.scan), seen(tmp_path / name), strict=True):
            assert of_scan is not None and np.array_equal(of_scan, of_labels)
        said = json.loads(text)
        assert [entry["name"] for entry in said["objects"]] == ["Object 1", "käse", "other"]
        assert [entry["voxels"] for entry in said["objects"]] == [(expected == value).sum() for value in (1, 2, 3)]
    assert not any(tab.uploads.folder.iterdir())
    tab.choose_object(0)
    assert np.array_equal(tab.session.mask(), one)  # saving takes nothing away


def test_what_cannot_be_painted_or_saved_changes_nothing(tab: Tab) -> None:
    before = tab.session.version
    for do, words in (
        (lambda: tab.paint([(1, 1, 99)], 2, 1, True), "brush: expected points on one slice"),
        (lambda: tab.choose_object("x"), "object: expected one of the list"),
        (lambda: tab.remove_object(0), "object: expected two at least"),
        (tab.labels_files, "labels: expected an object that is not empty"),
    ):
        with pytest.raises(SessionError, match=words):
            do()
    assert tab.session.version == before and len(tab.objects.items) == 1
