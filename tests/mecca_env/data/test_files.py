"""A folder of files as a data set: refused as a whole, prepared once, bounded in memory."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mecca_env.data import files as files_module
from mecca_env.data.base import DataError, VolumeSource
from mecca_env.data.caching.disk import CacheError
from mecca_env.data.checking import find_faults
from mecca_env.data.files import FileSource
from mecca_env.data.grid.cutting import paste_back
from mecca_env.data.grid.placement import fixed_placement
from mecca_env.data.grid.sampling import resample_case
from mecca_env.data.selection import Cases
from tests.support.volumes import (
    SHAPE,
    ellipsoid,
    intensities,
    write_brats2015,
    write_brats2020,
    write_brats2023,
    write_decathlon,
    write_mmwhs,
    write_nifti,
    write_pairs,
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MECCA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the cases whose files are read."""
    names: list[str] = []
    read = files_module.read_scan

    def counted(case: Any, *arguments: Any) -> Any:
        names.append(case.name)
        return read(case, *arguments)

    monkeypatch.setattr(files_module, "read_scan", counted)
    return names


@pytest.mark.parametrize("write", [write_brats2020, write_brats2015, write_mmwhs, write_decathlon, write_pairs])
def test_every_layout_becomes_a_source(tmp_path: Path, write: Any) -> None:
    source = FileSource("mine", write(tmp_path / "data"), labels_by_layout={"mmwhs": (420,)})
    assert isinstance(source, VolumeSource) and source.name == "mine" and source.modalities == 1
    names = [source.case_name(i) for i in range(len(source))]
    assert len(names) >= 2 and names == sorted(names)
    for index, name in enumerate(names):
        case = source.case(index)
        assert case.name == name == source.files(index).name
        placement = fixed_placement(case, (24, 22, 16), 6)
        volume, label = resample_case(case, placement, 5.0)
        assert volume.shape == (1, 24, 22, 16)
        assert np.array_equal(paste_back(label, placement, case.scan_shape), ellipsoid())


