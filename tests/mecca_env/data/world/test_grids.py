"""Image and label are on one grid, or they are not, whatever the size of voxels and the unit of the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mecca_env.data.base import DataError
from mecca_env.data.files import FileSource
from mecca_env.data.inventory import CaseFiles
from mecca_env.data.reading import examine, read_image, read_mask, read_scan
from mecca_env.data.world.grids import checked_tolerance, distance, is_invertible, same_grid
from tests.support.headers import Affine, itk_affine, nibabel_affine, write_header
from tests.support.volumes import AFFINE, SHAPE, ellipsoid, intensities, write_mha, write_nifti, write_pairs

MASK = ellipsoid()
IMAGE = intensities(MASK)


def moved(by: float, affine: Affine = AFFINE) -> Affine:
    """Along the first world axis."""
    found = affine.copy()
    found[0, 3] += by
    return found


def turned(by: float) -> Affine:
    """About the third world axis, around the first voxel, radians."""
    turn = np.array([[np.cos(by), -np.sin(by), 0], [np.sin(by), np.cos(by), 0], [0, 0, 1]])
    found = AFFINE.copy()
    found[:3, :3] = turn @ AFFINE[:3, :3]
    return found


def case(folder: Path, label: Affine, unit: str = "mm", image: Affine = AFFINE) -> CaseFiles:
    """Image and label with these affines in their files."""
    paths = [
        write_header(folder / name, data, sform=affine, qform=affine, codes=(1, 1), unit=unit)
        for name, data, affine in (("image.nii", IMAGE, image), ("label.nii", MASK.astype(np.uint8), label))
    ]
    return CaseFiles("case", (paths[0],), paths[1])


@pytest.mark.parametrize(("unit", "scale"), [("mm", 1.0), ("meter", 1e-3), ("micron", 1e3)])
def test_the_tolerance_is_in_millimetres_whatever_the_file_is_in(unit: str, scale: float, tmp_path: Path) -> None:
    def in_unit(affine: Affine) -> Affine:
        return np.diag([scale, scale, scale, 1]) @ affine

    near = case(tmp_path, in_unit(moved(5e-4)), unit, in_unit(AFFINE))
    scan = read_scan(near, None, 1)
    for found in (itk_affine(near.images[0]), nibabel_affine(near.images[0]), scan.affine):
        np.testing.assert_allclose(found, AFFINE, rtol=1e-6)
    far = case(tmp_path, in_unit(moved(0.002)), unit, in_unit(AFFINE))
    scan, faults = examine(far, None, 1)
    assert scan is None and len(faults) == 1
    assert "label.nii: expected the affine of" in faults[0] and "up to 0.002 mm apart" in faults[0]
    assert "--tolerance" in faults[0]
    assert np.array_equal(read_scan(far, None, 1, 0.0021).label, MASK)


def test_a_tolerance_is_of_every_voxel_of_images_labels_and_masks(tmp_path: Path) -> None:
    far = turned(0.01)
    apart = distance(AFFINE, far, SHAPE)
    assert apart == pytest.approx(0.01 * np.hypot(1.5 * 23, 1.25 * 21), rel=1e-3)
    files = case(tmp_path, far)
    for tolerance in (None, 0.002, 0.9 * apart):
        with pytest.raises(DataError, match=f"up to {apart:.3g} mm apart"):
            read_scan(files, None, 1, tolerance)
        with pytest.raises(DataError, match="the affine of the scan"):
            read_mask(files.label, (SHAPE, AFFINE), tolerance)
    assert read_scan(files, None, 1, 1.1 * apart).label.sum() == MASK.sum()
    assert np.array_equal(read_mask(files.label, (SHAPE, AFFINE), 1.1 * apart), MASK)
    second = write_nifti(tmp_path / "second.nii", IMAGE, far)
    with pytest.raises(DataError, match="second.nii: expected the affine"):
        read_image([files.images[0], second], 2)
    assert read_image([files.images[0], second], 2, None, 1.1 * apart)[0].shape == (2, *SHAPE)


def test_a_rotation_may_lose_more_at_the_far_end_than_an_origin() -> None:
    assert same_grid(AFFINE, turned(0.001), SHAPE)
    assert not same_grid(AFFINE, turned(0.001), (240, 240, 155))  # a quarter of a millimetre, a fifth of a voxel
    assert same_grid(AFFINE, turned(1e-5), (240, 240, 155), tolerance=0.002)


def test_single_precision_is_no_fault_however_far_the_origin_is() -> None:
    far = moved(1e6 + 0.03)
    rounded = far.astype(np.float32).astype(np.float64)
    assert distance(far, rounded, SHAPE) > 0.02 and same_grid(far, rounded, SHAPE)
    assert not same_grid(far, moved(0.1, far), SHAPE)


@pytest.mark.parametrize("side", [1e-6, 5e-4, 1.0, 1e3])
def test_voxels_of_every_size(side: float, tmp_path: Path) -> None:
    affine = AFFINE * [[side], [side], [side], [1]]
    assert is_invertible(affine)
    assert same_grid(affine, affine, SHAPE) and not same_grid(affine, moved(0.5 * side, affine), SHAPE)
    files = case(tmp_path, affine, image=affine)
    scan = read_scan(files, None, 1)
    for found in (itk_affine(files.images[0]), scan.affine):
        np.testing.assert_allclose(found, affine, rtol=1e-6, atol=1e-9)
    with pytest.raises(DataError, match="expected the affine"):
        read_scan(case(tmp_path, moved(side, affine), image=affine), None, 1)


@pytest.mark.parametrize("scale", [1e-6, 1.0])
def test_an_affine_without_an_axis_is_none(scale: float) -> None:
    flat, twice = AFFINE.copy(), AFFINE.copy()
    flat[:3, 2], twice[:3, 2] = 0, 2 * AFFINE[:3, 1]
    for affine in (flat, twice, np.full((4, 4), np.nan)):
        assert not is_invertible(affine * [[scale], [scale], [scale], [1]])


@pytest.mark.parametrize("tolerance", [-1.0, float("nan"), float("inf")])
def test_a_tolerance_that_is_none(tolerance: float, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="tolerance: expected millimetres, 0 or more"):
        checked_tolerance(tolerance)
    with pytest.raises(DataError, match="tolerance: expected millimetres"):
        FileSource("d", tmp_path, tolerance=tolerance)


def test_what_a_tolerance_lets_pass_is_refused_again_without_it(tmp_path: Path) -> None:
    root = write_pairs(tmp_path, suffix=".nii")
    write_nifti(root / "labels" / "b.nii", MASK.astype(np.uint8), moved(0.002))
    assert len(FileSource("d", root, tolerance=0.01)) == 3
    with pytest.raises(DataError, match=r"b\.nii: expected the affine.*\(--tolerance MM\)"):
        FileSource("d", root)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".mha"])
def test_a_mask_is_what_is_above_0(ending: str, tmp_path: Path) -> None:
    values = np.where(MASK, 0.25, -0.5).astype(np.float32)
    values[0, 0, :4] = np.nan, 1e-5, 0, 7
    path = (write_mha if ending == ".mha" else write_nifti)(tmp_path / f"mask{ending}", values)
    expected = MASK.copy()
    expected[0, 0, :4] = False, True, False, True
    assert np.array_equal(read_mask(path, (SHAPE, AFFINE)), expected)
    with pytest.raises(DataError, match="empty label; expected values above 0"):
        read_mask(write_nifti(tmp_path / "none.nii", -values * MASK), (SHAPE, AFFINE))
