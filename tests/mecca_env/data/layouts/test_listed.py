"""The Decathlon's lists, and the folders of nnU-Net."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mecca_env.data.base import DataError
from mecca_env.data.checking import find_faults
from mecca_env.data.files import FileSource
from mecca_env.data.layouts import discover
from tests.support.volumes import ellipsoid, write_decathlon, write_nifti, write_nnunet


def change(root: Path, **content: Any) -> None:
    """Change entries of a list; what is None goes."""
    path = root / "dataset.json"
    changed = {**json.loads(path.read_text()), **content}
    path.write_text(json.dumps({key: value for key, value in changed.items() if value is not None}))


def names(root: Path) -> list[str]:
    return [case.name for case in discover(root)[1].cases]


def test_a_list_that_windows_has_written(tmp_path: Path) -> None:
    root = write_decathlon(tmp_path)
    windows = [{"image": rf".\imagesTr\{n}.nii.gz", "label": rf"labelsTr\{n}.nii.gz"} for n in "abc"]
    change(root, training=windows)
    assert names(root) == ["a", "b", "c"] and find_faults(root) == []
    change(root, training=[*windows, {"image": r".\imagesTr\d.nii.gz", "label": r".\labelsTr\d.nii.gz"}])
    assert names(root) == ["a", "b", "c"]
    faults = discover(root)[1].faults
    assert [fault.partition(":")[0] for fault in faults] == [f"{root}/{k}/d.nii.gz" for k in ("imagesTr", "labelsTr")]


def test_hidden_names_on_a_list_are_cases_but_those_of_macos(tmp_path: Path) -> None:
    root = write_decathlon(tmp_path, names=("a", ".b"))
    entries = [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in ("a", ".b", "._a")]
    change(root, training=entries)
    assert names(root) == [".b", "a"] and discover(root)[1].faults == []


def test_pairs_that_a_list_leaves_out_are_noted(tmp_path: Path) -> None:
    root = write_decathlon(tmp_path)
    change(root, training=[{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}])
    _, inventory = discover(root)
    assert [case.name for case in inventory.cases] == ["a"] and inventory.faults == []
    assert inventory.notes == [f"{root / 'imagesTr'}: not listed in dataset.json, so left aside: b.nii.gz, c.nii.gz"]


@pytest.mark.parametrize("version", ["second", "first", "no list"])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_channels_are_files_of_their_own(tmp_path: Path, suffix: str, version: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("MECCA_CACHE", str(tmp_path / "cache"))
    root = write_nnunet(tmp_path / "Dataset009_Spleen", channels=2)
    if suffix != ".nii.gz":
        _converted(root, suffix)
    if version == "first":
        change(root, channel_names=None, file_ending=None, modality={"0": "T2", "1": "ADC"})
    elif version == "no list":
        (root / "dataset.json").unlink()
    layout, inventory = discover(root)
    assert layout == "nnunet" and inventory.modalities == 2 and inventory.faults == inventory.notes == []
    assert [path.name for path in inventory.cases[1].images] == [f"b_0000{suffix}", f"b_0001{suffix}"]
    source = FileSource("d", root, names=["b"])
    assert len(source.case(0).image) == 2 and source.case(0).label.sum() == ellipsoid().sum()


def _converted(root: Path, suffix: str) -> None:
    sitk = pytest.importorskip("SimpleITK")
    for path in list(root.glob("*/*.nii.gz")):
        sitk.WriteImage(sitk.ReadImage(str(path)), str(path).replace(".nii.gz", suffix))
        path.unlink()
    change(root, file_ending=suffix)


def test_what_is_missing_or_left_over_is_a_fault(tmp_path: Path) -> None:
    root = write_nnunet(tmp_path, names="abcd", channels=2)
    (root / "imagesTr" / "a_0001.nii.gz").unlink()
    (root / "labelsTr" / "b.nii.gz").unlink()
    for channel in "01":
        (root / "imagesTr" / f"c_000{channel}.nii.gz").unlink()
    for extra in ("d_0002", "e"):
        (root / "imagesTr" / f"{extra}.nii.gz").write_bytes(b"")
    _, inventory = discover(root)
    assert [case.name for case in inventory.cases] == ["d"]
    text = "\n".join(inventory.faults)
    for fault in (
        "imagesTr/a_0001.nii.gz: missing image",
        "imagesTr/b_0000.nii.gz: image without label",
        "labelsTr/c.nii.gz: label without image",
        "imagesTr/d_0002.nii.gz: expected channels 0 to 1, found 2",
        "imagesTr/e.nii.gz: expected a name that ends in the channel, e_0000, found e",
    ):
        assert fault in text
    assert len(inventory.faults) == 5


def test_the_list_says_how_many_cases_there_are(tmp_path: Path) -> None:
    root = write_nnunet(tmp_path, numTraining=4)
    assert discover(root)[1].faults == [
        f'{root / "dataset.json"}: expected as many cases as "numTraining" says, 4, found 3'
    ]
    change(root, numTraining=None)
    assert discover(root)[1].faults == []


def test_cases_of_the_first_versions_list_are_there(tmp_path: Path) -> None:
    root = write_nnunet(tmp_path)
    listed = [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in "abcz"]
    change(root, channel_names=None, file_ending=None, numTraining=None, modality={"0": "T2"}, training=listed)
    assert names(root) == ["a", "b", "c"]
    assert discover(root)[1].faults == [
        f"{root / 'labelsTr' / 'z.nii.gz'}: listed in {root / 'dataset.json'}, expected images and a label, found none"
    ]


def test_files_that_are_listed_one_by_one(tmp_path: Path) -> None:
    root = write_nnunet(tmp_path / "d", channels=2)
    images = ["imagesTr/a_0000.nii.gz", r"imagesTr\a_0001.nii.gz"]
    change(
        root,
        dataset={
            "one": {"images": images, "label": "labelsTr/a.nii.gz"},
            "two": {"images": images, "label": "labelsTr/none.nii.gz"},
        },
    )
    _, inventory = discover(root)
    (case,) = inventory.cases
    assert case.name == "one" and [p.name for p in case.images] == ["a_0000.nii.gz", "a_0001.nii.gz"]
    assert len(inventory.faults) == 1 and "labelsTr/none.nii.gz: listed in" in inventory.faults[0]
    for entry in ({"images": images[0], "label": None}, {"images": [], "label": "labelsTr/a.nii.gz"}):
        change(root, dataset={"one": entry})
        with pytest.raises(DataError, match='entries of "dataset" with "images" and "label"'):
            discover(root)


def test_what_is_no_list_of_cases_is_refused_in_a_sentence(tmp_path: Path) -> None:
    root = write_nnunet(tmp_path, training=5)
    with pytest.raises(DataError, match=r'dataset\.json: expected a list "training", found 5'):
        discover(root)


def test_an_ignored_label_is_no_foreground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MECCA_CACHE", str(tmp_path / "cache"))
    labels = {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3}
    root = write_nnunet(tmp_path / "data", names=("a",), labels=labels)
    values = ellipsoid().astype(np.uint8)
    values[:3] = 3
    write_nifti(root / "labelsTr" / "a.nii.gz", values)
    assert discover(root)[1].labels == (1, 2)
    source = FileSource("d", root)
    assert source.labels == (1, 2) and source.case(0).label.sum() == ellipsoid().sum()
    assert FileSource("d", root, labels=3).case(0).label.sum() == (values == 3).sum()
    assert find_faults(root) == []
    change(root, labels={"background": 0, "whole": 1, "ignore": 2})
    write_nifti(root / "labelsTr" / "a.nii.gz", (values == 3).astype(np.uint8) * 2)
    assert find_faults(root) == [f"{root / 'labelsTr/a.nii.gz'}: empty label; expected values [1], found 0, 2"]


@pytest.mark.parametrize("ending", [".png", ".tif", 7])
def test_pictures_are_refused_in_a_sentence(tmp_path: Path, ending: Any) -> None:
    root = write_nnunet(tmp_path, file_ending=ending)
    with pytest.raises(DataError, match='"file_ending" of a .nii.gz, .nii, .* file, found .*convert'):
        discover(root)