def test_cases_from_the_cache_are_the_same_bits(tmp_path: Path, reads: list[str]) -> None:
    write_decathlon(tmp_path / "data", channels=2)
    first, second = (FileSource("d", tmp_path / "data") for _ in range(2))
    assert reads == ["a", "b", "c"]
    one, other = first.case(1), second.case(1)
    assert torch.equal(one.image, other.image) and torch.equal(one.label, other.label)
    assert one.image.shape[0] == 2 and one.image.dtype == torch.float32 and one.label.dtype == torch.bool
    for name in ("origin", "box", "scan_shape"):
        assert getattr(one, name) == getattr(other, name)
    for name in ("affine", "mean", "std"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
    assert reads == ["a", "b", "c"]


def test_settings_labels_and_changed_files_are_prepared_again(tmp_path: Path, reads: list[str]) -> None:
    root = write_pairs(tmp_path / "data", names=("a",))
    FileSource("d", root)
    FileSource("d", root, evaluation_extension=5)
    FileSource("d", root, labels=1)
    assert len(reads) == 3
    FileSource("d", root, labels=(1,))
    assert len(reads) == 3
    write_nifti(root / "images" / "a.nii.gz", intensities(ellipsoid(), seed=9))
    FileSource("d", root)
    assert len(reads) == 4


def test_damaged_cache_is_rebuilt(tmp_path: Path, cache: Path, reads: list[str]) -> None:
    root = write_pairs(tmp_path / "data", names=("a",))
    expected = FileSource("d", root).case(0)
    (entry,) = cache.iterdir()
    entry.write_bytes(entry.read_bytes()[:1000])
    assert torch.equal(FileSource("d", root).case(0).image, expected.image) and len(reads) == 2


def test_only_the_named_cases_and_the_split_are_read(tmp_path: Path, reads: list[str]) -> None:
    root = write_pairs(tmp_path / "data", names="abcdefghij")
    assert [FileSource("d", root, names=("c", "b")).case_name(i) for i in (0, 1)] == ["b", "c"]
    assert reads == ["b", "c"]
    test = FileSource("d", root, split="test")
    train = FileSource("d", root, split="train")
    assert (len(test), len(train)) == (2, 8)
    both = {s.case_name(i) for s in (test, train) for i in range(len(s))}
    assert both == set("abcdefghij")
    with pytest.raises(DataError, match="expected names of cases in the split 'all', found z"):
        FileSource("d", root, names=("a", "z"))
    with pytest.raises(DataError, match="split: expected one of train, test, all, found 'validation'"):
        FileSource("d", root, split="validation")


def test_a_single_case_cannot_be_split(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "data", names=("a",))
    with pytest.raises(DataError, match="expected at least two cases to split, found 1; use split='all'"):
        FileSource("d", root, split="test")


def test_scans_of_a_patient_are_in_one_split_and_labelled_together(tmp_path: Path) -> None:
    root, points = tmp_path / "data", ("000", "001")
    write_brats2023(root, [f"BraTS-GLI-{patient:05d}-{point}" for patient in range(5) for point in points])
    patients: list[set[str]] = []
    for split, number in (("test", 1), ("train", 4)):
        source = FileSource("d", root, split=split)
        cases = Cases(source, split, range(len(source)), labelled_cases=1)
        scans = [source.files(index) for index in range(len(source))]
        assert len(scans) == 2 * number and len({scans[i].patient for i in cases.pool(True)}) == 1
        assert len(cases.pool(True)) == 2
        patients.append({files.patient for files in scans})
    assert not patients[0] & patients[1]
    one = write_brats2023(tmp_path / "one", [f"BraTS-GLI-00007-{point}" for point in points])
    with pytest.raises(DataError, match="expected at least two cases to split, found 2 of one patient"):
        FileSource("d", one, split="test")


def bad_folder(root: Path) -> dict[str, str]:
    """Good cases and every kind of bad one; what each fault must say, by file."""
    write_pairs(root, names=("good1", "good2"))
    mask = ellipsoid()
    image = intensities(mask)
    pairs: dict[str, tuple[Any, Any]] = {
        "constant": (np.full(SHAPE, 3, np.int16), mask),
        "empty": (image, np.zeros(SHAPE, bool)),
        "nan": (np.where(mask, np.nan, image), mask),
        "shape": (image, mask[1:]),
        "channels": (np.stack([image] * 4, -1), mask),
        "truncated": (image, mask),
        "alone": (image, mask),
    }
    for name, (volume, label) in pairs.items():
        write_nifti(root / "images" / f"{name}.nii.gz", volume)
        write_nifti(root / "labels" / f"{name}.nii.gz", label.astype(np.uint8))
    (root / "labels" / "alone.nii.gz").unlink()
    truncated = root / "images" / "truncated.nii.gz"
    truncated.write_bytes(truncated.read_bytes()[:500])
    return {
        "images/constant.nii.gz": "constant 3",
        "labels/empty.nii.gz": "empty label",
        "images/nan.nii.gz": "NaN",
        "labels/shape.nii.gz": "expected shape",
        "images/channels.nii.gz": "expected 1 channel, found 4",
        "images/truncated.nii.gz": "readable image",
        "images/alone.nii.gz": "image without label",
    }


def test_one_error_lists_all_faults(tmp_path: Path) -> None:
    root = tmp_path / "data"
    expected = bad_folder(root)
    with pytest.raises(DataError) as caught:
        FileSource("d", root)
    text = str(caught.value)
    for file, fault in expected.items():
        assert any(str(root / file) in line and fault in line for line in text.splitlines()), (file, text)
    assert "7 faults" in text and "skip_bad=True" in text and f"mecca data check {root}" in text


def test_check_lists_the_same_without_the_cache(tmp_path: Path, cache: Path) -> None:
    root = tmp_path / "data"
    expected = bad_folder(root)
    seen: list[tuple[int, int, str]] = []
    faults = find_faults(root, progress=lambda *step: seen.append(step))
    assert len(faults) == len(expected) and not cache.exists() and len(seen) == 8
    for file, fault in expected.items():
        assert any(str(root / file) in line and fault in line for line in faults)
    assert find_faults(write_pairs(tmp_path / "good")) == []
    assert "found nothing" in find_faults(tmp_path / "nowhere")[0]
    assert "empty label; expected values [9]" in find_faults(tmp_path / "good", labels=9)[0]


def test_check_finds_an_image_that_is_constant_around_its_label(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "data", names=("a",))
    image = np.zeros((60, 60, 60), np.int16)
    image[0, 0, 0] = 1
    write_nifti(root / "images" / "a.nii.gz", image)
    write_nifti(root / "labels" / "a.nii.gz", ellipsoid((60, 60, 60)).astype(np.uint8))
    (fault,) = find_faults(root)
    assert fault.startswith("a: expected an image that varies")


def test_skip_bad_leaves_them_out_with_one_warning(tmp_path: Path) -> None:
    bad_folder(tmp_path / "data")
    with pytest.warns(UserWarning, match="left out") as caught:
        source = FileSource("d", tmp_path / "data", skip_bad=True)
    assert len(caught) == 1 and "truncated.nii.gz" in str(caught[0].message)
    assert [source.case_name(i) for i in range(len(source))] == ["good1", "good2"]


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "data", names=("a",))
    with pytest.raises(DataError, match="expected at least one good case, found none"):
        FileSource("d", root, labels=9, skip_bad=True)


