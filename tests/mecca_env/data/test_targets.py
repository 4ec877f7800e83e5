"""`label="each"`: every value of every scan is a case of its own, found by name, split and labelled with its scan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from mecca_env.data import files as files_module
from mecca_env.data.base import DataError
from mecca_env.data.checking import find_faults
from mecca_env.data.files import FileSource
from mecca_env.data.selection import Cases
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.volumes import ORGANS, intensities, organs, write_mmwhs, write_nifti, write_organs

ALL = [f"{scan}-label{value}" for scan in "abc" for value in (1, 2, 4)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MECCA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the scans whose files are read."""
    names: list[str] = []
    for function in ("read_scan", "read_numbers"):
        read = getattr(files_module, function)
        monkeypatch.setattr(
            files_module, function, lambda files, *a, read=read: names.append(files.name) or read(files, *a)
        )
    return names


def names_of(source: FileSource) -> list[str]:
    return [source.case_name(i) for i in range(len(source))]


def make(root: Path | None, num_envs: int = 1, **keywords: Any) -> MeccaVectorEnv:
    envs = gym.make_vec("MECCA-Volumes-v0", num_envs, **{"root": root, "label": "each", "shape": (8, 8, 8), **keywords})
    assert isinstance(envs.unwrapped, MeccaVectorEnv)
    return envs.unwrapped


def test_every_value_is_a_case_with_a_box_of_its_own(tmp_path: Path) -> None:
    source = FileSource("d", write_organs(tmp_path / "data"), labels="each")
    assert names_of(source) == ALL and source.labels == "each"
    for index, name in enumerate(ALL):
        value = (1, 2, 4)[index % 3]
        case, (low, high) = source.case(index), zip(*((s.start, s.stop) for s in ORGANS[value]), strict=True)
        assert case.name == name and case.box == (low, high) and source.foreground(index) == (value,)
        assert source.files(index).name == name[0]
        assert int(case.label.sum()) == np.count_nonzero(organs() == value)


def test_scans_have_the_values_that_they_have(tmp_path: Path) -> None:
    root = write_organs(tmp_path / "data", {"a": (1, 4), "b": (2,), "c": (1, 2, 4)})
    assert names_of(FileSource("d", root, labels="each")) == ["a-label1", "a-label4", "b-label2", *ALL[6:]]


def test_a_case_is_that_of_its_value_alone_and_shares_its_place_in_the_cache(tmp_path: Path, reads: list[str]) -> None:
    root = write_organs(tmp_path / "data")
    each = FileSource("d", root, labels="each")
    assert reads == ["a", "b", "c"]  # once for all of its values
    assert names_of(FileSource("d", root, labels="each")) == ALL
    alone = FileSource("d", root, labels=4)
    assert reads == ["a", "b", "c"]
    one, other = each.case(5), alone.case(1)
    assert torch.equal(one.image, other.image) and torch.equal(one.label, other.label) and one.mean == other.mean
    assert (one.name, other.name) == ("b-label4", "b")
    write_nifti(root / "labels" / "b.nii.gz", organs((1,)))
    assert names_of(FileSource("d", root, labels="each")) == [*ALL[:4], *ALL[6:]]
    assert reads == ["a", "b", "c", "b"]


def test_all_values_of_a_scan_are_on_the_side_it_is_on_without_them(tmp_path: Path) -> None:
    root = write_organs(tmp_path / "data", "abcdefghij")
    for split in ("train", "test"):
        scans = names_of(FileSource("d", root, split=split))
        assert names_of(FileSource("d", root, labels="each", split=split)) == [
            f"{scan}-label{value}" for scan in scans for value in (1, 2, 4)
        ]
        assert 0 < len(scans) < 10


