"""Scans that a session opens and refuses, masks that it saves, models that it takes."""

from __future__ import annotations

import gzip
import json
import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from mecca_agents.agent import METHODS, find_method
from mecca_agents.runs import RunError
from mecca_agents.session import InteractiveSession, Model, load_model
from mecca_env.data.base import DataError
from tests.support.volumes import AFFINE, SHAPE, ellipsoid, intensities, write_mha, write_nifti

IMAGE = intensities(ellipsoid())
Runs = Callable[..., Path]


@pytest.fixture(scope="module")
def model(tiny_run: Runs) -> Model:
    return load_model(tiny_run("iter-mrl"), device="cpu")


@pytest.fixture
def session(model: Model) -> Iterator[InteractiveSession]:
    """One with a scan, a click and a step, which no refusal may touch."""
    with InteractiveSession(model) as opened:
        opened.set_image(IMAGE, AFFINE)
        opened.add_clicks((12, 8, 9))
        opened.step()
        yield opened


def refused(session: InteractiveSession, image: Any, message: str, affine: Any = None) -> None:
    """Opening it says why not, and leaves the session as it was."""
    moment, log, version = session._moment, session.log(), session.version
    with pytest.raises(DataError, match=message) as caught:
        session.set_image(image, affine)
    assert "\n" not in str(caught.value)
    assert session._moment is moment and session.log() == log and session.version == version


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan.mha", "SCAN.NII.GZ"])
def test_files_of_each_kind_are_the_array_that_they_hold(
    name: str, session: InteractiveSession, tmp_path: Path
) -> None:
    if name.endswith("mha"):
        pytest.importorskip("SimpleITK")
    path = (write_mha if name.endswith("mha") else write_nifti)(tmp_path / name, IMAGE)
    by_array = session.step()
    for image in (path, str(path), [path]):
        session.set_image(image)
        path_log = session.log()
        assert session.shape == SHAPE and len(path_log) == 1
        np.testing.assert_allclose(session.affine, AFFINE, atol=1e-6)
        assert np.array_equal(session.image_slice(0, 3), IMAGE[3])
        session.add_clicks((12, 8, 9))
        session.step()
        assert np.array_equal(session.step(), by_array)


def test_the_file_may_vanish_once_it_is_open(session: InteractiveSession, tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "scan.nii", IMAGE)
    session.set_image(path)
    path.unlink()
    session.step()
    session.save(tmp_path / "mask.nii")
    refused(session, path, r"scan\.nii: expected a readable image file, found no such file")


