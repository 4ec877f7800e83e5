"""Every published layout is recognised, and what does not belong is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mecca_env.data.base import DataError
from mecca_env.data.layouts import LAYOUTS, discover
from tests.support.volumes import (
    write_atria2018,
    write_brats2015,
    write_brats2020,
    write_brats2023,
    write_decathlon,
    write_mmwhs,
    write_nnunet,
    write_npz,
    write_pair,
    write_pairs,
)

WRITERS = {
    "atria2018": (write_atria2018, ["08FSU8RRYV", "0RZDK210BS"]),
    "brats2023": (write_brats2023, ["BraTS-GLI-00000-000", "BraTS-GLI-00002-000"]),
    "nnunet": (write_nnunet, ["a", "b", "c"]),
    "brats2020": (write_brats2020, ["BraTS20_Training_001", "BraTS20_Training_002"]),
    "brats2015": (write_brats2015, ["HGG_pat1", "LGG_pat1"]),
    "mmwhs": (write_mmwhs, ["ct_train_1001", "ct_train_1002", "mr_train_1001", "mr_train_1002"]),
    "decathlon": (write_decathlon, ["a", "b", "c"]),
    "pairs": (write_pairs, ["a", "b", "c"]),
    "npz": (write_npz, ["a", "b", "c"]),
}


def test_every_layout_has_a_writer() -> None:
    assert set(WRITERS) == set(LAYOUTS)


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("asked", ["auto", "own"])
def test_layout_is_found(tmp_path: Path, layout: str, asked: str) -> None:
    write, names = WRITERS[layout]
    write(tmp_path)
    found, inventory = discover(tmp_path, layout if asked == "own" else "auto")
    assert found == layout
    assert [case.name for case in inventory.cases] == names
    assert not inventory.faults
    assert all(path.is_file() for case in inventory.cases for path in (*case.images, case.label))


@pytest.mark.parametrize("layout", WRITERS)
def test_macos_and_hidden_files_are_ignored(tmp_path: Path, layout: str) -> None:
    write, names = WRITERS[layout]
    write(tmp_path)
    for path in list(tmp_path.rglob("*")):
        path.with_name("._" + path.name).write_bytes(b"\0\5\x16\7")
    (tmp_path / ".DS_Store").write_bytes(b"Bud1")
    found, inventory = discover(tmp_path)
    assert (found, [case.name for case in inventory.cases], inventory.faults) == (layout, names, [])


def test_brats2020_uncompressed_and_below_another_folder(tmp_path: Path) -> None:
    write_brats2020(tmp_path / "MICCAI_BraTS2020_TrainingData", suffix=".nii")
    _, inventory = discover(tmp_path)
    assert len(inventory.cases) == 2 and not inventory.faults


def test_brats2020_modalities_in_the_order_asked_for(tmp_path: Path) -> None:
    _, inventory = discover(write_brats2020(tmp_path), modalities=("t1ce", "flair"))
    assert inventory.modalities == 2
    assert [p.name for p in inventory.cases[0].images] == [
        "BraTS20_Training_001_t1ce.nii.gz",
        "BraTS20_Training_001_flair.nii.gz",
    ]


def test_brats2020_case_355_has_its_label_under_another_name(tmp_path: Path) -> None:
    write_brats2020(tmp_path, numbers=(355,), suffix=".nii")
    folder = tmp_path / "BraTS20_Training_355"
    (folder / "BraTS20_Training_355_seg.nii").rename(folder / "W39_1998.09.19_Segm.nii")
    _, inventory = discover(tmp_path)
    assert inventory.cases[0].label.name == "W39_1998.09.19_Segm.nii" and not inventory.faults


def test_brats2020_two_candidates_for_a_label_are_a_fault(tmp_path: Path) -> None:
    write_brats2020(tmp_path, numbers=(1,))
    folder = tmp_path / "BraTS20_Training_001"
    (folder / "BraTS20_Training_001_seg.nii.gz").rename(folder / "old_seg.nii.gz")
    (folder / "new_seg.nii.gz").write_bytes((folder / "old_seg.nii.gz").read_bytes())
    _, inventory = discover(tmp_path)
    assert not inventory.cases
    assert "BraTS20_Training_001_seg.nii.gz: image without label" in inventory.faults[0]


@pytest.mark.parametrize(
    ("part", "fault"), [("flair", "_flair.nii.gz: missing image"), ("seg", "_seg.nii.gz: image without label")]
)
def test_brats2020_missing_file_is_a_fault(tmp_path: Path, part: str, fault: str) -> None:
    write_brats2020(tmp_path)
    (tmp_path / "BraTS20_Training_001" / f"BraTS20_Training_001_{part}.nii.gz").unlink()
    _, inventory = discover(tmp_path)
    assert [c.name for c in inventory.cases] == ["BraTS20_Training_002"]
    assert len(inventory.faults) == 1 and fault in inventory.faults[0]


def test_brats_scan_is_not_its_own_label(tmp_path: Path) -> None:
    write_pair(tmp_path / "Seg01" / "Seg01_flair.nii.gz", tmp_path / "Seg02" / "Seg02_seg.nii.gz")
    write_pair(tmp_path / "Seg02" / "Seg02_flair.nii.gz", tmp_path / "Seg02" / "Seg02_seg.nii.gz")
    _, inventory = discover(tmp_path)
    assert [case.name for case in inventory.cases] == ["Seg02"]
    assert len(inventory.faults) == 1 and "Seg01_seg.nii.gz: image without label" in inventory.faults[0]


TCIA = {f"HGG/brats_tcia_pat230_{day}": "HGG_brats_tcia_pat230" for day in ("0001", "0710")}
GLI = {f"BraTS-GLI-00005-{point}": "BraTS-GLI-00005" for point in ("100", "101")}


@pytest.mark.parametrize(
    ("write", "patients"),
    [
        (write_brats2015, {**TCIA, "HGG/brats_2013_pat0001_1": "HGG_brats_2013_pat0001_1"}),
        (write_brats2023, {**GLI, "pat-001": "pat-001"}),
    ],
)
def test_brats_time_points_are_of_one_patient(tmp_path: Path, write: Any, patients: dict[str, str]) -> None:
    write(tmp_path, tuple(patients))
    cases = discover(tmp_path)[1].cases
    assert {case.name: case.patient for case in cases} == {n.replace("/", "_"): p for n, p in patients.items()}


@pytest.mark.parametrize("label", ["VSD.Brain_3more", "VSD.Brain"])
def test_brats2015_labels_and_modalities(tmp_path: Path, label: str) -> None:
    write_brats2015(tmp_path, cases=("pat1",), label=label)
    _, inventory = discover(tmp_path, modalities=("flair", "t1", "t1ce"))
    (case,) = inventory.cases
    assert [p.name.split(".")[4] for p in case.images] == ["MR_Flair", "MR_T1", "MR_T1c"]
    assert case.label.name.startswith(f"{label}.XX.O.OT.")


def test_brats2015_missing_label_is_a_fault(tmp_path: Path) -> None:
    write_brats2015(tmp_path)
    next((tmp_path / "HGG").rglob("*.OT.*.mha")).unlink()
    _, inventory = discover(tmp_path)
    assert [c.name for c in inventory.cases] == ["LGG_pat1"]
    assert "HGG/pat1" in inventory.faults[0] and "image without label" in inventory.faults[0]


def test_mmwhs_flat_and_its_test_images_are_no_faults(tmp_path: Path) -> None:
    write_mmwhs(tmp_path, numbers=(1001,), subfolders=False)
    (tmp_path / "mr_test_2001_image.nii.gz").write_bytes(b"")
    (tmp_path / "ct_train_1001_image.nii.gz").unlink()
    _, inventory = discover(tmp_path)
    assert [c.name for c in inventory.cases] == ["mr_train_1001"]
    assert len(inventory.faults) == 1
    assert "ct_train_1001_label.nii.gz: label without image" in inventory.faults[0]


def test_decathlon_counts_channels_and_lists_every_fault(tmp_path: Path) -> None:
    write_decathlon(tmp_path, names=("a", "b", "c"), channels=2)
    (tmp_path / "labelsTr" / "a.nii.gz").unlink()
    (tmp_path / "imagesTr" / "b.nii.gz").unlink()
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / folder / f"only_in_{folder}.nii.gz").write_bytes(b"")
    _, inventory = discover(tmp_path)
    assert inventory.modalities == 2
    assert [c.name for c in inventory.cases] == ["c"]
    text = "\n".join(inventory.faults)
    for fault in (
        "labelsTr/a.nii.gz: listed in",
        "imagesTr/b.nii.gz: listed in",
        "only_in_imagesTr.nii.gz: image without label",
        "only_in_labelsTr.nii.gz: label without image",
    ):
        assert fault in text
    assert len(inventory.faults) == 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected JSON"),
        ("[]", '"modality"'),
        ('{"modality": {"0": "CT"}}', '"training"'),
        ('{"modality": {"0": "CT"}, "training": ["a.nii.gz"]}', '"image" and "label"'),
    ],
)
def test_decathlon_with_a_broken_list(tmp_path: Path, content: str, message: str) -> None:
    write_decathlon(tmp_path)
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        discover(tmp_path)
    assert str(tmp_path / "dataset.json") in str(caught.value)


def test_decathlon_without_its_list(tmp_path: Path) -> None:
    write_decathlon(tmp_path)
    (tmp_path / "dataset.json").unlink()
    with pytest.raises(DataError, match=r"dataset\.json.*no such file"):
        discover(tmp_path)


def test_decathlon_listing_a_case_twice_is_a_fault(tmp_path: Path) -> None:
    write_decathlon(tmp_path, names=("a",))
    content = json.loads((tmp_path / "dataset.json").read_text())
    content["training"] *= 2
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    inventory = discover(tmp_path)[1]
    assert "'a' twice" in inventory.faults[0] and not inventory.cases


@pytest.mark.parametrize("layout", ["pairs", "nnunet", "mmwhs", "npz"])
def test_a_case_with_two_files_of_one_name_is_none(tmp_path: Path, layout: str) -> None:
    write, names = WRITERS[layout]
    write(tmp_path)
    label = next(case.label for case in discover(tmp_path)[1].cases if case.name == names[1])
    other = tmp_path / "other" / label.name if layout in ("mmwhs", "npz") else label.with_name(f"{names[1]}.nii")
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(b"another")
    _, inventory = discover(tmp_path)
    assert [case.name for case in inventory.cases] == [names[0], *names[2:]]
    assert len(inventory.faults) == 1 and "expected one file of this name, found also" in inventory.faults[0]


def test_two_cases_of_one_name_are_none(tmp_path: Path) -> None:
    for site in "AB":
        write_brats2020(tmp_path / site, numbers=(1,))
    write_brats2020(tmp_path / "A", numbers=(2,))
    _, inventory = discover(tmp_path)
    assert [case.name for case in inventory.cases] == ["BraTS20_Training_002"]
    assert len(inventory.faults) == 1 and "found 'BraTS20_Training_001' twice" in inventory.faults[0]


def test_pairs_match_by_stem_and_accept_nothing_else(tmp_path: Path) -> None:
    write_pairs(tmp_path, names=("a", "b"))
    (tmp_path / "labels" / "a.nii.gz").rename(tmp_path / "labels" / "a.nii")
    (tmp_path / "labels" / "b.nii.gz").unlink()
    (tmp_path / "labels" / "d.mha").write_bytes(b"")
    (tmp_path / "images" / "e.mhd").write_bytes(b"")
    _, inventory = discover(tmp_path)
    assert [c.name for c in inventory.cases] == ["a"]
    text = "\n".join(inventory.faults)
    for fault in ("b.nii.gz: image without label", "d.mha: label without image", "e.mhd: expected a .nii"):
        assert fault in text


def test_pairs_without_labels_folder(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match="found no labels/"):
        discover(tmp_path)


def test_root_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: expected the folder of a data set, found nothing"):
        discover(tmp_path / "nowhere")


def test_root_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "scan.nii.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"scan\.nii\.gz: expected the folder of a data set, found a file"):
        discover(tmp_path / "scan.nii.gz")


def test_root_empty_but_for_hidden_files(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").write_bytes(b"")
    with pytest.raises(DataError, match="found an empty folder") as caught:
        discover(tmp_path)
    assert str(tmp_path) in str(caught.value) and "decathlon" in str(caught.value)


def test_root_not_recognised_lists_layouts_and_content(tmp_path: Path) -> None:
    for name in "abcdefg":
        (tmp_path / f"{name}.txt").write_text("")
    with pytest.raises(DataError, match="no known layout") as caught:
        discover(tmp_path)
    assert all(layout in str(caught.value) for layout in LAYOUTS)
    assert "a.txt, b.txt" in str(caught.value) and "and 2 more" in str(caught.value)


def test_folders_without_a_case(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    with pytest.raises(DataError, match="expected cases in the layout pairs"):
        discover(tmp_path)


def test_layout_named_but_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no known layout; expected mmwhs"):
        discover(write_pairs(tmp_path), "mmwhs")


def test_unknown_layout_and_modality(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="layout: expected 'auto' or one of nnunet.*found 'bids'"):
        discover(tmp_path, "bids")
    for wrong in (("flair", "pet"), (), ("flair", "flair")):
        with pytest.raises(DataError, match="modalities: expected distinct names"):
            discover(tmp_path, modalities=wrong)


def test_a_link_in_a_circle_comes_to_an_end(tmp_path: Path) -> None:
    write_brats2020(tmp_path, numbers=(1,))
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    _, inventory = discover(tmp_path)
    assert [c.name for c in inventory.cases] == ["BraTS20_Training_001"] and not inventory.faults