def test_cases_and_whole_scans_are_found_by_name(tmp_path: Path, reads: list[str]) -> None:
    root = write_organs(tmp_path / "data")
    source = FileSource("d", root, labels="each", names=("c-label4", "b", "c-label1", "b-label2"))
    assert names_of(source) == [*ALL[3:6], "c-label1", "c-label4"] and reads == ["b", "c"]
    for wrong in ("z", "z-label1", "b-label0", "b-label04", "b-label", "b-label1-label1"):
        with pytest.raises(DataError, match=f"expected names of cases in the split 'all', found {wrong}$"):
            FileSource("d", root, labels="each", names=("a", wrong))
    with pytest.raises(DataError, match=r"labels/b.nii.gz: empty label; expected values \[3\], found 1, 2, 4"):
        FileSource("d", root, labels="each", names=("b-label3",))
    with pytest.raises(DataError, match="found b-label1$"):
        FileSource("d", root, names=("b-label1",))  # of a source without cases of values


def test_a_scan_with_the_name_of_a_case_is_refused(tmp_path: Path) -> None:
    root = write_organs(tmp_path / "data", ("a", "a-label2", "b-label2"))
    with pytest.raises(DataError, match='label="each": .* found a-label2, which is also the value 2 of a'):
        FileSource("d", root, labels="each")
    assert "found a-label2" in find_faults(root, labels="each")[0]
    assert len(FileSource("d", root)) == 3
    (root / "images" / "a-label2.nii.gz").unlink(), (root / "labels" / "a-label2.nii.gz").unlink()
    assert "b-label2-label4" in names_of(FileSource("d", root, labels="each", names=("a", "b-label2")))


def test_the_faults_of_a_scan_are_listed_once(tmp_path: Path) -> None:
    root = write_organs(tmp_path / "data")
    FileSource("d", root, labels="each")
    write_nifti(root / "images" / "a.nii.gz", np.where(organs() == 1, np.nan, 0.5))  # the values are known already
    write_nifti(root / "images" / "b.nii.gz", np.where(organs() == 1, np.nan, 0.5))
    write_nifti(root / "labels" / "b.nii.gz", organs(()))
    with pytest.raises(DataError, match="3 faults") as caught:
        FileSource("d", root, labels="each")
    image, label, other = (line.strip() for line in str(caught.value).splitlines()[1:4])
    assert image.startswith(f"{root}/images/a.nii.gz: expected finite") and other == image.replace("a.nii", "b.nii")
    assert label == f"{root}/labels/b.nii.gz: empty label; expected values above 0, found 0"
    with pytest.warns(UserWarning, match="cases left out: 3 faults"):
        assert names_of(FileSource("d", root, labels="each", skip_bad=True)) == ALL[6:]


def test_a_value_without_contrast_leaves_the_others_of_its_scan(tmp_path: Path) -> None:
    root = write_organs(tmp_path / "data", "ab")
    flat = intensities(organs())
    flat[12:22, 11:20, 6:15] = 7  # the value 4 and two voxels around it
    write_nifti(root / "images" / "b.nii.gz", flat)
    with pytest.warns(UserWarning, match="1 fault:\n  b-label4: expected an image that varies"):
        source = FileSource("d", root, labels="each", evaluation_extension=2, skip_bad=True)
    assert names_of(source) == ["a-label1", "a-label2", "a-label4", "b-label1", "b-label2"]
    (fault,) = find_faults(root, labels="each", evaluation_extension=2)
    assert fault.startswith("b-label4: expected an image that varies")
    assert find_faults(root, evaluation_extension=2) == []


def test_values_that_are_not_the_data_sets_own_are_cases_as_well(tmp_path: Path) -> None:
    root = write_mmwhs(tmp_path / "data", numbers=(1001,))
    envs = gym.make_vec("MECCA-LeftAtrium-v0", 1, root=root, label="each", split="all").unwrapped
    names = [envs.dataset.case_name(i) for i in range(len(envs.dataset))]
    assert names == [f"{kind}_train_1001-label{value}" for kind in ("ct", "mr") for value in (420, 500)]


