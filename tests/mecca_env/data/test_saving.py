"""Segmentations and label maps, written with their values; where masks lie is in `world/test_nifti.py` and others."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from mecca_env.data.base import DataError
from mecca_env.data.image_files import read_volume
from mecca_env.data.saving import save_classes, save_mask, save_scan
from mecca_env.data.world.nifti import read_header
from tests.support.volumes import AFFINE, SHAPE, intensities, organs, write_nifti


@pytest.mark.parametrize(("factor", "kind"), [(1, np.uint8), (63, np.uint8), (64, np.uint16), (16383, np.uint16)])
def test_what_is_written_is_read_again(tmp_path: Path, factor: int, kind: type) -> None:
    path, classes = tmp_path / "case.npz", organs().astype(np.int64) * factor
    save_classes(classes, path)
    with np.load(path, allow_pickle=False) as content:
        assert content.files == ["segs"]
        segs = content["segs"]
    assert segs.dtype == kind and segs.flags.c_contiguous
    assert np.array_equal(segs, classes.T)  # (D, H, W)
    assert np.array_equal(read_volume(path, label=True, affine=np.eye(4)).data, classes)
    assert [p.name for p in tmp_path.iterdir()] == ["case.npz"]


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_a_scan_keeps_its_type_and_its_place(kind: type, tmp_path: Path) -> None:
    values = intensities(organs()).astype(kind)
    values[0, 0, 0] = 255
    where = write_nifti(tmp_path / "other.nii", organs(), AFFINE)
    for header in (None, read_header(where)):
        save_scan(values, AFFINE, tmp_path / "scan.nii.gz", header)
        found = nibabel.load(tmp_path / "scan.nii.gz")
        assert found.get_data_dtype() == kind and np.array_equal(found.dataobj, values)
        np.testing.assert_allclose(found.affine, AFFINE)


@pytest.mark.parametrize(("most", "kind"), [(255, np.uint8), (420, np.uint16)])
def test_a_label_map_keeps_its_values(tmp_path: Path, most: int, kind: type) -> None:
    values = (organs() > 0) * most
    save_mask(values, AFFINE, tmp_path / "labels.nii.gz")
    found = nibabel.load(tmp_path / "labels.nii.gz")
    assert found.get_data_dtype() == kind and np.array_equal(found.dataobj, values)
    with pytest.raises(DataError, match=r"labels\.nii\.gz: expected classes from 0 to 65535 to write, found -1 to"):
        save_mask(values - 1, AFFINE, tmp_path / "labels.nii.gz")


def test_a_mask_is_class_one(tmp_path: Path) -> None:
    save_classes(organs() > 0, tmp_path / "case.npz")
    with np.load(tmp_path / "case.npz") as content:
        assert np.unique(content["segs"]).tolist() == [0, 1] and content["segs"].shape == SHAPE[::-1]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (organs().astype(np.int32) - 1, "expected classes from 0 to 65535 to write, found -1 to 3"),
        (organs().astype(np.int32) * 16384, "expected classes from 0 to 65535 to write, found 0 to 65536"),
        (organs().astype(np.float32), r"expected integers \(X, Y, Z\) to write, found shape .* of float32"),
        (organs()[0], r"expected integers \(X, Y, Z\) to write, found shape \(22, 16\) of uint8"),
        (organs()[:0], r"expected integers \(X, Y, Z\) to write, found shape \(0, 22, 16\) of uint8"),
    ],
)
def test_what_are_no_classes_is_refused(tmp_path: Path, classes: np.ndarray, message: str) -> None:
    path = tmp_path / "case.npz"
    path.write_bytes(b"before")
    with pytest.raises(DataError, match=rf"case\.npz: {message}"):
        save_classes(classes, path)
    assert path.read_bytes() == b"before"


def test_names_and_places_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a name that ends in \.npz, found 'case\.nii\.gz'"):
        save_classes(organs(), tmp_path / "case.nii.gz")
    with pytest.raises(DataError, match="expected an existing folder"):
        save_classes(organs(), tmp_path / "none" / "case.npz")
    path = tmp_path / "case.npz"
    path.write_bytes(b"before")
    path.chmod(0o444)
    with pytest.raises(DataError, match=r"case\.npz: the segmentation cannot be written"):
        save_classes(organs(), path)
    assert path.read_bytes() == b"before"
