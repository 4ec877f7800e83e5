"""NIfTI in two files: the header is what one names, and the voxels beside it are part of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from mecca_env.data.base import DataError
from mecca_env.data.checking import find_faults
from mecca_env.data.files import FileSource
from mecca_env.data.image_files import read_volume
from tests.support.headers import write_header
from tests.support.volumes import AFFINE, ellipsoid, intensities

MASK = ellipsoid()
FORMS = {"sform": AFFINE, "qform": AFFINE, "codes": (1, 1)}


def write_pair_of_files(path: Path, seed: int = 0) -> Path:
    """An image as `name.hdr` and `name.img`."""
    return write_header(path, intensities(MASK, seed), **FORMS)


def test_the_voxels_beside_a_header_are_read(tmp_path: Path) -> None:
    volume = read_volume(write_pair_of_files(tmp_path / "scan.hdr"))
    assert np.array_equal(volume.data, intensities(MASK))
    np.testing.assert_allclose(volume.affine, AFFINE)


def test_a_folder_of_pairs(tmp_path: Path) -> None:
    for name in "ab":
        write_pair_of_files(tmp_path / "images" / f"{name}.hdr")
        write_header(tmp_path / "labels" / f"{name}.hdr", MASK.astype(np.uint8), **FORMS)
    assert find_faults(tmp_path) == []
    before = FileSource("d", tmp_path).case(0).image.clone()
    write_pair_of_files(tmp_path / "images" / "a.hdr", seed=5)  # another .img, the same header
    assert not np.array_equal(FileSource("d", tmp_path).case(0).image, before)
    (tmp_path / "images" / "a.img").unlink()
    (fault,) = find_faults(tmp_path)
    assert "a.hdr: expected its voxels in a.img beside it, found no such file" in fault
    with pytest.raises(DataError, match=r"a\.hdr: expected its voxels"):
        FileSource("d", tmp_path)


def test_voxels_that_are_cut_off(tmp_path: Path) -> None:
    path = write_pair_of_files(tmp_path / "scan.hdr")
    voxels = path.with_suffix(".img")
    voxels.write_bytes(voxels.read_bytes()[:-1])
    with pytest.raises(DataError, match="truncated"):
        read_volume(path)


def test_a_link_to_voxels_elsewhere_is_refused(tmp_path: Path) -> None:
    path = write_pair_of_files(tmp_path / "a" / "scan.hdr")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "scan.hdr").symlink_to(path)
    (tmp_path / "b" / "scan.img").symlink_to(path.with_suffix(".img"))
    assert np.array_equal(read_volume(tmp_path / "b" / "scan.hdr").data, intensities(MASK))  # both lead to one folder
    (tmp_path / "b" / "scan.hdr").unlink()
    shutil.copy(path, tmp_path / "b")
    with pytest.raises(DataError, match="found a link to another folder"):
        read_volume(tmp_path / "b" / "scan.hdr")


def test_what_is_older_than_nifti_does_not_say_where_it_lies(tmp_path: Path) -> None:
    nibabel.save(nibabel.AnalyzeImage(intensities(MASK), AFFINE), tmp_path / "scan.img")
    with pytest.raises(DataError, match=r"scan\.hdr: expected a NIfTI file, found one for nibabel's \w*AnalyzeImage"):
        read_volume(tmp_path / "scan.hdr")
