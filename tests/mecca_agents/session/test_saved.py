"""Masks that a person has saved: which are taken with which scan and log, and what is said of the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from mecca_agents.cli import main
from mecca_agents.online import read_project
from mecca_agents.session import Entry, SessionError, SessionLog, accepting, read_log
from mecca_agents.session.inputs.mask import boxed
from mecca_agents.session.inputs.scan import open_image
from mecca_agents.session.saved import accept_saved
from tests.support.volumes import AFFINE, ORGANS, SHAPE, ellipsoid, intensities, organs, write_mha, write_nifti

MIDDLE, CORNER = [12.0, 11.0, 8.0], [1.0, 1.0, 1.0]
SENT = np.diag([1.5, 1.25, 3.0, 1.0])
"""What is left of `AFFINE` where a viewer sends the size of voxels alone."""


@dataclass(frozen=True)
class Desk:
    """A folder with a scan, masks, and what is to become a project."""

    folder: Path

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def scan(self) -> Path:
        return self.folder / "scan12.nii.gz"

    def mask(self, mask: NDArray[Any], name: str = "mask.nii.gz", affine: NDArray[Any] = AFFINE) -> Path:
        return write_nifti(self.folder / name, mask, affine)

    def log(self, scan: Path, *actions: tuple[str, Mapping[str, Any]], name: str = "log.json") -> Path:
        image = open_image(scan, None, 1, 1 << 20)
        done = [("set_image", {}), *actions]
        entries = tuple(
            Entry(name, float(at), 0.5, f"2026-01-01T00:00:{at:02}", said) for at, (name, said) in enumerate(done)
        )
        log = SessionLog("intercnn", "shapes", "w" * 64, image.files, image.shape, image.identity, entries)
        log.save(self.folder / name)
        return self.folder / name


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    write_nifti(tmp_path / "scan12.nii.gz", intensities(ellipsoid()))
    return Desk(tmp_path)


def clicks(*points: list[float], inside: bool = True) -> tuple[str, dict[str, Any]]:
    return "add_clicks", {"points": [*points], "new": len(points), "inside": inside}


STEP = ("step", {"number": 1, "clicks": 1})
UNDO = ("undo", {"what": "add_clicks"})
WHOLE = ("set_box", {"low": None, "high": None})


def test_scan_mask_and_log_become_a_case(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    log, mask = desk.log(desk.scan, clicks(MIDDLE), STEP), desk.mask(ellipsoid().astype(np.uint8) * 255)
    assert main(["accept", str(desk.project), "--log", str(log), "--mask", str(mask), "--target", "spleen"]) == 0
    (case,) = read_project(desk.project)
    assert case.name.startswith("spleen__scan12-") and capsys.readouterr().out == f"{desk.project}: {case.name}\n"
    assert case.log == read_log(log)
    scan, label = (nibabel.load(desk.project / kind / f"{case.name}.nii.gz") for kind in ("images", "labels"))
    np.testing.assert_array_equal(scan.dataobj, intensities(ellipsoid()))
    np.testing.assert_array_equal(label.dataobj, ellipsoid())
    np.testing.assert_allclose(label.affine, AFFINE)


def test_without_a_log_there_is_none_and_an_earlier_one_goes(desk: Desk) -> None:
    mask, log = desk.mask(ellipsoid().astype(np.uint8)), desk.log(desk.scan, clicks(MIDDLE))
    name = accept_saved(desk.project, mask, log=log, target="a")
    other = accept_saved(desk.project, mask, log=log, target="b")
    assert accept_saved(desk.project, mask, scan=desk.scan, target="a", link=True) == name
    assert [(case.name, case.log is None) for case in read_project(desk.project)] == [(name, True), (other, False)]
    assert (desk.project / "images" / f"{name}.nii.gz").resolve() == desk.scan.resolve()


def test_the_same_scan_by_another_name_takes_its_own_place(desk: Desk) -> None:
    names = [accept_saved(desk.project, desk.mask(ellipsoid().astype(np.uint8)), scan=desk.scan, target="a")]
    again = desk.scan.rename(desk.folder / "kept-1.nii.gz")
    names += [
        accept_saved(desk.project, desk.folder / "mask.nii.gz", scan=again, target=target) for target in ("a", None)
    ]
    assert names[0] == names[1] != names[2] and len(read_project(desk.project)) == 2


def test_the_same_scan_by_two_names_at_once_is_one_case(desk: Desk) -> None:
    mask = desk.mask(ellipsoid().astype(np.uint8))
    scans = [desk.scan, write_nifti(desk.folder / "again.nii.gz", intensities(ellipsoid()))]
    desk.project.mkdir()
    with ThreadPoolExecutor(2) as pool:
        with accepting.writing(desk.project):
            named = [pool.submit(accept_saved, desk.project, mask, scan=scan) for scan in scans]
            time.sleep(0.5)  # both wait for the folder
        assert len({each.result() for each in named}) == len(read_project(desk.project)) == 1


def test_a_label_map_has_one_value_or_is_asked_which(desk: Desk) -> None:
    mask = desk.mask(organs())
    with pytest.raises(ValueError, match=r"mask.nii.gz: expected one value above 0, found 1, 2, 4; --label VALUE choo"):
        accept_saved(desk.project, mask, scan=desk.scan)
    assert not desk.project.exists()
    assert main(["accept", str(desk.project), "--scan", str(desk.scan), "--mask", str(mask), "--label", "4"]) == 0
    (label,) = (desk.project / "labels").iterdir()
    expected = np.zeros(SHAPE, bool)
    expected[ORGANS[4]] = True
    np.testing.assert_array_equal(nibabel.load(label).dataobj, expected)


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_masks_of_other_formats(desk: Desk, ending: str) -> None:
    mask = write_mha(desk.folder / f"mask{ending}", ellipsoid().astype(np.uint8))
    name = accept_saved(desk.project, mask, scan=desk.scan)
    np.testing.assert_array_equal(nibabel.load(desk.project / "labels" / f"{name}.nii.gz").dataobj, ellipsoid())


def _moved(by: float) -> NDArray[Any]:
    affine = AFFINE.copy()
    affine[0, 3] += by
    return affine


@pytest.mark.parametrize(
    ("make", "flags", "sentence"),
    [
        (lambda desk: desk.mask(np.zeros(SHAPE, np.uint8)), "", "mask.nii.gz: empty label; expected values above 0"),
        (lambda desk: desk.mask(organs()), "--label 3", "empty label; expected values [3], found 0, 1, 2, 4"),
        (lambda desk: desk.mask(ellipsoid() * np.float32(0.5)), "", "expected integer labels, found"),
        (lambda desk: desk.mask(ellipsoid((24, 22, 15)).astype(np.uint8)), "", "found one of (24, 22, 15)"),
        (lambda desk: desk.mask(ellipsoid().astype(np.uint8), affine=_moved(0.5)), "", "0.5 mm apart (--tolerance MM)"),
        (lambda desk: desk.mask(ellipsoid().astype(np.uint8)), "--tolerance -1", "tolerance: expected millimetres"),
        (lambda desk: desk.mask(ellipsoid().astype(np.uint8)), "--target a.b", "target: expected one word"),
        (lambda desk: desk.folder / "none.nii", "", "none.nii: expected a readable image file, found no such file"),
        (lambda desk: desk.scan.with_name("log.json"), "", "expected a readable image file, found"),
    ],
)
def test_what_is_wrong_with_a_mask_is_one_line(
    desk: Desk, capsys: pytest.CaptureFixture[str], make: Callable[[Desk], Path], flags: str, sentence: str
) -> None:
    log = desk.log(desk.scan, clicks(MIDDLE))
    given = ["accept", str(desk.project), "--log", str(log), "--mask", str(make(desk)), *flags.split()]
    assert main(given) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.startswith("mecca: ") and error.count("\n") == 1
    assert not desk.project.exists()


def test_a_tolerance_lets_a_mask_lie_apart(desk: Desk) -> None:
    mask = desk.mask(ellipsoid().astype(np.uint8), affine=_moved(0.01))
    with pytest.raises(ValueError, match=r"0.01 mm apart \(--tolerance MM\)$"):
        accept_saved(desk.project, mask, scan=desk.scan)
    accept_saved(desk.project, mask, scan=desk.scan, tolerance=0.02)
    assert len(read_project(desk.project)) == 1


def test_what_is_wrong_with_scan_and_log_is_said(desk: Desk) -> None:
    mask, log = desk.mask(ellipsoid().astype(np.uint8)), desk.log(desk.scan, clicks(MIDDLE))

    def refused(sentence: str, **given: Any) -> None:
        with pytest.raises(ValueError, match=sentence) as error:
            accept_saved(desk.project, mask, **given)
        assert "\n" not in str(error.value) and not desk.project.exists()

    refused("accept: expected --log LOG or --scan SCAN, got neither")
    refused("gone.json: expected the log of a session", log=desk.folder / "gone.json")
    refused("gone.nii: expected a readable image file, found no such file", log=log, scan=desk.folder / "gone.nii")
    content = log.read_text()
    for damage in (content[: len(content) // 2], content.replace('"action"', '"acted"', 1), "[]"):
        (desk.folder / "damaged.json").write_text(damage)
        refused("damaged.json: expected the log of a session, found something else", log=desk.folder / "damaged.json")
    refused("log: expected points of three numbers, found one of 2", log=desk.log(desk.scan, clicks([1.0, 2.0])))
    other = write_nifti(desk.folder / "other.nii.gz", intensities(ellipsoid(), seed=1))
    refused("log.json: expected the log of .*other.nii.gz, found that of another scan", log=log, scan=other)
    desk.scan.write_bytes(other.read_bytes())
    refused("log.json: expected the log of .*scan12.nii.gz, found that of another scan", log=log)
    desk.scan.unlink()
    refused(r"log.json: expected its scan at .*scan12.nii.gz, found none; --scan SCAN names the scan's own", log=log)


def test_a_scan_that_moved_with_its_log_is_found(desk: Desk) -> None:
    log = desk.log(desk.scan, clicks(MIDDLE))
    moved = desk.folder / "elsewhere"
    moved.mkdir()
    desk.scan.rename(moved / desk.scan.name)
    accept_saved(desk.project, desk.mask(ellipsoid().astype(np.uint8)), log=log.rename(moved / log.name))
    (case,) = read_project(desk.project)
    assert case.log is not None and case.log.files == (str(moved / desk.scan.name),)


@pytest.mark.parametrize("fails", ["save_mask", "save_scan"])
def test_a_full_disk_leaves_what_was_there(desk: Desk, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    log = desk.log(desk.scan, clicks(MIDDLE))
    accept_saved(desk.project, desk.mask(ellipsoid().astype(np.uint8)), log=log)
    before = {path: path.read_bytes() for path in desk.project.rglob("*") if path.is_file()}

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(accepting, fails, full)
    for given in ({"log": log}, {"scan": desk.scan}):  # the second would take the log away
        with pytest.raises(SessionError, match=r"the case cannot be put there .No space left on device"):
            accept_saved(desk.project, desk.mask(ellipsoid(radii=(4, 4, 3)).astype(np.uint8)), **given)
    assert {path: path.read_bytes() for path in desk.project.rglob("*") if path.is_file()} == before


# What a viewer sends has the size of voxels alone


def test_the_scans_own_file_says_where_what_a_viewer_sent_lies(desk: Desk) -> None:
    sent = write_nifti(desk.folder / "logs" / "20260101-1.nii", intensities(ellipsoid()).astype(np.float32), SENT)
    log, mask = desk.log(sent, clicks(MIDDLE), name="logs/20260101-1.json"), desk.mask(ellipsoid().astype(np.uint8))
    with pytest.raises(ValueError, match="mm apart .*; most viewers send no place of a scan: --scan SCAN, its own"):
        accept_saved(desk.project, mask, log=log)
    name = accept_saved(desk.project, mask, log=log, scan=desk.scan)
    (case,) = read_project(desk.project)
    assert name.startswith("scan12-") and case.log is not None
    assert case.log.files == (str(desk.scan),) and case.log.entries == read_log(log).entries
    assert case.log.image == open_image(desk.scan, None, 1, 1 << 20).identity  # it can be done again on this file
    np.testing.assert_allclose(nibabel.load(desk.project / "images" / f"{name}.nii.gz").affine, AFFINE)


def test_a_log_of_other_voxels_stays_that_of_what_was_sent(desk: Desk) -> None:
    """Where a viewer did not know how large voxels are, what the agent saw is not what it would see of the file."""
    sent = write_nifti(desk.folder / "20260101-1.nii", intensities(ellipsoid()), np.eye(4))
    log = desk.log(sent, clicks(MIDDLE))
    accept_saved(desk.project, desk.mask(ellipsoid().astype(np.uint8)), log=log, scan=desk.scan)
    (case,) = read_project(desk.project)
    assert case.log is not None and case.log.image == read_log(log).image


def test_what_a_viewer_sent_has_to_be_there_to_compare(desk: Desk) -> None:
    sent = write_nifti(desk.folder / "sent.nii", intensities(ellipsoid()), SENT)
    log, mask = desk.log(sent, clicks(MIDDLE)), desk.mask(ellipsoid().astype(np.uint8))
    write_nifti(sent, intensities(ellipsoid(), seed=1), SENT)
    with pytest.raises(SessionError, match="found that of another scan"):
        accept_saved(desk.project, mask, log=log, scan=desk.scan)
    sent.unlink()
    with pytest.raises(SessionError, match="expected its scan at .*sent.nii, found none"):
        accept_saved(desk.project, mask, log=log, scan=desk.scan)


# Whose log it is


def _loaded(mask: NDArray[np.bool_]) -> tuple[str, dict[str, Any]]:
    return "set_mask", boxed(mask).packed().details()


@pytest.mark.parametrize(
    "actions",
    [
        [clicks(MIDDLE), clicks(CORNER, inside=False)],
        [clicks(CORNER), UNDO, clicks(MIDDLE), STEP],
        [clicks(CORNER), WHOLE, clicks(MIDDLE)],  # another object was before it
        [clicks(CORNER), clicks(CORNER, inside=False)],  # the last word counts
        [clicks([12, 11, 13.4])],  # two voxels beside it
        [_loaded(ellipsoid(radii=(2, 2, 2))), clicks(CORNER, inside=False)],
        [("add_clicks", {"points": [CORNER], "new": 1})],  # on an edge that was wrong, wherever that is now
        [("set_box", {"low": [0, 0, 0], "high": [4, 4, 4]})],
    ],
)
def test_a_log_that_may_be_the_masks_own_is_taken(desk: Desk, actions: list[Any]) -> None:
    accept_saved(desk.project, desk.mask(ellipsoid().astype(np.uint8)), log=desk.log(desk.scan, *actions))
    (case,) = read_project(desk.project)
    assert case.log is not None


@pytest.mark.parametrize(
    ("actions", "sentence"),
    [
        ([clicks(CORNER)], "one of whose 1 points inside the target 0 lie inside the mask"),
        ([clicks(MIDDLE, inside=False), clicks(CORNER)], "whose 1 points inside"),
        ([clicks(MIDDLE, inside=False)], "1 points outside the target 0 lie outside the mask; another log may be"),
        ([clicks(MIDDLE), WHOLE, clicks(CORNER)], "whose 1 points inside"),
        ([clicks(CORNER), clicks(MIDDLE), UNDO], "whose 1 points inside"),
        ([clicks(CORNER), UNDO, ("redo", {"what": "add_clicks"})], "whose 1 points inside"),
        ([clicks(MIDDLE), WHOLE, _loaded(np.indices(SHAPE).max(0) < 3)], "one that goes on from a mask elsewhere"),
    ],
)
def test_the_log_of_another_object_is_refused(desk: Desk, actions: list[Any], sentence: str) -> None:
    mask = desk.mask(ellipsoid().astype(np.uint8))
    with pytest.raises(SessionError, match=rf"log.json: expected the log of this mask, found .*{sentence}"):
        accept_saved(desk.project, mask, log=desk.log(desk.scan, *actions))
    assert not desk.project.exists()
