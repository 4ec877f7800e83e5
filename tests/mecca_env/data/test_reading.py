"""Reading gives what the files hold, or an error with file, expected and found."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from mecca_env.data.base import DataError
from mecca_env.data.inventory import CaseFiles
from mecca_env.data.reading import examine, read_scan
from tests.support.volumes import AFFINE, SHAPE, ellipsoid, intensities, write_mha, write_nifti

MASK = ellipsoid()
IMAGE = intensities(MASK)


def case(
    folder: Path, image: NDArray[Any] = IMAGE, label: NDArray[Any] = MASK, affine: NDArray[Any] = AFFINE
) -> CaseFiles:
    """A case of one image and one label."""
    label = label.astype(np.uint8) if label.dtype == bool else label
    return CaseFiles(
        "case",
        (write_nifti(folder / "image.nii.gz", image, affine),),
        write_nifti(folder / "label.nii.gz", label, affine),
    )


def the_fault(files: CaseFiles, labels: tuple[int, ...] | None = None, modalities: int = 1) -> str:
    """The one fault of a case, which is also what `read_scan` raises."""
    scan, faults = examine(files, labels, modalities)
    assert scan is None and len(faults) == 1, faults
    with pytest.raises(DataError) as caught:
        read_scan(files, labels, modalities)
    assert str(caught.value) == faults[0]
    return faults[0]


def test_reads_image_label_and_affine(tmp_path: Path) -> None:
    scan = read_scan(case(tmp_path), None, 1)
    assert scan.image.dtype == np.float32 and scan.image.shape == (1, *SHAPE)
    assert np.array_equal(scan.image[0], IMAGE) and np.array_equal(scan.label, MASK)
    assert scan.label.dtype == bool and scan.affine.dtype == np.float64
    np.testing.assert_allclose(scan.affine, AFFINE)


def test_scaling_of_the_file_is_applied(tmp_path: Path) -> None:
    files = case(tmp_path)
    image = nibabel.Nifti1Image(IMAGE * 0.01 - 3, AFFINE)
    image.header.set_data_dtype(np.int16)
    nibabel.save(image, files.images[0])
    stored = nibabel.load(files.images[0])
    assert stored.header.get_slope_inter() != (1, 0) and stored.get_data_dtype() == np.int16
    np.testing.assert_allclose(read_scan(files, None, 1).image[0], stored.get_fdata(), rtol=1e-6)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32, np.float64])
def test_labels_of_any_type(tmp_path: Path, kind: type) -> None:
    label = (MASK * 2).astype(kind)
    label[0, 0, 0] = 7
    assert read_scan(case(tmp_path, label=label), (2,), 1).label.sum() == MASK.sum()
    assert read_scan(case(tmp_path, label=label), (2, 7), 1).label.sum() == MASK.sum() + 1
    assert read_scan(case(tmp_path, label=label), None, 1).label.sum() == MASK.sum() + 1


def test_channels_come_first(tmp_path: Path) -> None:
    image = np.stack([IMAGE, IMAGE[::-1]], axis=-1)
    scan = read_scan(case(tmp_path, image=image), None, 2)
    assert scan.image.shape == (2, *SHAPE) and np.array_equal(scan.image[1], IMAGE[::-1])


def test_several_files_are_stacked_and_a_trailing_one_is_dropped(tmp_path: Path) -> None:
    files = case(tmp_path, label=MASK[..., None])
    second = write_nifti(tmp_path / "second.nii", IMAGE[::-1, ..., None])
    scan = read_scan(CaseFiles("case", (*files.images, second), files.label), None, 2)
    assert scan.image.shape == (2, *SHAPE) and np.array_equal(scan.image[1], IMAGE[::-1])


@pytest.mark.parametrize("modalities", [1, 3])
def test_as_many_files_as_modalities(tmp_path: Path, modalities: int) -> None:
    files = case(tmp_path)
    two = CaseFiles("case", (*files.images, write_nifti(tmp_path / "second.nii", IMAGE[::-1])), files.label)
    assert the_fault(two, None, modalities) == (
        f"{files.images[0]}: expected {modalities} files, one for each modality, found 2"
    )


def test_mha_lies_where_the_nifti_file_lies(tmp_path: Path) -> None:
    pytest.importorskip("SimpleITK")
    rotated = AFFINE.copy()
    rotated[:3, :3] = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]) @ AFFINE[:3, :3]
    nifti = read_scan(case(tmp_path, affine=rotated), None, 1)
    files = CaseFiles(
        "case",
        (write_mha(tmp_path / "image.mha", IMAGE, rotated),),
        write_mha(tmp_path / "label.mha", MASK.astype(np.uint8), rotated),
    )
    scan = read_scan(files, None, 1)
    assert np.array_equal(scan.image, nifti.image) and np.array_equal(scan.label, nifti.label)
    np.testing.assert_allclose(scan.affine, rotated, atol=1e-9)


def test_mha_without_simpleitk_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = CaseFiles("case", (tmp_path / "image.mha",), case(tmp_path).label)
    files.images[0].write_bytes(b"")
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    fault = the_fault(files)
    assert "image.mha" in fault and 'pip install -e ".[mha]"' in fault


@pytest.mark.parametrize("broken", [b"", b"no image at all", b"NDims = 3\nDimSize = 4 4 4\n"])
def test_mha_that_is_none(tmp_path: Path, broken: bytes) -> None:
    pytest.importorskip("SimpleITK")
    files = CaseFiles("case", (tmp_path / "image.mha",), case(tmp_path).label)
    files.images[0].write_bytes(broken)
    fault = the_fault(files)
    assert "image.mha: expected a readable image file, found" in fault
    assert "\n" not in fault and "0x" not in fault and "SimpleITK-build" not in fault  # nothing of ITK's insides


def test_mha_truncated(tmp_path: Path) -> None:
    pytest.importorskip("SimpleITK")
    path = write_mha(tmp_path / "image.mha", IMAGE)
    files = CaseFiles("case", (path,), case(tmp_path).label)
    path.write_bytes(path.read_bytes()[:-2000])
    assert "image.mha: expected" in the_fault(files)


@pytest.mark.parametrize("keep", [0, 5, 200, 0.5, -1, -9])
def test_truncated_nii_gz(tmp_path: Path, keep: float) -> None:
    files = case(tmp_path)
    content = files.images[0].read_bytes()
    cut = int(len(content) * keep) if isinstance(keep, float) else keep
    files.images[0].write_bytes(content[:cut])
    fault = the_fault(files)
    assert fault.startswith(f"{files.images[0]}: expected a readable image file, found")


def test_truncated_nii(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "image.nii", IMAGE)
    path.write_bytes(path.read_bytes()[:-100])
    fault = the_fault(CaseFiles("case", (path,), case(tmp_path).label))
    assert str(path) in fault and f"expected {352 + IMAGE.nbytes} bytes" in fault and "truncated" in fault


def test_one_changed_byte_in_a_nii_gz_is_noticed(tmp_path: Path) -> None:
    files = case(tmp_path)
    content = bytearray(files.images[0].read_bytes())
    content[len(content) // 2] ^= 1
    files.images[0].write_bytes(bytes(content))
    assert str(files.images[0]) in the_fault(files)


def test_unreadable_header_and_missing_file(tmp_path: Path) -> None:
    files = case(tmp_path)
    path = tmp_path / "image.nii"
    path.write_bytes(b"\x07" * 400)
    assert f"{path}: expected a readable image file" in the_fault(CaseFiles("case", (path,), files.label))
    path.unlink()
    assert f"{path}: expected a readable image file" in the_fault(CaseFiles("case", (path,), files.label))


def damaged(value: float) -> NDArray[np.float32]:
    """The image with one bad voxel."""
    image = IMAGE.astype(np.float32)
    image[1, 2, 3] = value
    return image


FAULTS: list[tuple[str, Callable[[Path], CaseFiles], str]] = [
    ("2-D image", lambda p: case(p, image=IMAGE[0]), "image.nii.gz: expected a 3-D image"),
    (
        "5-D image",
        lambda p: case(p, image=np.stack([np.stack([IMAGE] * 2, -1)] * 2, -1)),
        "found shape (24, 22, 16, 2, 2)",
    ),
    ("channels", lambda p: case(p, image=np.stack([IMAGE] * 3, -1)), "image.nii.gz: expected 1 channel, found 3"),
    ("4-D label", lambda p: case(p, label=np.stack([MASK] * 2, -1)), "label.nii.gz: expected a 3-D label"),
    ("shape", lambda p: case(p, label=MASK[:-1]), "label.nii.gz: expected shape (24, 22, 16) as in"),
    ("NaN", lambda p: case(p, image=damaged(np.nan)), "found 1 NaN or infinite voxels"),
    ("infinite", lambda p: case(p, image=damaged(-np.inf)), "found 1 NaN or infinite voxels"),
    (
        "constant",
        lambda p: case(p, image=np.full(SHAPE, 7, np.int16)),
        "image.nii.gz: expected an image, found the constant 7",
    ),
    (
        "empty",
        lambda p: case(p, label=np.zeros(SHAPE, np.uint8)),
        "label.nii.gz: empty label; expected values above 0, found 0",
    ),
    (
        "fraction",
        lambda p: case(p, label=(MASK * 0.5).astype(np.float32)),
        "label.nii.gz: expected integer labels, found",
    ),
    (
        "NaN label",
        lambda p: case(p, label=np.where(MASK, 1, np.nan)),
        "label.nii.gz: expected integer labels, found NaN",
    ),
    (
        "complex",
        lambda p: case(p, image=IMAGE.astype(np.complex64)),
        "image.nii.gz: expected real numbers, found complex64",
    ),
]


@pytest.mark.parametrize(("make", "message"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_fault(tmp_path: Path, make: Callable[[Path], CaseFiles], message: str) -> None:
    fault = the_fault(make(tmp_path))
    assert str(tmp_path) in fault and message in fault


def test_missing_channels(tmp_path: Path) -> None:
    assert "expected 2 channels, found 1" in the_fault(case(tmp_path), modalities=2)


def test_constant_channel_among_others(tmp_path: Path) -> None:
    image = np.stack([IMAGE, np.zeros_like(IMAGE)], axis=-1)
    assert "found the constant 0" in the_fault(case(tmp_path, image=image), modalities=2)


def test_empty_label_names_values_asked_for_and_present(tmp_path: Path) -> None:
    fault = the_fault(case(tmp_path, label=MASK.astype(np.uint8) * 5), labels=(3, 4))
    assert "label.nii.gz: empty label; expected values [3, 4], found 0, 5" in fault


def test_affines_must_agree_up_to_rounding(tmp_path: Path) -> None:
    near, far = AFFINE.copy(), AFFINE.copy()
    near[0, 3] += 5e-4
    far[0, 3] += 5e-3
    files = case(tmp_path)
    write_nifti(files.label, MASK.astype(np.uint8), near)
    read_scan(files, None, 1)
    write_nifti(files.label, MASK.astype(np.uint8), far)
    assert f"{files.label}: expected the affine of {files.images[0]}" in the_fault(files)


def test_modalities_must_agree(tmp_path: Path) -> None:
    files = case(tmp_path)
    second = write_nifti(tmp_path / "second.nii.gz", IMAGE[:, :-1])
    assert f"{second}: expected shape" in the_fault(CaseFiles("case", (*files.images, second), files.label), None, 2)


def test_every_fault_of_a_case_is_listed(tmp_path: Path) -> None:
    _, faults = examine(case(tmp_path, image=damaged(np.nan), label=np.zeros(SHAPE, np.uint8)), None, 1)
    assert len(faults) == 2 and "NaN" in "".join(faults) and "empty label" in "".join(faults)
