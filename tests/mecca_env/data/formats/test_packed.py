"""Packed NIfTI files: whatever surrounds the voxels, they are the file's or it is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest

from mecca_env.data.base import DataError
from mecca_env.data.formats import packed
from mecca_env.data.formats.packed import unpacked
from mecca_env.data.image_files import header_shape, read_volume
from tests.support.volumes import AFFINE, SHAPE, ellipsoid, intensities, write_nifti

IMAGE = intensities(ellipsoid())
CONTENT = nibabel.Nifti1Image(IMAGE, AFFINE).to_bytes()


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def holds_the_image(path: Path) -> bool:
    volume = read_volume(path)
    return np.array_equal(volume.data, IMAGE) and np.allclose(volume.affine, AFFINE) and header_shape(path) == SHAPE


@pytest.mark.parametrize("version", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("name", ["long.nii", "long.nii.gz"])
def test_a_header_extension_of_any_length(tmp_path: Path, name: str, version: type) -> None:
    image = version(IMAGE, AFFINE)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"x" * 300_000))
    nibabel.save(image, tmp_path / name)
    assert nibabel.load(tmp_path / name).dataobj.offset > 1 << 18
    assert holds_the_image(tmp_path / name)


@pytest.mark.parametrize("behind", [b"\0" * 700, b"signed by a viewer", b"\0\0\x1f", b"\n"])
def test_what_stands_behind_the_stream_is_left_alone(tmp_path: Path, behind: bytes) -> None:
    assert holds_the_image(written(tmp_path / "a.nii.gz", gzip.compress(CONTENT) + behind))


@pytest.mark.parametrize("padding", [0, 5])
def test_streams_may_follow_each_other(tmp_path: Path, padding: int) -> None:
    parts = [gzip.compress(CONTENT[start : start + 4000]) for start in range(0, len(CONTENT), 4000)]
    path = written(tmp_path / "a.nii.gz", bytes(padding).join(parts))
    assert holds_the_image(path)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 8
    with pytest.raises(DataError, match="a.nii.gz: expected"):
        read_volume(written(path, bytes(damaged)))


def test_names_do_not_tell_whether_a_file_is_packed(tmp_path: Path) -> None:
    assert holds_the_image(written(tmp_path / "plain.nii.gz", CONTENT))
    assert holds_the_image(written(tmp_path / "packed.nii", gzip.compress(CONTENT)))
    with pytest.raises(DataError, match=rf"expected {len(CONTENT)} bytes .* found {len(CONTENT) - 9}: truncated"):
        read_volume(written(tmp_path / "short.nii.gz", CONTENT[:-9]))


def test_a_byte_that_is_flipped_is_noticed_or_means_nothing(tmp_path: Path) -> None:
    content = write_nifti(tmp_path / "a.nii.gz", IMAGE).read_bytes()
    rng, refused = np.random.default_rng(0), 0
    for place in rng.integers(0, len(content), 50):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        try:
            assert holds_the_image(written(tmp_path / "b.nii.gz", bytes(damaged))), place
        except (DataError, nibabel.spatialimages.HeaderDataError):
            refused += 1
    assert refused >= 45  # some bytes of a gzipped file are its date


@pytest.mark.parametrize("piece", [1, 7, 64, 1 << 20])
def test_pieces_of_any_size_make_up_the_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    content = b"\0" * 4000 + bytes(range(256)) * 3
    for part in (content, gzip.compress(content), gzip.compress(content[:99]) + b"\0" + gzip.compress(content[99:])):
        path = written(tmp_path / "a", part)
        monkeypatch.setattr(packed, "_PIECE", piece)
        with unpacked(path) as pieces:
            found = list(pieces)
        assert b"".join(found) == content and max(map(len, found)) <= piece
