"""The challenge's `.npz` files: which axis is which, what is refused, and that nothing is ever unpickled."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mecca_env.data.base import DataError
from mecca_env.data.formats.npz import BOX_KEYS, read_npz
from mecca_env.data.image_files import header_shape, read_volume
from mecca_env.data.reading import read_image, read_label, read_mask
from mecca_env.prompts import SliceBox, middle_slice_box

D, H, W = 5, 7, 9
IMAGE = np.arange(D * H * W, dtype=np.uint8).reshape(D, H, W)
CLASSES = np.zeros((D, H, W), np.uint8)
CLASSES[1:3, 2:5, 3:7] = 1
CLASSES[3, 6, 8] = 4
SPACING = np.array([0.5, 0.75, 3.0])  # of W, H, D


def write(path: Path, **arrays: Any) -> Path:
    """A file with all that the format has; None leaves an array out."""
    given = {"imgs": IMAGE, "gts": CLASSES, "spacing": SPACING, **arrays}
    np.savez_compressed(path, **{name: array for name, array in given.items() if array is not None})
    return path


def test_every_axis_has_its_spacing(tmp_path: Path) -> None:
    case = read_npz(write(tmp_path / "a.npz"))
    assert case.image.shape == (W, H, D) and case.classes is not None and case.classes.shape == (W, H, D)
    assert case.image[8, 6, 3] == IMAGE[3, 6, 8] and case.classes[8, 6, 3] == 4
    assert case.spacing == (0.5, 0.75, 3.0) and case.boxes is None
    assert np.array_equal(case.affine, np.diag([-0.5, -0.75, 3.0, 1.0]))  # left, posterior, superior
    assert (case.image.dtype, case.classes.dtype) == (np.uint8, np.uint8)


def test_scan_and_label_are_volumes_of_one_file(tmp_path: Path) -> None:
    path = write(tmp_path / "A.NPZ.npz").rename(tmp_path / "A.NPZ")
    scan, label = read_volume(path), read_volume(path, label=True)
    assert np.array_equal(scan.data, IMAGE.T) and np.array_equal(label.data, CLASSES.T)
    assert np.array_equal(scan.affine, label.affine)
    assert header_shape(path) == header_shape(path, label=True) == (W, H, D)
    image, affine = read_image([path], 1)
    assert np.array_equal(image[0], IMAGE.T) and np.array_equal(affine, scan.affine)
    assert np.array_equal(read_label(path, (4,))[0], CLASSES.T == 4)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_any_real_numbers_packed_or_not(tmp_path: Path, save: Any, kind: type) -> None:
    save(tmp_path / "a.npz", imgs=np.asfortranarray(IMAGE.astype(kind)), gts=CLASSES > 0, spacing=SPACING.tolist())
    case = read_npz(tmp_path / "a.npz")
    assert np.array_equal(case.image, IMAGE.T) and case.image.dtype == kind
    assert case.classes is not None and np.array_equal(case.classes, CLASSES.T > 0)


def test_a_scan_without_a_label_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", gts=None)
    assert read_npz(path).classes is None
    assert np.array_equal(read_volume(path).data, IMAGE.T)
    with pytest.raises(DataError, match=r"a\.npz: expected an array gts, found imgs, spacing$"):
        read_volume(path, label=True)


def test_a_label_without_a_spacing_lies_where_its_scan_lies(tmp_path: Path) -> None:
    scan = read_volume(write(tmp_path / "a.npz", gts=None))
    grid = ((W, H, D), scan.affine)
    for name in ("gts", "segs"):  # a label that is published apart, and a prediction
        path = tmp_path / f"{name}.npz"
        np.savez(path, **{name: CLASSES})
        assert np.array_equal(read_mask(path, grid), CLASSES.T > 0)
        assert np.array_equal(read_label(path, (4,), grid)[0], CLASSES.T == 4)
        with pytest.raises(DataError, match=rf"{name}\.npz: expected an array spacing, found {name}$"):
            read_label(path)
        with pytest.raises(DataError, match=rf"{name}\.npz: expected shape .* found \(9, 7, 5\)"):
            read_mask(path, ((W, H, D + 1), scan.affine))


# Boxes


def test_boxes_in_plain_numbers(tmp_path: Path) -> None:
    boxes = np.array([(1, 2, 1, 3, 2, 6, 4), (3, 3, 3, 8, 6, 8, 6)])
    case = read_npz(write(tmp_path / "a.npz", boxes=boxes))
    one = middle_slice_box(CLASSES.T == 1, np.random.default_rng(0), axis=2, widest=0)
    assert case.boxes == (
        SliceBox(axis=2, middle=1, low=(3, 2, 1), high=(7, 5, 3)),
        SliceBox(axis=2, middle=3, low=(8, 6, 3), high=(9, 7, 4)),
    )
    assert (case.boxes[0].low, case.boxes[0].high) == (one.low, one.high)


class Harm:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.write_text, (self.path, "harm")


def test_pickled_boxes_are_left_alone(tmp_path: Path) -> None:
    harm = tmp_path / "harm"
    pickled = [dict.fromkeys(BOX_KEYS, 1), {"z_min": Harm(harm)}]
    case = read_npz(write(tmp_path / "a.npz", boxes=np.array(pickled, object), clicks=np.array([Harm(harm)], object)))
    assert case.boxes is None and np.array_equal(case.image, IMAGE.T)
    with pytest.raises(DataError, match="expected numbers in imgs, found pickled objects, which are never read"):
        read_npz(write(tmp_path / "b.npz", imgs=np.array([Harm(harm)], object)))
    assert not harm.exists()


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (np.zeros((2, 6), int), r"expected integers of shape \(classes, 7\) as boxes, found shape \(2, 6\) of int64"),
        (np.zeros((2, 7)), r"expected integers of shape \(classes, 7\) as boxes, found shape \(2, 7\) of float64"),
        ([(1, 5, 1, 3, 2, 6, 4)], r"expected boxes inside the scan \(5, 7, 9\), found {'z_min': 1, 'z_max': 5,"),
        ([(1, 2, 3, 3, 2, 6, 4)], r"expected boxes inside the scan"),
        ([(1, 2, 1, 6, 2, 3, 4)], r"expected boxes inside the scan"),
    ],
)
def test_boxes_that_are_none(tmp_path: Path, boxes: Any, message: str) -> None:
    with pytest.raises(DataError, match=rf"a\.npz: {message}"):
        read_npz(write(tmp_path / "a.npz", boxes=boxes))


# Wrong files


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"imgs": None}, "expected an array imgs, found gts, spacing"),
        ({"spacing": None}, "expected an array spacing, found imgs, gts"),
        ({"imgs": IMAGE[0]}, r"expected imgs of three axes \(D, H, W\), found shape \(7, 9\)"),
        ({"imgs": IMAGE[..., None]}, r"expected imgs of three axes \(D, H, W\), found shape \(5, 7, 9, 1\)"),
        ({"imgs": IMAGE[:0]}, r"expected imgs of three axes \(D, H, W\), found shape \(0, 7, 9\)"),
        ({"gts": CLASSES[1:]}, r"expected gts and imgs of one shape \(D, H, W\), found \(4, 7, 9\) and \(5, 7, 9\)"),
        ({"gts": CLASSES.astype(np.float32)}, "expected integers in gts, found float32"),
        ({"imgs": IMAGE.astype(np.complex64)}, "expected real numbers in imgs, found complex64"),
        ({"imgs": IMAGE.astype(str)}, "expected real numbers in imgs, found <U"),
        ({"spacing": SPACING[:2]}, r"expected three finite numbers above 0 as spacing, found shape \(2,\) of float64"),
        ({"spacing": SPACING * 0}, r"expected three finite numbers above 0 as spacing, found \(0.0, 0.0, 0.0\)"),
        ({"spacing": SPACING * np.nan}, r"expected three finite numbers above 0 as spacing, found \(nan, nan, nan\)"),
        ({"spacing": np.array(["1", "1", "1"])}, "expected three finite numbers above 0 as spacing, found shape"),
    ],
)
def test_an_array_that_is_not_what_it_ought_to_be(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=rf"a\.npz: {message}") as caught:
        read_npz(write(tmp_path / "a.npz", **arrays))
    assert len(str(caught.value).splitlines()) == 1


def test_files_that_are_no_archives(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with pytest.raises(DataError, match=r"a\.npz: expected a readable \.npz file, found FileNotFoundError"):
        read_npz(path)
    for content in (b"", b"PK\3\4", b"\x93NUMPY\1\0", b"text"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.npz: expected a readable \.npz file, found BadZipFile"):
            read_npz(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("imgs.npy", b"no array")
    with pytest.raises(DataError, match=r"a\.npz: expected a readable \.npz file, found ValueError: the magic string"):
        read_npz(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_one_wrong_byte_is_noticed(tmp_path: Path, save: Any) -> None:
    path = tmp_path / "a.npz"
    save(path, imgs=IMAGE, spacing=SPACING)
    whole = bytearray(path.read_bytes())
    whole[300] ^= 1  # among the voxels
    path.write_bytes(whole)
    with pytest.raises(DataError, match=r"a\.npz: expected a readable \.npz file, found"):
        read_npz(path)


def test_a_file_that_ends_early(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz")
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"a\.npz: expected a readable"):
            read_npz(path)


def test_a_header_that_promises_another_number_of_voxels(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, imgs=IMAGE, spacing=SPACING)
    with zipfile.ZipFile(path) as archive:
        stored = {name: archive.read(name) for name in archive.namelist()}
    for claimed in (b"(5, 7, 8), }", b"(55555, 7777, 9999), }"):
        header = stored["imgs.npy"].replace(b"(5, 7, 9), }", claimed)
        header = header[:8] + (len(header) - IMAGE.size - 10).to_bytes(2, "little") + header[10:]
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("imgs.npy", header)
            archive.writestr("spacing.npy", stored["spacing.npy"])
        with pytest.raises(DataError, match=r"a\.npz: expected \d+ bytes of imgs as its header says, found \d+"):
            read_npz(path)
        with pytest.raises(DataError, match=r"a\.npz: expected \d+ bytes of imgs as its header says, found \d+"):
            header_shape(path)
