"""Folders of the challenge's `.npz` files: found, read, checked, and what is wrong with them said once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mecca_env.data.base import DataError
from mecca_env.data.checking import find_faults, look_at
from mecca_env.data.files import FileSource
from mecca_env.data.layouts import discover
from mecca_env.data.saving import save_classes
from tests.support.volumes import ORGANS, ellipsoid, intensities, organs, write_nifti, write_npz, write_pairs


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MECCA_CACHE", str(tmp_path_factory.mktemp("cache")))


def test_cases_are_those_of_the_arrays(tmp_path: Path) -> None:
    source = FileSource("d", write_npz(tmp_path))
    case = source.case(0)
    assert (source.layout, source.modalities, len(source), case.name) == ("npz", 1, 3, "a")
    cut = tuple(slice(o, o + n) for o, n in zip(case.origin, case.label.shape, strict=True))
    assert np.array_equal(case.label.numpy(), ellipsoid()[cut])
    assert np.array_equal(case.image[0].numpy(), intensities(ellipsoid(), 0)[cut].astype(np.uint8))
    assert np.array_equal(np.abs(np.diag(case.affine)), (1.5, 1.25, 3.0, 1.0))


def test_each_class_is_a_case(tmp_path: Path) -> None:
    source = FileSource("d", write_npz(tmp_path, "ab", organs()), labels="each")
    assert [source.case_name(i) for i in range(6)] == [f"{scan}-label{value}" for scan in "ab" for value in (1, 2, 4)]
    low, high = source.case(2).box
    assert tuple(slice(*ends) for ends in zip(low, high, strict=True)) == ORGANS[4]


def test_a_check_looks_at_every_file(tmp_path: Path) -> None:
    found = look_at(write_npz(tmp_path), labels="each")
    assert (found.layout, found.cases, found.faults) == ("npz", 3, [])
    with np.load(tmp_path / "b.npz") as content:
        arrays = dict(content)
    np.savez(tmp_path / "b.npz", **{**arrays, "gts": arrays["gts"] * 0})
    (tmp_path / "a.npz").write_bytes(b"damaged")
    (tmp_path / "c.npz").unlink()
    np.savez(tmp_path / "c.npz", imgs=arrays["imgs"], spacing=arrays["spacing"])
    faults = find_faults(tmp_path)
    assert [fault.partition(": ")[0] for fault in faults] == [str(tmp_path / f"{name}.npz") for name in "abc"]
    assert "a readable .npz file" in faults[0] and "empty label" in faults[1] and "an array gts" in faults[2]


def test_folders_below_and_files_beside(tmp_path: Path) -> None:
    write_npz(tmp_path / "CT" / "Abdomen", ["x"])
    write_npz(tmp_path / "MR" / "Heart", ["y"])
    (tmp_path / "classes.json").write_text("{}")
    (tmp_path / "MR" / "picture.png").write_bytes(b"")
    layout, inventory = discover(tmp_path)
    assert (layout, [case.name for case in inventory.cases]) == ("npz", ["x", "y"])
    (fault,), (note,) = inventory.faults, inventory.notes
    assert fault.startswith(f"{tmp_path / 'MR' / 'picture.png'}: expected a .npz file, found another file")
    assert note == f"{tmp_path}: left aside, no images: classes.json"
    write_npz(tmp_path / "MR" / "Heart", ["x"])
    assert any("x.npz: expected one file of this name, found also" in fault for fault in discover(tmp_path)[1].faults)


def test_labels_may_lie_apart_and_without_a_spacing(tmp_path: Path) -> None:
    write_npz(tmp_path / "images")
    (tmp_path / "labels").mkdir()
    for name in "abc":
        np.savez(tmp_path / "labels" / f"{name}.npz", gts=organs().T)
    source = FileSource("d", tmp_path, labels=4)
    assert (source.layout, len(source)) == ("npz", 3)
    assert int(source.case(1).label.sum()) == np.count_nonzero(organs() == 4)
    assert find_faults(tmp_path) == []
    (tmp_path / "labels" / "b.npz").unlink()
    (tmp_path / "images" / "c.npz").unlink()
    faults = find_faults(tmp_path)
    assert len(faults) == 2
    assert "b.npz: image without label" in faults[0] and "c.npz: label without image" in faults[1]


def test_a_label_apart_is_not_blamed_for_its_scan(tmp_path: Path) -> None:
    write_npz(tmp_path / "images", ["a", "b"])
    (tmp_path / "labels").mkdir()
    for name in "ab":
        np.savez(tmp_path / "labels" / f"{name}.npz", gts=organs().T)
    (tmp_path / "images" / "a.npz").write_bytes(b"damaged")
    (fault,) = find_faults(tmp_path)
    assert fault.startswith(str(tmp_path / "images" / "a.npz"))


def test_a_prediction_can_stand_in_for_the_label(tmp_path: Path) -> None:
    write_npz(tmp_path / "images", ["a", "b"])
    (tmp_path / "labels").mkdir()
    for name in "ab":
        save_classes(organs(), tmp_path / "labels" / f"{name}.npz")
    source = FileSource("d", tmp_path, labels="each")
    assert len(source) == 6


def test_other_layouts_are_found_in_spite_of_archives_beside_them(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    write_npz(tmp_path)
    assert discover(tmp_path)[0] == "pairs"
    write_npz(tmp_path / "images", ["softmax"])
    layout, inventory = discover(tmp_path)
    assert layout == "pairs" and len(inventory.faults) == 1 and "softmax.npz" in inventory.faults[0]


def test_a_folder_of_other_images_is_none_of_archives(tmp_path: Path) -> None:
    write_npz(tmp_path, ["a"])
    for name in "bc":
        write_nifti(tmp_path / f"{name}.nii.gz", organs())
    with pytest.raises(DataError, match="no known layout; expected nnunet"):
        discover(tmp_path)
    write_npz(tmp_path, ["d", "e"])
    layout, inventory = discover(tmp_path)
    assert layout == "npz" and len(inventory.faults) == 2
    assert "b.nii.gz: expected a .npz file, found another file" in inventory.faults[0]
