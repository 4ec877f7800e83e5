"""A saved mask lies where its scan lies in every reader, and says nothing else."""

from __future__ import annotations

import gzip
from itertools import product
from pathlib import Path

import nibabel
import numpy as np
import pytest

from mecca_env.data.base import DataError
from mecca_env.data.saving import save_mask
from mecca_env.data.world.nifti import affine_of, read_header
from tests.support.headers import Affine, itk_affine, nibabel_affine, seen, write_header, write_itk
from tests.support.volumes import AFFINE, ellipsoid, intensities

pytest.importorskip("SimpleITK")
MASK = ellipsoid((6, 5, 4), (2, 2, 1))
SCAN = intensities(MASK)
TURNED = AFFINE.copy()
TURNED[:3, :3] = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]) @ AFFINE[:3, :3]
SHEARED = AFFINE.copy()
SHEARED[0, 1] = 0.4


@pytest.mark.parametrize("codes", list(product((0, 1, 2, 4), (0, 1))))
@pytest.mark.parametrize(
    ("sform", "qform"), [(TURNED, AFFINE), (SHEARED, AFFINE), (AFFINE, AFFINE)], ids=["differ", "sheared", "agree"]
)
def test_it_takes_over_both_forms_and_their_codes(
    sform: Affine, qform: Affine, codes: tuple[int, int], tmp_path: Path
) -> None:
    scan = write_header(tmp_path / "scan.nii.gz", SCAN, sform=sform, qform=qform, codes=codes)
    save_mask(MASK, nibabel.load(scan).affine, tmp_path / "mask.nii.gz", read_header(scan))
    for of_scan, of_mask in zip(seen(scan), seen(tmp_path / "mask.nii.gz"), strict=True):
        assert np.array_equal(of_scan, of_mask) or (of_scan is None and of_mask is None)
    assert (itk_affine(scan) is None) == (sform is SHEARED and codes[0] > 0 and codes[1] == 0)
    header = nibabel.load(tmp_path / "mask.nii.gz").header
    assert (header["sform_code"], header["qform_code"]) == codes
    assert header.get_data_dtype() == np.uint8 and header.get_xyzt_units() == ("mm", "unknown")


@pytest.mark.parametrize("order", ["<", ">"])
def test_of_a_nifti_2_scan_it_is_nifti_2_to_the_last_bit(order: str, tmp_path: Path) -> None:
    far = AFFINE.copy()
    far[:3, 3] = 123456.789012, -1 / 3, 1e7 / 3
    scan = write_header(tmp_path / "scan.nii", SCAN, sform=far, qform=TURNED, codes=(4, 1), version=2, order=order)
    save_mask(MASK, far, tmp_path / "mask.nii", read_header(scan))
    mask = nibabel.load(tmp_path / "mask.nii")
    assert isinstance(mask, nibabel.Nifti2Image) and mask.header.endianness == order
    assert np.array_equal(mask.get_sform(), far) and np.array_equal(mask.get_qform(), nibabel.load(scan).get_qform())
    assert (mask.header["sform_code"], mask.header["qform_code"]) == (4, 1)