def test_long_lists_are_shortened(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "data", names=("a",))
    for number in range(30):
        (root / "images" / f"x{number}.nii").write_bytes(b"")
    with pytest.raises(DataError, match="(?s)30 faults.*and 10 more") as caught:
        FileSource("d", root)
    assert str(caught.value).count("image without label") == 20


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_pairs(tmp_path / "data", names="abcd")
    size = sum(t.nbytes for t in (FileSource("d", root).case(0).image, FileSource("d", root).case(0).label))
    source = FileSource("d", root, memory_bytes=2 * size)
    loads: list[int] = []
    fetch = files_module.fetch
    monkeypatch.setattr(files_module, "fetch", lambda *a: loads.append(1) or fetch(*a))
    for index in (0, 1, 0, 1, 0, 2, 0, 3, 0):
        source.case(index)
    assert len(loads) == 4 and len(source._recent) == 2
    small = FileSource("d", root, memory_bytes=size - 1)
    assert small.case(0) is not small.case(0)
    assert source.case(3) is source.case(3)


def test_copies_of_a_source_carry_no_volumes(tmp_path: Path) -> None:
    source = FileSource("d", write_pairs(tmp_path / "data"))
    source.case(0)
    copy = pickle.loads(pickle.dumps(source))
    assert len(copy._recent) == 0 and torch.equal(copy.case(0).image, source.case(0).image)


def test_index_out_of_range(tmp_path: Path) -> None:
    source = FileSource("d", write_pairs(tmp_path / "data"))
    for index in (-1, 3):
        with pytest.raises(IndexError, match=f"expected 0 to 2, got {index}"):
            source.case(index)


def test_files_that_disappear(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "data")
    source = FileSource("d", root)
    (root / "images" / "b.nii.gz").unlink()
    with pytest.raises(DataError, match=r"b\.nii\.gz: expected a file, found No such file"):
        source.case(1)


def test_progress_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "mecca_env"):
        FileSource("d", write_pairs(tmp_path / "data"))
    assert "d: preparing case 2 of 3, b" in caplog.text


def test_a_cache_that_cannot_be_written_is_no_bad_case(tmp_path: Path, cache: Path) -> None:
    root = write_pairs(tmp_path / "data")
    cache.write_bytes(b"")
    with pytest.raises(CacheError, match="MECCA_CACHE"):
        FileSource("d", root, skip_bad=True)


def test_labels_in_an_array(tmp_path: Path) -> None:
    assert FileSource("d", write_pairs(tmp_path / "data", "a"), labels=np.array([2, 1])).labels == (1, 2)


@pytest.mark.parametrize("labels", [(), "1", 1.5, (1, 2.5), True, np.array([1.0]), np.array([True])])
def test_labels_of_a_wrong_kind(tmp_path: Path, labels: Any) -> None:
    with pytest.raises(DataError, match=r'label: expected an integer, several, or "each", found'):
        FileSource("d", write_pairs(tmp_path / "data"), labels=labels)