def test_an_array_is_copied(session: InteractiveSession) -> None:
    image = IMAGE.astype(np.float32) + 0.5
    session.set_image(image)
    before = session.image_slice(0, 3)
    image[:] = 0
    assert np.array_equal(session.image_slice(0, 3), before) and session._moment.image.intensities.is_floating_point()
    session.set_image(IMAGE.astype(np.float64))
    assert session._moment.image.intensities.element_size() < 4  # whole numbers take less


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _huge(path: Path, shape: tuple[int, ...]) -> Path:
    """A file whose header promises more than it holds."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(shape)
    header["vox_offset"] = 352
    content = header.binaryblock + bytes(4)
    return _written(path, gzip.compress(content) if path.name.endswith("gz") else content)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p / "none.nii.gz", r"none\.nii\.gz: expected a readable image file, found no such file"),
        (lambda p: p / "none.mha", r"none\.mha: expected a readable image file, found no such file"),
        (lambda p: _written(p / "notes.txt", b"hello"), r"notes\.txt: expected an image, .nii.gz, .nii, .*, found"),
        (lambda p: _written(p / "text.nii", b"hello"), r"text\.nii: expected a readable image file"),
        (lambda p: _written(p / "text.nii.gz", b"hello"), r"text\.nii\.gz: expected a readable image file"),
        (lambda p: _written(p / "text.mha", b"hello"), r"text\.mha: expected a readable image file"),
        (lambda p: _written(p / "empty.nii", b""), r"empty\.nii: expected a readable image file"),
        (lambda p: p, "expected an image"),
        (lambda p: write_nifti(p / "time.nii", np.stack([IMAGE] * 3, -1)), r"expected 1 channel, found 3 \(shape"),
        (
            lambda p: write_nifti(p / "flat.nii", IMAGE[0]),
            r"expected a 3-D image or a 4-D one of channels, found shape",
        ),
        (lambda p: write_nifti(p / "five.nii", np.zeros((4, 4, 4, 2, 2))), "expected a 3-D image or a 4-D one"),
        (lambda p: write_nifti(p / "nan.nii", np.where(IMAGE > 100, np.nan, IMAGE)), "found [0-9]+ NaN or infinite"),
        (lambda p: write_nifti(p / "same.nii", np.full(SHAPE, 3.0)), "expected an image, found the constant 3"),
        (
            lambda p: write_nifti(p / "colour.nii", np.zeros(SHAPE, np.complex64)),
            "expected real numbers, found complex64",
        ),
        (lambda p: [write_nifti(p / "a.nii", IMAGE), write_nifti(p / "b.nii", IMAGE)], "expected 1 file"),
        (lambda p: [write_nifti(p / "a.nii", IMAGE), IMAGE], "image: expected files or an array"),
        (lambda p: _huge(p / "huge.nii", (2000, 2000, 2000)), r"expected at most 268435456 voxels, found 8000000000"),
        (lambda p: _huge(p / "huge.nii.gz", (30000, 30000, 30000)), "expected at most 268435456 voxels, found 27000"),
        (lambda p: _huge(p / "liar.nii.gz", (100, 100, 100)), r"expected 2000352 bytes as its header says, found 352"),
    ],
)
def test_what_is_no_scan_is_refused(
    make: Callable[[Path], Any], message: str, session: InteractiveSession, tmp_path: Path
) -> None:
    refused(session, make(tmp_path), message)


@pytest.mark.parametrize(
    ("image", "affine", "message"),
    [
        (IMAGE[0], None, r"image: expected intensities \(X, Y, Z\), found shape \(22, 16\)"),
        (np.stack([IMAGE] * 2), None, r"image: expected intensities \(X, Y, Z\), found shape \(2, 24, 22, 16\)"),
        (np.stack([IMAGE] * 2, -1), None, r"found shape \(24, 22, 16, 2\)"),
        (np.zeros((0, 3, 3)), None, "image: expected a 3-D image"),
        ([[1, 2], [3]], None, "image: expected an array"),
        (np.where(IMAGE > 100, np.inf, IMAGE), None, "image: expected finite intensities"),
        (IMAGE.astype(str), None, "image: expected real numbers"),
        (IMAGE, np.eye(3), r"affine: expected \(4, 4\)"),
        (IMAGE, np.zeros((4, 4)), r"affine: expected \(4, 4\) with 0 0 0 1 last"),
        (IMAGE, np.diag([1, 1, 0, 1]), "image: expected an affine that can be inverted"),
        (IMAGE, "left", "affine: expected numbers"),
        (None, None, "image: expected intensities"),
        (7, None, "image: expected intensities"),
    ],
)
def test_arrays_that_are_no_scan_are_refused(
    image: Any, affine: Any, message: str, session: InteractiveSession
) -> None:
    refused(session, image, message, affine)


def test_files_bring_their_own_affine(session: InteractiveSession, tmp_path: Path) -> None:
    refused(session, write_nifti(tmp_path / "scan.nii", IMAGE), "affine: expected none for files", np.eye(4))


def test_a_large_scan_is_refused_before_it_is_read(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voxels = IMAGE.size
    paths = [write_nifti(tmp_path / "scan.nii.gz", IMAGE)]
    if _has_simpleitk():
        paths.append(write_mha(tmp_path / "scan.mha", IMAGE))
    for path in paths:
        InteractiveSession(model, most_voxels=voxels).set_image(path)
    monkeypatch.setattr("mecca_env.data.reading.read_volume", lambda path: pytest.fail(f"{path} was read"))
    session = InteractiveSession(model, most_voxels=voxels - 1)
    for path in paths:
        with pytest.raises(DataError, match=f"expected at most {voxels - 1} voxels, found {voxels}; it was not read"):
            session.set_image(path)
    with pytest.raises(DataError, match=f"image: expected at most {voxels - 1} voxels, found {voxels}"):
        session.set_image(IMAGE)


def _has_simpleitk() -> bool:
    try:
        import SimpleITK
    except ImportError:
        return False
    return bool(SimpleITK)


def test_what_unpacks_to_far_more_than_its_header_says(
    session: InteractiveSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mecca_env.data.image_files._MOST_SURPLUS", 1 << 20)
    content = nibabel.Nifti1Image(IMAGE, AFFINE).to_bytes()
    session.set_image(_written(tmp_path / "longer.nii.gz", gzip.compress(content + bytes(1 << 19))))
    bomb = _written(tmp_path / "bomb.nii.gz", gzip.compress(content + bytes(1 << 23)))
    refused(session, bomb, rf"expected {len(content)} bytes as its header says, found far more")


def _bomb(shape: tuple[int, ...], dtype: Any, offset: int, extension: int) -> bytes:
    """A small file that unpacks to 64 MiB of zeros, which its header has a use for."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    header["vox_offset"], header["magic"] = offset, b"n+1"
    extended = bytes([extension > 0, 0, 0, 0]) + np.array([extension, 6], np.int32).tobytes()
    return gzip.compress(header.binaryblock + extended + bytes(1 << 26), 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_bomb((64, 64, 64), np.complex128, 352, 0), "expected real numbers, found complex128"),
        (_bomb((8, 8, 8), np.uint8, 1 << 30, 0), "expected voxels in the first 64 MiB, found them at 1073741824"),
        (
            _bomb((8, 8, 8), np.uint8, 1 << 26, (1 << 26) - 352),
            "expected 67109376 bytes .*, found 67109224",
        ),
    ],
    ids=["complex", "offset", "extension"],
)
def test_what_is_refused_by_its_header_is_not_unpacked(
    content: bytes, message: str, session: InteractiveSession, tmp_path: Path
) -> None:
    path = _written(tmp_path / "bomb.nii.gz", content)
    assert len(content) < 1 << 19
    tracemalloc.start()
    try:
        refused(session, path, message)
        assert tracemalloc.get_traced_memory()[1] < 1 << 23
    finally:
        tracemalloc.stop()


