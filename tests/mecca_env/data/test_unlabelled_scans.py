"""Scans without a label: a box in its place, images and labels read alone, maps read back in parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mecca_env.data.base import DataError, Scan
from mecca_env.data.grid.cutting import paste_back, paste_part, prepare, read_part
from mecca_env.data.grid.placement import Placement, fixed_placement
from mecca_env.data.inventory import CaseFiles
from mecca_env.data.reading import checked_image, read_image, read_label, read_scan
from mecca_env.episodes.regions import case_regions, placed_regions
from mecca_env.process.config import EnvConfig
from tests.support.volumes import AFFINE, ellipsoid, intensities, scan_of, write_nifti

MASK = np.pad(ellipsoid(), 9)
SETTINGS = {"extension": (1, 11), "rotation": 15.0, "evaluation_extension": 6}


def test_a_box_takes_the_place_of_the_labels() -> None:
    scan = scan_of(MASK, channels=2)
    expected = prepare(scan, **SETTINGS)  # type: ignore[arg-type]
    nothing = Scan(scan.name, scan.image, np.broadcast_to(np.False_, MASK.shape), scan.affine)
    case = prepare(nothing, box=expected.box, **SETTINGS)  # type: ignore[arg-type]
    assert torch.equal(case.image, expected.image) and not case.label.any()
    assert (case.origin, case.box, case.scan_shape) == (expected.origin, expected.box, expected.scan_shape)
    assert np.array_equal(case.mean, expected.mean) and np.array_equal(case.std, expected.std)
    config = EnvConfig(shape=(12, 11, 10))
    placement = fixed_placement(case, config.shape, config.evaluation_extension)
    regions = [placed_regions(case_regions(each, config), each, placement) for each in (case, expected)]
    assert torch.equal(*regions) and regions[0].shape == (5, 12, 11, 10)


def test_whole_numbers_of_any_type_are_scored_alike() -> None:
    scan = scan_of(MASK)
    small = Scan(scan.name, scan.image.astype(np.int16), scan.label, scan.affine)  # type: ignore[arg-type]
    one, other = (prepare(each, **SETTINGS) for each in (scan, small))  # type: ignore[arg-type]
    assert torch.equal(one.image, other.image) and one.mean == other.mean and one.std == other.std


def test_parts_are_cut_out_of_the_whole() -> None:
    values = torch.rand(7, 6, 5, generator=torch.Generator().manual_seed(0))
    for placement in (
        Placement((2, 3, 4), (16, 14, 15), (7, 6, 5)),
        Placement((2, 3, 4), (16, 14, 15), (7, 6, 5), (True, False, True), 0.2),
    ):
        whole = paste_back(values, placement, (20, 18, 17))
        box = ((5, 0, 6), (11, 17, 7))
        assert np.array_equal(paste_part(values, placement, box), whole[5:11, 0:17, 6:7]) and whole.any()
        smooth = read_part(values, placement, ((0, 0, 0), (20, 18, 17)))
        assert np.array_equal(smooth > np.float32(0.5), whole)


def test_a_map_on_the_scans_own_voxels_is_read_as_it_is() -> None:
    values = torch.rand(6, 5, 4, generator=torch.Generator().manual_seed(0))
    placement = Placement((3, 2, 1), (9, 7, 5), (6, 5, 4))
    for smooth in (True, False):
        found = read_part(values, placement, ((0, 0, 0), (12, 9, 7)), smooth)
        assert np.array_equal(found[3:9, 2:7, 1:5], values.numpy())
        found[3:9, 2:7, 1:5] = 0
        assert not found.any()
    doubled = Placement((0, 0, 0), (12, 10, 8), (6, 5, 4))
    blocks = read_part(values, doubled, ((0, 0, 0), (12, 10, 8)), smooth=False)
    assert np.array_equal(blocks, np.kron(values.numpy(), np.ones((2, 2, 2), np.float32)))


def test_images_and_labels_are_read_alone(tmp_path: Path) -> None:
    image = write_nifti(tmp_path / "image.nii.gz", np.stack([intensities(MASK, seed) for seed in (0, 1)], -1))
    label = write_nifti(tmp_path / "label.nii", MASK.astype(np.uint8) * 3)
    scan = read_scan(CaseFiles("case", (image,), label), None, 2)
    alone, affine = read_image([image], 2)
    assert alone.dtype == np.float32 and np.array_equal(alone, scan.image) and np.array_equal(affine, scan.affine)
    again, _ = checked_image(scan.image, AFFINE, 2)
    assert np.array_equal(again, alone)
    mask, affine = read_label(label)
    assert np.array_equal(mask, MASK) and np.array_equal(affine, scan.affine)
    with pytest.raises(DataError, match="empty label; expected values"):
        read_label(label, [2])
    with pytest.raises(DataError, match="expected a readable image file"):
        read_label(tmp_path / "none.nii")
    with pytest.raises(DataError, match="expected 2 files, one for each modality, found 3|expected 1 channel"):
        read_image([image, image, image], 2)


def test_files_of_different_grids_are_no_modalities_of_one_scan(tmp_path: Path) -> None:
    one = write_nifti(tmp_path / "one.nii", intensities(MASK))
    other = write_nifti(tmp_path / "other.nii", intensities(MASK)[1:])
    with pytest.raises(DataError, match="expected shape .* as in .*one.nii"):
        read_image([one, other], 2)
    moved = AFFINE.copy()
    moved[0, 3] += 1
    with pytest.raises(DataError, match="expected the affine of"):
        read_image([one, write_nifti(tmp_path / "moved.nii", intensities(MASK), moved)], 2)
