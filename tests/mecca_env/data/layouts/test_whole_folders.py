"""What a folder or a list names is a case or a fault; nothing of it vanishes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mecca_env.data.base import DataError
from mecca_env.data.checking import find_faults
from mecca_env.data.files import FileSource
from mecca_env.data.layouts import discover
from tests.support.volumes import (
    write_atria2018,
    write_brats2015,
    write_brats2020,
    write_brats2023,
    write_decathlon,
    write_mmwhs,
    write_nnunet,
    write_pairs,
)


def names(root: Path) -> list[str]:
    return [case.name for case in discover(root)[1].cases]


@pytest.mark.parametrize(
    ("write", "one"),
    [
        (write_pairs, "*/a.nii.gz"),
        (write_nnunet, "*/a*.nii.gz"),
        (write_decathlon, "*/a.nii.gz"),
        (write_mmwhs, "*/mr_train_1001_*.nii.gz"),
        (write_brats2020, "BraTS20_Training_001/*.nii.gz"),
        (write_brats2023, "BraTS-GLI-00000-000/*.nii.gz"),
        (write_atria2018, "08FSU8RRYV/*.nrrd"),
    ],
)
@pytest.mark.parametrize("kind", ["link", "folder"])
def test_files_that_are_none_are_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], Path], one: str, kind: str
) -> None:
    monkeypatch.setenv("MECCA_CACHE", str(tmp_path / "cache"))
    root = write(tmp_path / "data")
    gone = sorted(root.glob(one))
    assert len(gone) >= 2
    for path in gone:
        path.unlink()
        path.symlink_to("/nowhere/at/all") if kind == "link" else path.mkdir()
    faults = "\n".join(find_faults(root))
    read = [path for path in gone if "_t1" not in path.name and "_t2" not in path.name and "-t1" not in path.name]
    for path in (path for path in read if "t2w" not in path.name):
        assert str(path) in faults
    with pytest.raises(DataError, match=str(gone[0].parent)):
        FileSource("d", root)


@pytest.mark.parametrize(
    ("write", "case"),
    [
        (write_brats2015, "HGG/pat2"),
        (write_brats2020, "BraTS20_Training_003"),
        (write_brats2023, "BraTS-GLI-00005-000"),
    ],
)
@pytest.mark.parametrize("kind", ["link", "empty", "other"])
def test_a_folder_that_is_called_like_a_case_is_one_or_a_fault(
    tmp_path: Path, write: Callable[[Path], Path], case: str, kind: str
) -> None:
    root = write(tmp_path)
    count = len(names(root))
    if kind == "link":
        (root / case).symlink_to("/nowhere/at/all")
    else:
        (root / case).mkdir()
    if kind == "other":
        (root / case / "scan.nii.gz").write_bytes(b"")
    _, inventory = discover(root)
    found = {"link": "found a link that leads nowhere", "empty": "found nothing", "other": "found scan.nii.gz"}
    (fault,) = inventory.faults
    assert fault.startswith(f"{root / case}: expected") and fault.endswith(found[kind])
    assert len(inventory.cases) == count


def test_folders_beside_cases_that_hold_no_images_are_left_alone(tmp_path: Path) -> None:
    root = write_brats2020(tmp_path)
    (root / "docs").mkdir()
    (root / "docs" / "survival_info.csv").write_text("")
    (root / "BraTS20_Training_001" / "radiomics").mkdir()
    shutil.copy(
        root / "BraTS20_Training_001" / "BraTS20_Training_001_t1.nii.gz", root / "BraTS20_Training_001/radiomics"
    )
    assert len(names(root)) == 2 and discover(root)[1].faults == []


def test_images_without_a_case_are_a_fault_wherever_they_lie(tmp_path: Path) -> None:
    root = write_brats2020(tmp_path)
    (root / "more").mkdir()
    (root / "more" / "BraTS20_Training_009_flair.nii.gz").write_bytes(b"")
    assert discover(root)[1].faults == [
        f"{root / 'more'}: expected the files of a case, found BraTS20_Training_009_flair.nii.gz"
    ]


@pytest.mark.parametrize(("write", "folder"), [(write_pairs, "images"), (write_nnunet, "labelsTr")])
def test_images_in_a_folder_below_are_a_fault(tmp_path: Path, write: Callable[[Path], Path], folder: str) -> None:
    root = write(tmp_path)
    below = root / folder / "second batch"
    below.mkdir()
    (below / "notes.txt").write_text("")
    assert discover(root)[1].faults == []
    (below / "d.nii.gz").write_bytes(b"")
    assert discover(root)[1].faults == [
        f"{below}: expected all images in {root / folder} itself, found some in this folder"
    ]


@pytest.mark.parametrize("name", ["mr_train_1003.nii.gz", "ct_train_7_mask.nii", "mr_train_x_image.nii.gz"])
def test_odd_names_of_mmwhs_are_faults(tmp_path: Path, name: str) -> None:
    root = write_mmwhs(tmp_path)
    (root / "mr_train" / name).write_bytes(b"")
    (root / "lost").symlink_to("/nowhere/at/all")
    assert [fault.partition(": expected ")[0] for fault in discover(root)[1].faults] == [
        str(root / "mr_train" / name),
        str(root / "lost"),
    ]


def test_mmwhs_in_other_formats(tmp_path: Path) -> None:
    root = write_mmwhs(tmp_path)
    for kind in ("image", "label"):
        (root / "mr_train" / f"mr_train_1005_{kind}.mha").write_bytes(b"")
    assert "mr_train_1005" in names(root)


@pytest.mark.parametrize("folder", ["images", "imagesTr"])
def test_notes_beside_images_stop_nothing(tmp_path: Path, folder: str) -> None:
    root = (write_pairs if folder == "images" else write_nnunet)(tmp_path)
    aside = ["a.json", "Thumbs.db", "desktop.ini", "README", "participants.TSV", "LICENSE"]
    for name in (*aside, ".DS_Store", "._a.nii.gz"):
        (root / folder / name).write_bytes(b"")
    _, inventory = discover(root)
    assert [case.name for case in inventory.cases] == ["a", "b", "c"] and inventory.faults == []
    (note,) = inventory.notes
    assert note.startswith(f"{root / folder}: left aside, no images: ") and note.endswith(" and 1 more")
    assert find_faults(root) == []


@pytest.mark.parametrize("name", ["d.dcm", "d.mhd", "d.nii.bz2", "IM00001", "d.png"])
def test_images_of_other_formats_are_faults(tmp_path: Path, name: str) -> None:
    root = write_pairs(tmp_path)
    (root / "images" / name).write_bytes(b"")
    (fault,) = discover(root)[1].faults
    assert fault.startswith(f"{root / 'images' / name}: expected a .nii.gz, .nii, ")
    assert fault.endswith("file, found another file; convert it, or move it elsewhere")


@pytest.mark.parametrize("where", ["both", "labels", "images"])
def test_a_name_that_is_not_utf8_is_a_fault_that_can_be_printed(tmp_path: Path, where: str) -> None:
    root = write_pairs(tmp_path / "data")
    folders = ("images", "labels") if where == "both" else (where,)
    for folder in folders:
        shutil.copy(root / folder / "a.nii.gz", os.fsdecode(os.fsencode(root / folder) + b"/caf\xe9.nii.gz"))
    assert names(root) == ["a", "b", "c"]
    faults = find_faults(root)
    assert len(faults) == len(folders)
    for fault, folder in zip(faults, folders, strict=True):
        assert fault.startswith(f"{root / folder}/caf\\udce9.nii.gz: ")
        fault.encode("utf-8")
    if where == "both":
        assert all(fault.endswith("expected a name in UTF-8, found other bytes; rename it") for fault in faults)


def test_a_folder_above_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    write_pairs(root)
    (fault,) = find_faults(root)
    assert fault == f"{tmp_path}/\\udcff: expected a name in UTF-8, found other bytes; rename it"
    case: Any = Path(os.fsdecode(os.fsencode(tmp_path) + b"/brats/BraTS20_Training_00\xe9"))
    write_brats2020(tmp_path / "brats").joinpath("BraTS20_Training_001").rename(case)
    assert len(find_faults(tmp_path / "brats")) == 1
