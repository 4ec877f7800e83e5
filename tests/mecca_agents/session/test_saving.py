"""Masks of a session lie where the scan lies, come back to it, and take the place of nothing that is not theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mecca_agents.session import InteractiveSession, Model, SessionError, load_model
from mecca_env.data.base import DataError
from tests.support.headers import Affine, seen, write_header, write_itk
from tests.support.volumes import AFFINE, SHAPE, ellipsoid, intensities, write_nifti

pytest.importorskip("SimpleITK")
MASK = ellipsoid()
IMAGE = intensities(MASK)
TURNED = AFFINE.copy()
TURNED[:3, :3] = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]) @ AFFINE[:3, :3]
FAR = AFFINE.copy()
FAR[:3, 3] = 54321.0987, -1e5 / 3, 7


@pytest.fixture(scope="module")
def model(tiny_run: Callable[..., Path]) -> Model:
    return load_model(tiny_run("iter-mrl"), device="cpu")


@pytest.fixture
def session(model: Model) -> Iterator[InteractiveSession]:
    with InteractiveSession(model) as opened:
        yield opened


def both_forms(path: Path, codes: tuple[int, int] = (2, 1), **header: Any) -> Path:
    """A scan that nibabel sees in one place and ITK in another one."""
    return write_header(path, IMAGE, sform=header.pop("sform", TURNED), qform=AFFINE, codes=codes, **header)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("scan.nii.gz", {}),
        ("scan.nii", {"codes": (0, 0)}),
        ("scan.hdr", {"unit": "meter", "order": ">"}),
        ("scan.nii", {"unit": "micron", "version": 2}),
        ("scan.nii.gz", {"sform": AFFINE + [[0, 0.3, 0, 0], *[[0] * 4] * 3]}),
    ],
    ids=["differ", "no codes", "pair in metres", "NIfTI-2 in microns", "sheared"],
)
def test_a_saved_mask_lies_on_its_nifti_scan_in_every_reader(
    name: str, header: dict[str, Any], session: InteractiveSession, tmp_path: Path
) -> None:
    scan = both_forms(tmp_path / name, **header)
    session.set_image(scan)
    session.set_mask(MASK)
    where, gone = seen(scan), [scan, *tmp_path.glob("*.img")]
    for path in gone:
        path.unlink()  # it may vanish once it is open
    session.save(tmp_path / "mask.nii.gz")
    for of_scan, of_mask in zip(where, seen(tmp_path / "mask.nii.gz"), strict=True):
        assert np.array_equal(of_scan, of_mask) or (of_scan is None and of_mask is None)
    assert where[1] is not None and np.array_equal(session.affine, where[1])
    session.set_mask(tmp_path / "mask.nii.gz")
    assert np.array_equal(session.mask(), MASK)


@pytest.mark.parametrize("affine", [TURNED, FAR], ids=["turned", "far"])
def test_a_saved_mask_lies_on_its_mha_scan(affine: Affine, session: InteractiveSession, tmp_path: Path) -> None:
    scan = write_itk(tmp_path / "scan.mha", IMAGE, affine)
    session.set_image(scan)
    session.set_mask(MASK)
    session.save(tmp_path / "mask.nii")
    session.set_mask(tmp_path / "mask.nii")  # its own, whose origin single precision has rounded
    assert np.array_equal(session.mask(), MASK)
    for found in seen(tmp_path / "mask.nii"):
        np.testing.assert_allclose(found, seen(scan)[0], rtol=1e-7, atol=1e-5)


@pytest.mark.parametrize(("unit", "scale"), [("meter", 1e-3), ("micron", 1e3)])
def test_sizes_are_in_millimetres(unit: str, scale: float, session: InteractiveSession, tmp_path: Path) -> None:
    in_unit = np.diag([scale, scale, scale, 1]) @ AFFINE
    path = write_header(tmp_path / "scan.nii", IMAGE, sform=in_unit, qform=in_unit, codes=(1, 1), unit=unit)
    session.set_image(path)
    assert session.spacing == pytest.approx((1.5, 1.25, 3), rel=1e-6)
    np.testing.assert_allclose(session.affine, AFFINE, rtol=1e-6)


def test_voxels_of_half_a_micron(session: InteractiveSession, tmp_path: Path) -> None:
    affine = np.diag([5e-4, 5e-4, 5e-4, 1])
    session.set_image(write_nifti(tmp_path / "scan.nii", IMAGE, affine))
    assert session.spacing == pytest.approx((5e-4,) * 3)
    session.set_mask(MASK)
    session.save(tmp_path / "mask.nii")
    session.set_mask(tmp_path / "mask.nii")
    affine[0, 3] = 5e-4
    with pytest.raises(DataError, match="up to 0.0005 mm apart"):
        session.set_mask(write_nifti(tmp_path / "moved.nii", MASK.astype(np.uint8), affine))


def test_a_file_is_the_mask_that_its_array_is(session: InteractiveSession, tmp_path: Path) -> None:
    session.set_image(IMAGE, AFFINE)
    values = np.where(MASK, 0.25, np.nan).astype(np.float32)
    values[3, 3, 3], values[3, 3, 4] = 1e-5, -1
    session.set_mask(values)
    expected = session.mask()
    session.set_mask(write_nifti(tmp_path / "mask.nii.gz", values))
    assert np.array_equal(session.mask(), expected) and expected[3, 3, 3] and not expected[3, 3, 4]


def test_a_tolerance_lets_a_mask_pass(model: Model, tmp_path: Path) -> None:
    moved = AFFINE + [[0, 0, 0, 0.002], *[[0] * 4] * 3]
    mask = write_nifti(tmp_path / "mask.nii", MASK.astype(np.uint8), moved)
    with InteractiveSession(model) as strict, InteractiveSession(model, tolerance=0.01) as lenient:
        for session in (strict, lenient):
            session.set_image(IMAGE, AFFINE)
        with pytest.raises(DataError, match="up to 0.002 mm apart"):
            strict.set_mask(mask)
        lenient.set_mask(mask)
        assert np.array_equal(lenient.mask(), MASK)
    with pytest.raises(DataError, match="tolerance: expected millimetres"):
        InteractiveSession(model, tolerance=-1)


def test_nothing_is_saved_over_the_scan(
    session: InteractiveSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = both_forms(tmp_path / "scan.nii.gz")
    content = scan.read_bytes()
    (tmp_path / "link.nii.gz").symlink_to(scan)
    monkeypatch.chdir(tmp_path)
    session.set_image("scan.nii.gz")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    log = session.log()
    for save in (session.save, session.save_log):
        for path in (scan, str(scan), Path("..") / "scan.nii.gz", tmp_path / "link.nii.gz"):
            with pytest.raises(DataError, match=r"(scan|link)\.nii\.gz: expected another name than the data's own"):
                save(path)
    assert scan.read_bytes() == content and (tmp_path / "link.nii.gz").is_symlink() and session.log() == log
    session.save(tmp_path / "below" / "scan.nii.gz")  # of the same name elsewhere
    scan.unlink()
    session.save(scan)  # nothing is lost


def test_a_read_only_file_is_not_replaced(session: InteractiveSession, tmp_path: Path) -> None:
    session.set_image(IMAGE, AFFINE)
    mask, log = tmp_path / "mask.nii", tmp_path / "log.json"
    for path, save, error in ((mask, session.save, DataError), (log, session.save_log, SessionError)):
        path.write_bytes(b"kept")
        path.chmod(0o444)
        with pytest.raises(error, match=rf"{path}.*read-only"):
            save(path)
        assert path.read_bytes() == b"kept"
        path.chmod(0o644)
        save(path)
        assert path.read_bytes() != b"kept"
    assert {path.name for path in tmp_path.iterdir()} == {"mask.nii", "log.json"}


def test_a_name_as_long_as_a_name_may_be(session: InteractiveSession, tmp_path: Path) -> None:
    session.set_image(IMAGE, AFFINE)
    session.save(tmp_path / f"{'é' * 123}x.nii.gz")  # 254 bytes
    with pytest.raises(DataError, match="the mask cannot be written .File name too long"):
        session.save(tmp_path / f"{'x' * 250}.nii.gz")
    assert len(list(tmp_path.iterdir())) == 1 and SHAPE == session.shape