@pytest.mark.parametrize("label", ["every", "EACH", ["each"]])
def test_another_word_is_refused_even_where_the_phantom_stands_in(label: Any) -> None:
    with pytest.raises(DataError, match=r'^label: expected an integer, several, or "each", found '):
        gym.make("MECCA-Spleen-v0", label=label)


def test_an_env_finds_cases_by_name_and_pastes_each_one_back(tmp_path: Path) -> None:
    root = write_organs(tmp_path / "data")
    envs = make(root, 2, split="all", shape=(24, 22, 16), augment=False)
    _, info = envs.reset(seed=0, options={"cases": ["b-label4", "a-label1"]})
    assert info["case_index"].tolist() == [5, 0] and [envs.case_name(i) for i in (0, 1)] == ["b-label4", "a-label1"]
    for row, value in enumerate((4, 1)):
        mask, _ = envs.paste_back(row, envs.state.label[row])
        assert np.array_equal(mask, organs() == value)
    with pytest.raises(ValueError, match="case: expected one of the 9 cases of split 'all', got 'b'"):
        envs.reset(options={"cases": ["b", None]})
    single = gym.make("MECCA-Volumes-v0", root=root, label="each", split="all").unwrapped
    assert single.reset(seed=0, options={"case": "c-label2"})[1]["case_index"] == 7


@pytest.mark.parametrize(
    ("cases", "names"),
    [
        (["b", "c-label2"], [*ALL[3:6], "c-label2"]),
        (["b", 0], ["a-label1", *ALL[3:6]]),
        (["b-label2", 8], ["b-label2", "c-label4"]),
        ([0, 4], ["a-label1", "b-label2"]),
        (4, ALL[:4]),
    ],
)
def test_a_selection_takes_cases_or_all_of_a_scan(tmp_path: Path, cases: Any, names: list[str]) -> None:
    envs = make(write_organs(tmp_path / "data"), split="all", cases=cases)
    assert [envs.dataset.case_name(int(i)) for i in envs.cases.indices] == names


def test_a_scan_is_labelled_with_all_its_values_or_with_none(tmp_path: Path) -> None:
    root = write_organs(tmp_path / "data", "abcdef")
    for keywords in ({"labelled_cases": 2}, {"labelled_fraction": 1 / 3}):
        each, whole = make(root, split="all", **keywords).cases, make(root, split="all", label=None, **keywords).cases
        scans = [whole.source.case_name(int(i)) for i in whole.pool(True)]
        assert len(scans) == 2
        assert [each.source.case_name(int(i)) for i in each.pool(True)] == [
            f"{scan}-label{value}" for scan in scans for value in (1, 2, 4)
        ]
    with pytest.raises(ValueError, match=r"^labelled_cases: expected at most the 6 patients that there are, found 7$"):
        make(root, split="all", labelled_cases=7)


def test_the_supervoxels_of_two_values_in_one_box_are_kept_apart(tmp_path: Path) -> None:
    root = write_organs(tmp_path / "data", "a")
    numbers = organs((1,))
    numbers[3:9:2, 4:9:2, 2:7] += 1  # in every corner but the last of the box
    numbers[8, 8, 6], numbers[7, 8, 6], numbers[8, 7, 6] = 2, 1, 1
    write_nifti(root / "labels" / "a.nii.gz", numbers)
    source = FileSource("d", root, labels="each")
    assert len(source) == 2

    def regions(index: int, made: int) -> set[int]:
        cases = Cases(source, "all", range(len(source)))  # of another process, as it were
        found = cases.supervoxels(index, source.case(index), (), lambda: np.full((1, 2, 2, 2), made, np.int16))
        return set(found.ravel().tolist())

    assert source.case(0).origin == source.case(1).origin and source.case(0).label.shape == source.case(1).label.shape
    assert [regions(0, 1), regions(1, 2), regions(0, 3), regions(1, 4)] == [{1}, {2}, {1}, {2}]