def test_an_mha_file_cannot_lead_to_another_file(session: InteractiveSession, tmp_path: Path) -> None:
    pytest.importorskip("SimpleITK")
    secret = _written(tmp_path / "secret.raw", IMAGE.tobytes())
    whole = write_mha(tmp_path / "scan.mha", IMAGE).read_bytes()
    head, _, _ = whole.partition(b"ElementDataFile")
    path = _written(tmp_path / "link.mha", head + b"ElementDataFile = " + str(secret).encode() + b"\n")
    refused(session, path, "expected voxels in the file itself, found a reference to")


@pytest.mark.parametrize("name", ["mask.nii", "mask.nii.gz"])
def test_a_saved_mask_is_the_sessions_mask(name: str, session: InteractiveSession, tmp_path: Path) -> None:
    session.set_image(IMAGE, AFFINE)
    session.set_box((6, 6, 4), (18, 16, 12))
    for _ in range(3):
        session.add_clicks(np.argwhere(ellipsoid())[:: 50 + session.steps])
        session.step()
    mask = session.mask()
    assert mask.any() and not mask.all()
    session.save(tmp_path / name)
    saved = nibabel.load(tmp_path / name)
    assert saved.get_data_dtype() == np.uint8 and np.array_equal(np.asarray(saved.dataobj), mask)
    np.testing.assert_allclose(saved.affine, AFFINE)
    assert session.log()[-1].action == "save" and [p.name for p in tmp_path.iterdir()] == [name]


def test_what_cannot_be_saved_leaves_what_was_there(
    session: InteractiveSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (tmp_path / "mask.png", tmp_path / "nowhere" / "mask.nii"):
        with pytest.raises(DataError, match="expected a"):
            session.save(path)
    session.save(tmp_path / "mask.nii")
    before, log = (tmp_path / "mask.nii").read_bytes(), session.log()

    def full(image: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nibabel, "save", full)
    session.step()
    with pytest.raises(DataError, match="the mask cannot be written .No space left on device"):
        session.save(tmp_path / "mask.nii")
    assert (tmp_path / "mask.nii").read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["mask.nii"]
    assert len(session.log()) == len(log) + 1 and not session.busy


def test_methods_that_see_no_hints_are_refused(tiny_run: Runs) -> None:
    hintless = {name for name in METHODS if not find_method(name).sees_hints}
    assert hintless == {"random", "oracle", "mean-mask", "ellipsoid", "pnet", "unet", "ua-mt"}
    run = tiny_run("pnet")
    with pytest.raises(RunError, match=r"expected a method that sees clicks \(deepigeos, .* mecca, .*\), found pnet"):
        InteractiveSession(run)


def test_what_is_no_run_is_refused(tiny_run: Runs, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"expected a run with a config\.json, found none"):
        InteractiveSession(tmp_path)
    damaged = tmp_path / "damaged"
    shutil.copytree(tiny_run("mecca"), damaged)
    weights = damaged / "checkpoints" / "last" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(RunError, match="expected tensors of a checkpoint"):
        InteractiveSession(damaged)
    shutil.copy(tiny_run("intercnn") / "checkpoints" / "last" / "model.safetensors", weights)
    with pytest.raises(RunError, match="expected weights of mecca: weights do not fit this network"):
        InteractiveSession(damaged)
    config = json.loads((damaged / "config.json").read_text())
    (damaged / "config.json").write_text(json.dumps({**config, "format": 3}))
    with pytest.raises(RunError, match="expected format 5, found 3"):
        InteractiveSession(damaged)
    with pytest.raises(ValueError, match="device: expected"):
        InteractiveSession(tiny_run("mecca"), device="tpu")
