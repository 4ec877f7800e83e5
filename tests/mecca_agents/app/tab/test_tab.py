"""One page's own: scans and labels, scores of each step, what is saved and loaded again, and what is left behind."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from mecca_agents.app.tab.folder import Folder
from mecca_agents.app.tab.review import score
from mecca_agents.app.tab.tab import Tab
from mecca_agents.app.tab.tabs import Tabs
from mecca_agents.session import Model, SessionError, read_log
from mecca_env.data.base import DataError
from mecca_env.metrics import dice, surface_metrics
from tests.support.annotation import Case


@pytest.fixture
def tab(model: Model, case: Case) -> Iterator[Tab]:
    """With the case opened."""
    tab = Tab(model, Folder(case.folder), 1 << 20)
    tab.open_scan([case.scan], ["head.nii.gz"])
    yield tab
    tab.close()


def _write(path: Path, array: np.ndarray, affine: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


def test_a_review_scores_every_step_and_forgets_what_is_taken_back(tab: Tab, case: Case) -> None:
    tab.set_box(*case.box)
    tab.step()
    tab.open_label(case.label_file, "head_label.nii.gz")
    assert tab.review is not None and len(tab.review.scores) == 1
    tab.add_clicks(case.edges(5))
    tab.step()
    first, second = tab.review.scores
    mask = torch.from_numpy(tab.session.mask())
    label = torch.from_numpy(case.label)
    assert second.dice == float(dice(mask[None], label[None]))
    assert second.assd == surface_metrics(mask, label, spacing=tab.session.spacing).assd
    assert first.dice != second.dice
    tab.undo()
    assert tab.review.scores == [first]
    tab.redo()
    assert tab.review.scores == [first, second]
    tab.reset()
    assert tab.review.scores == []
    tab.undo()
    assert tab.review.scores == [first, second]


def test_scores_of_parts_are_those_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    mask, label = np.zeros((20, 22, 24), bool), np.zeros((20, 22, 24), bool)
    mask[0:6, 5:9, 4:8] = rng.random((6, 4, 4)) < 0.7
    label[3:9, 6:12, 5:7] = rng.random((6, 6, 2)) < 0.7
    found = score(mask, label, (1.0, 2.0, 3.0))
    assert found.assd == pytest.approx(surface_metrics(mask, label, spacing=(1.0, 2.0, 3.0)).assd, abs=1e-6)
    nothing = np.zeros_like(mask)
    assert score(nothing, label, (1.0, 1.0, 1.0)).assd == pytest.approx(np.sqrt(20**2 + 22**2 + 24**2))
    assert score(nothing, nothing, (1.0, 1.0, 1.0)).dice == 1.0


def test_labels_that_do_not_fit(tab: Tab, case: Case, tmp_path: Path) -> None:
    label = case.label.astype(np.uint8)
    shifted = case.affine.copy()
    shifted[0, 3] += 5
    wrong = {
        "the affine of the scan": _write(tmp_path / "shifted.nii.gz", label, shifted),
        "shape": _write(tmp_path / "small.nii.gz", label[1:], case.affine),
        "empty label": _write(tmp_path / "empty.nii.gz", label * 0, case.affine),
        "a readable image": tmp_path / "text.nii.gz",
        "expected a readable": tmp_path / "gone.nii.gz",
    }
    (tmp_path / "text.nii.gz").write_text("no image")
    for words, path in wrong.items():
        with pytest.raises(DataError, match=words) as caught:
            tab.open_label(path, "shown.nii.gz")
        assert "shown.nii.gz" in str(caught.value) and str(tmp_path) not in str(caught.value)
    assert tab.review is None


def test_the_mask_is_saved_on_the_scans_own_grid(tab: Tab, case: Case, tmp_path: Path) -> None:
    tab.set_box(*case.box)
    tab.step()
    name, content = tab.mask_file()
    assert name == "head_mask.nii.gz"
    (tmp_path / name).write_bytes(content)
    saved = nib.load(tmp_path / name)
    assert (np.asarray(saved.dataobj) == tab.session.mask()).all() and tab.session.mask().any()
    assert np.allclose(saved.affine, case.affine)
    assert list(tab.uploads.folder.iterdir()) == []
    tab.open_label(tmp_path / name, name)  # a saved mask is a label
    assert tab.review is not None and tab.review.scores[0].dice == 1.0


def test_a_saved_mask_is_gone_on_from(tab: Tab, case: Case, tmp_path: Path) -> None:
    tab.set_box(*case.box)
    tab.step()
    saved = tab.session.mask()
    name, content = tab.mask_file()
    (tmp_path / name).write_bytes(content)
    tab.open_scan([case.scan], ["head.nii.gz"])
    tab.open_label(case.label_file, "label")
    assert tab.session.pristine
    tab.open_mask(tmp_path / name, name)
    assert (tab.session.mask() == saved).all() and not tab.session.pristine
    assert tab.draft.box == tab.session.box is not None
    assert tab.review is not None and tab.review.scores == []
    tab.step()
    assert len(tab.review.scores) == 1
    with pytest.raises(DataError, match=r"^shown\.nii: expected a readable image") as caught:
        tab.open_mask(tmp_path / "gone.nii", "shown.nii")
    assert str(tmp_path) not in str(caught.value)
    tab.undo(), tab.undo()
    assert tab.session.pristine and tab.draft.box is None


def test_a_log_brings_everything_back(tab: Tab, model: Model, case: Case, tmp_path: Path) -> None:
    tab.set_box(*case.box)
    tab.add_clicks(case.edges(6))
    tab.step()
    tab.mask_file()
    tab.add_clicks(case.edges(9, seed=1))
    tab.step()
    tab.undo()
    name, content = tab.log_file()
    path = tmp_path / name
    path.write_bytes(content)
    log = read_log(path)
    assert log.files == ("head.nii.gz",)  # no path of the server
    assert str(tab.uploads.folder) not in content.decode()
    assert [e.details["path"] for e in log.entries if e.action == "save"] == ["head_mask.nii.gz"]
    other = Tab(model, Folder(case.folder), 1 << 20)
    with pytest.raises(SessionError):
        other.open_log(path, name)
    other.open_scan([case.scan], ["head.nii.gz"])
    other.open_label(case.label_file, "label")
    other.open_log(path, name)
    assert (other.session.probability() == tab.session.probability()).all()
    assert other.session.clicks == tab.session.clicks and other.draft.box == tab.session.box
    assert other.review is not None and len(other.review.scores) == 1
    assert other.session.can_redo
    other.close()


def test_times_of_all_cases_of_a_page(tab: Tab, case: Case) -> None:
    with pytest.raises(SessionError, match="expected one step at least"):
        tab.times_file(".csv")
    for steps in (2, 3):
        tab.open_scan([case.scan], ["head.nii.gz"])
        tab.set_box(*case.box)
        for number in range(steps):
            tab.add_clicks(case.edges(2 + number, seed=number))
            tab.step()
    tab.open_scan([case.scan], ["head.nii.gz"])  # nothing is done with this one
    assert tab.cases == 2
    name, content = tab.times_file(".csv")
    assert name == "head_times.csv"
    row = next(csv.DictReader(io.StringIO(content.decode())))
    assert row["method"] == "mecca-expected" and row["sessions"] == "2" and {"1", "2", "3"} <= set(row)
    assert "Interaction time (s)" in tab.times_file(".md")[1].decode()


def test_a_case_counts_once_in_the_times_however_often_its_log_is_loaded(tab: Tab, case: Case, tmp_path: Path) -> None:
    for _ in range(2):
        tab.step()
    (tmp_path / "one.json").write_bytes(tab.log_file()[1])
    tab.add_object()
    tab.step()
    assert tab.cases == 2
    tab.choose_object(0)
    assert tab.cases == 2
    tab.open_log(tmp_path / "one.json", "one.json")  # to go on with what was left
    tab.step()
    assert tab.cases == 2
    tab.choose_object(1)
    tab.step()  # an object that one comes back to is the same case
    assert tab.cases == 2
    row = next(csv.DictReader(io.StringIO(tab.times_file(".csv")[1].decode())))
    assert row["sessions"] == "2" and float(row["3"]) >= 0
    assert all(set(entry.details) <= {"new"} for log in tab._earlier.values() for entry in log.entries)


def test_a_log_that_is_too_large_stops_nothing_but_its_own_saving(
    tab: Tab, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    tab.step()
    monkeypatch.setattr("mecca_agents.session.log.MOST_BYTES", 100)
    with pytest.raises(SessionError, match="log: expected at most 100 bytes of JSON, got"):
        tab.log_file()
    tab.add_object()
    tab.open_scan([case.scan], ["other.nii.gz"])
    assert tab.times_file(".csv") and tab.name == "other.nii.gz"


def test_another_scan_begins_anew_and_a_bad_one_changes_nothing(tab: Tab, case: Case, tmp_path: Path) -> None:
    tab.set_box(*case.box)
    tab.step()
    tab.open_label(case.label_file, "label")
    bad = tmp_path / "bad.nii.gz"
    bad.write_text("no image")
    with pytest.raises(DataError, match=r"^shown\.nii\.gz: expected a readable image") as caught:
        tab.open_scan([bad], ["shown.nii.gz"])
    assert str(tmp_path) not in str(caught.value)
    assert tab.session.steps == 1 and tab.review is not None and tab.name == "head.nii.gz"
    tab.open_scan([case.scan], ["other.nii.gz"])
    assert tab.session.steps == 0 and tab.review is None and tab.draft.box is None


def test_nothing_can_be_saved_without_a_scan(model: Model, case: Case) -> None:
    tab = Tab(model, Folder(case.folder), 1 << 20)
    for save in (tab.mask_file, tab.log_file):
        with pytest.raises(SessionError, match="expected a scan"):
            save()
    tab.close()
    tab.close()
    assert not tab.uploads.folder.exists()


def test_as_many_pages_as_there_may_be(model: Model, case: Case) -> None:
    tabs = Tabs(model, Folder(case.folder), 1 << 20, most=2)
    first, second = tabs.add(), tabs.add()
    assert first.key != second.key and tabs.find(first.key) is first
    with pytest.raises(SessionError, match="at most 2"):
        tabs.add()
    first.connected = False
    third = tabs.add()  # nobody looks at the first one any more
    assert len(tabs) == 2 and not first.uploads.folder.exists()
    with pytest.raises(SessionError, match="load the page anew"):
        tabs.find(first.key)
    tabs.remove(third)
    tabs.remove(third)
    tabs.close()
    assert len(tabs) == 0 and not second.uploads.folder.exists()
