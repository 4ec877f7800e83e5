"""Files that ITK reads: its voxels and its places, and damage that it does not see."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mecca_env.data.base import DataError
from mecca_env.data.image_files import header_shape, read_volume
from tests.support.volumes import AFFINE, SHAPE, ellipsoid, intensities, write_mha

sitk = pytest.importorskip("SimpleITK")
MASK = ellipsoid()
IMAGE = intensities(MASK)
TURNED = AFFINE.copy()
TURNED[:3, :3] = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]) @ AFFINE[:3, :3]


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("name", ["a.mha", "a.nrrd", "A.MHA", "A.NRRD"])
def test_voxels_and_places(tmp_path: Path, name: str, compressed: bool) -> None:
    path = write_mha(tmp_path / name.lower(), IMAGE, TURNED, compressed).rename(tmp_path / name)
    volume = read_volume(path)
    assert np.array_equal(volume.data, IMAGE) and volume.data.dtype == np.int16
    np.testing.assert_allclose(volume.affine, TURNED, atol=1e-9)
    assert header_shape(path) == (*SHAPE, 1)


@pytest.mark.parametrize("kind", ["u1", "i1", "<u2", "<i4", "<f4", "<f8", "<u8"])
@pytest.mark.parametrize("name", ["a.mha", "a.nrrd"])
def test_every_type_of_number(tmp_path: Path, name: str, kind: str) -> None:
    data = (IMAGE % 100).astype(kind)
    found = read_volume(write_mha(tmp_path / name, data, compressed=True)).data
    assert found.dtype == data.dtype and np.array_equal(found, data)


def _big_endian(content: bytes) -> bytes:
    head, mark, voxels = content.partition(b"LOCAL\n")
    return (
        head.replace(b"OrderMSB = False", b"OrderMSB = True")
        + mark
        + np.frombuffer(voxels, "<i2").astype(">i2").tobytes()
    )


def _as_text(content: bytes) -> bytes:
    head, mark, voxels = content.partition(b"LOCAL\n")
    words = " ".join(map(str, np.frombuffer(voxels, "<i2"))) + "\n"
    return head.replace(b"BinaryData = True", b"BinaryData = False") + mark + words.encode()


@pytest.mark.parametrize("change", [_big_endian, _as_text])
def test_other_ways_to_write_an_mha_file(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    content = change(write_mha(tmp_path / "a.mha", IMAGE).read_bytes())
    assert np.array_equal(read_volume(written(tmp_path / "b.mha", content)).data, IMAGE)


@pytest.mark.parametrize(("name", "count"), [("a.mha", 1), ("a.mha", 2), ("a.nrrd", 1), ("a.nrrd", 3)])
def test_four_dimensions_are_volumes_or_channels(tmp_path: Path, name: str, count: int) -> None:
    volumes = [IMAGE + i for i in range(count)]
    for number, volume in enumerate(volumes):
        write_mha(tmp_path / f"{number}.mha", volume, TURNED)
    one = [sitk.ReadImage(str(tmp_path / f"{number}.mha")) for number in range(count)]
    for image in (sitk.JoinSeries(one), sitk.Compose(one)):
        sitk.WriteImage(image, str(tmp_path / name))
        found = read_volume(tmp_path / name)
        assert np.array_equal(found.data, volumes[0] if count == 1 else np.stack(volumes, -1))
        np.testing.assert_allclose(found.affine, TURNED, atol=1e-9)


@pytest.mark.parametrize("part", ["header", "voxels"])
@pytest.mark.parametrize("name", ["a.mha", "a.nrrd"])
def test_a_byte_that_is_flipped_never_changes_voxels(tmp_path: Path, name: str, part: str) -> None:
    content = write_mha(tmp_path / name, IMAGE, compressed=True).read_bytes()
    start = content.index(b"LOCAL\n") + 6 if name == "a.mha" else content.index(b"\n\n") + 2
    rng, refused = np.random.default_rng(0), 0
    for place in rng.integers(*((0, start) if part == "header" else (start, len(content))), 50):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        try:
            found = read_volume(written(tmp_path / f"damaged{name[1:]}", bytes(damaged)))
        except DataError as error:
            assert f"damaged{name[1:]}: expected" in str(error)
            refused += 1
        else:  # a comment, a date, a voxel's size
            assert np.array_equal(found.data, IMAGE), place
    assert refused >= (8 if part == "header" else 48)


@pytest.mark.parametrize("change", [(b"DimSize = 24 22", b"DimSize = 24 20"), (b"DimSize = 24 22", b"DimSize = 24 23")])
@pytest.mark.parametrize("compressed", [True, False])
def test_a_header_that_asks_for_other_voxels_than_there_are(
    tmp_path: Path, compressed: bool, change: tuple[bytes, bytes]
) -> None:
    path = write_mha(tmp_path / "a.mha", IMAGE, compressed=compressed)
    with pytest.raises(DataError, match="a.mha: expected [0-9]+ bytes of voxels as its header says, found"):
        read_volume(written(path, path.read_bytes().replace(*change)))


@pytest.mark.parametrize("size", [b"", b"CompressedDataSize = 0\n", b"CompressedDataSize = 8000\n"])
def test_a_compressed_size_that_is_missing_or_wrong(tmp_path: Path, size: bytes) -> None:
    content = write_mha(tmp_path / "a.mha", IMAGE, compressed=True).read_bytes()
    changed = re.sub(rb"CompressedDataSize = \d+\n", size, content)
    assert changed != content
    with pytest.raises(DataError, match="b.mha: expected .*(as CompressedDataSize, found none|end too early)"):
        read_volume(written(tmp_path / "b.mha", changed))


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("name", ["a.mha", "a.nrrd"])
def test_what_is_cut_off_is_said(tmp_path: Path, name: str, compressed: bool) -> None:
    path = write_mha(tmp_path / name, IMAGE, compressed=compressed)
    with pytest.raises(DataError, match=rf"{name}: expected .*(found 14896: truncated|end too early)"):
        read_volume(written(path, path.read_bytes()[:-2000]))


@pytest.mark.parametrize("line", [b"data file: ", b"datafile: ", b"Data File: "])
def test_a_nrrd_file_cannot_lead_to_another_file(tmp_path: Path, line: bytes) -> None:
    head, _, voxels = write_mha(tmp_path / "a.nrrd", IMAGE).read_bytes().partition(b"\n\n")
    secret = written(tmp_path / "secret.raw", voxels)
    for name in (str(secret).encode(), b"secret.raw", b"LIST\nsecret.raw"):
        path = written(tmp_path / "b.nrrd", head + b"\n" + line + name + b"\n\n")
        with pytest.raises(DataError, match="b.nrrd: expected voxels in the file itself, found a reference to"):
            read_volume(path)


@pytest.mark.parametrize("content", [b"", b"no image", b"NRRD0004\n", b"NRRD0004\ntype: short\n\n", b"P6\n1 1\n\n"])
def test_a_nrrd_file_that_is_none(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match="a.nrrd: expected a readable image file, found") as caught:
        read_volume(written(tmp_path / "a.nrrd", content))
    assert "\n" not in str(caught.value) and "0x" not in str(caught.value)


def test_a_name_that_is_not_utf8_does_not_reach_itk(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mha"))
    path.write_bytes(write_mha(tmp_path / "a.mha", IMAGE).read_bytes())
    with pytest.raises(DataError, match=r"caf\\udce9.mha: expected a name in UTF-8"):
        read_volume(path)


@pytest.mark.parametrize("name", ["a.mha", "a.nrrd"])
def test_without_simpleitk_a_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = write_mha(tmp_path / name, IMAGE)
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    message = rf'{name}: a {name[1:]} file needs SimpleITK; install it .* with pip install -e ".\[mha\]"'
    for read in (read_volume, header_shape):
        with pytest.raises(DataError, match=message):
            read(path)


def test_a_nrrd_label_lies_on_its_nifti_scan(tmp_path: Path) -> None:
    from mecca_env.data.inventory import CaseFiles
    from mecca_env.data.reading import read_scan
    from tests.support.volumes import write_nifti

    image: Any = write_nifti(tmp_path / "a.nii.gz", IMAGE, TURNED)
    label = write_mha(tmp_path / "a.nrrd", MASK.astype(np.uint8), TURNED)
    assert np.array_equal(read_scan(CaseFiles("a", (image,), label), None, 1).label, MASK)