def test_nothing_of_the_scans_intensities_is_left(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(SCAN, AFFINE)
    image.header.set_slope_inter(0.5, -3)
    image.header["cal_max"], image.header["intent_code"], image.header["descrip"] = 200, 3, b"a name"
    nibabel.save(image, tmp_path / "scan.nii")
    save_mask(MASK, AFFINE, tmp_path / "mask.nii", read_header(tmp_path / "scan.nii"))
    mask = nibabel.load(tmp_path / "mask.nii")
    assert np.array_equal(np.unique(mask.get_fdata()), [0, 1])
    assert not mask.header["cal_max"] and not mask.header["intent_code"] and not mask.header["descrip"].tolist()


def test_a_scan_without_nifti_header_has_its_affine_said_twice(tmp_path: Path) -> None:
    scan = write_itk(tmp_path / "scan.mha", SCAN, TURNED)
    assert read_header(scan) is None
    save_mask(MASK, TURNED, tmp_path / "mask.nii.gz", None)
    for found in (itk_affine(scan), *seen(tmp_path / "mask.nii.gz")):
        np.testing.assert_allclose(found, TURNED, atol=1e-5)
    header = nibabel.load(tmp_path / "mask.nii.gz").header
    np.testing.assert_allclose(header.get_qform(), TURNED, atol=1e-3)
    assert (header["sform_code"], header["qform_code"]) == (1, 1) and header.get_xyzt_units()[0] == "mm"


def test_a_reader_that_knows_no_shear_refuses_the_mask_and_does_not_move_it(tmp_path: Path) -> None:
    save_mask(MASK, SHEARED, tmp_path / "mask.nii")
    by_itk, by_nibabel = seen(tmp_path / "mask.nii")
    assert by_itk is None and by_nibabel is not None
    np.testing.assert_allclose(by_nibabel, SHEARED, rtol=1e-6)


def test_what_nifti_1_cannot_hold_is_nifti_2(tmp_path: Path) -> None:
    tiny = np.diag([1e-3, 1e-3, 1e-3, 1])
    tiny[:3, 3] = 9876.54321, -9000, 0.1
    save_mask(MASK, tiny, tmp_path / "far.nii")
    save_mask(np.ones((33000, 1, 1), bool), AFFINE, tmp_path / "long.nii.gz")
    assert np.array_equal(nibabel.load(tmp_path / "far.nii").affine, tiny)
    assert nibabel.load(tmp_path / "long.nii.gz").shape == (33000, 1, 1)


@pytest.mark.parametrize(("unit", "scale"), [("meter", 1e3), ("micron", 1e-3), ("mm", 1.0), ("unknown", 1.0)])
def test_units(unit: str, scale: float, tmp_path: Path) -> None:
    scan = write_header(tmp_path / "scan.nii", SCAN, sform=AFFINE, qform=AFFINE, codes=(1, 1), unit=unit)
    affine = affine_of(scan, nibabel.load(scan))
    expected = np.diag([scale, scale, scale, 1]) @ AFFINE
    for found in (affine, itk_affine(scan), nibabel_affine(scan)):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    save_mask(MASK, affine, tmp_path / "mask.nii", read_header(scan))
    assert all(np.array_equal(a, b) for a, b in zip(seen(scan), seen(tmp_path / "mask.nii"), strict=True))
    assert nibabel.load(tmp_path / "mask.nii").header.get_xyzt_units()[0] == unit


def test_a_unit_that_is_none_is_taken_for_millimetres_as_by_itk(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(SCAN, AFFINE)
    image.header["xyzt_units"] = 5 + 16  # and milliseconds, which are nobody's here
    nibabel.save(image, tmp_path / "scan.nii")
    np.testing.assert_allclose(itk_affine(tmp_path / "scan.nii"), affine_of(tmp_path, image), rtol=1e-6)
    np.testing.assert_allclose(affine_of(tmp_path, image), AFFINE)


def test_the_header_is_found_whatever_the_file_is_called(tmp_path: Path) -> None:
    scan = write_header(tmp_path / "scan.nii", SCAN, sform=TURNED, qform=AFFINE, codes=(1, 1))
    content = scan.read_bytes()
    (tmp_path / "packed.nii").write_bytes(gzip.compress(content))
    (tmp_path / "plain.nii.gz").write_bytes(content)
    pair = write_header(tmp_path / "pair.hdr", SCAN, sform=TURNED, qform=AFFINE, codes=(1, 1))
    headers = [read_header(tmp_path / name) for name in ("scan.nii", "packed.nii", "plain.nii.gz")]
    assert headers == [content[:348]] * 3 and read_header(pair) == pair.read_bytes()[:348]
    (tmp_path / "short.nii").write_bytes(content[:200])
    assert read_header(tmp_path / "short.nii") is None
    with pytest.raises(DataError, match=r"gone\.nii: expected a readable image file"):
        read_header(tmp_path / "gone.nii")
