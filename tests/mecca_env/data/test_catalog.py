"""Named data sets: where they are looked for, what happens when they are not there, how they are split."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mecca_env.data import catalog
from mecca_env.data.base import DataError
from mecca_env.data.catalog import CATALOG, labelled_names, open_dataset, split_names
from tests.support.volumes import write_brats2020, write_decathlon, write_mmwhs, write_pairs


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MECCA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MECCA_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(catalog, "_warned", set())


def test_every_folder_of_every_data_set_is_found(tmp_path: Path) -> None:
    for dataset in CATALOG.values():
        for folder in reversed(dataset.folders):
            write_decathlon(tmp_path / "data" / folder, names=("a",))
            source = open_dataset(dataset.key, fallback=False)
            assert source is not None and source.name == folder and len(source) == 1


def test_left_atrium_is_420_only_in_its_own_layout(tmp_path: Path) -> None:
    write_mmwhs(tmp_path / "data" / "MM-WHS")
    source = open_dataset("LeftAtrium")
    assert source is not None and source.labels == (420,) and source.layout == "mmwhs"
    given_labels = open_dataset("LeftAtrium", labels=500)
    assert given_labels is not None and given_labels.case(0).label.sum() == 27
    other = open_dataset("LeftAtrium", root=write_decathlon(tmp_path / "LeftAtrium2018"))
    assert other is not None and other.labels is None and other.name == "LeftAtrium2018"


def test_settings_reach_the_source(tmp_path: Path) -> None:
    write_brats2020(tmp_path / "data" / "BraTS2020", numbers=range(5))
    source = open_dataset("BraTS", modalities=("flair", "t1ce"), split="test", evaluation_extension=2)
    assert source is not None and source.modalities == 2 and len(source) == 1
    assert source.case(0).image.shape[0] == 2


@pytest.mark.parametrize("base", ["set", "unset"])
def test_not_found_warns_once_and_falls_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, base: str) -> None:
    if base == "unset":
        monkeypatch.delenv("MECCA_DATA")
    with pytest.warns(UserWarning, match="MECCA_DATA.*BraTS2020.*PHANTOM") as caught:
        assert open_dataset("BraTS") is None
    assert len(caught) == 1 and (base == "unset" or str(tmp_path / "data") in str(caught[0].message))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_dataset("BraTS") is None
    with pytest.warns(UserWarning, match="Task09_Spleen"):
        assert open_dataset("Spleen") is None


def test_not_found_without_fallback(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"MECCA_DATA=.*data holds no folder Task09_Spleen.*pass root="):
        open_dataset("Spleen", fallback=False)


def test_a_root_that_was_named_or_found_is_never_replaced(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found nothing there"):
        open_dataset("BraTS", root=tmp_path / "nowhere")
    (tmp_path / "data" / "Task03_Liver").mkdir(parents=True)
    with pytest.raises(DataError, match="Task03_Liver.*found an empty folder"):
        open_dataset("Liver")


def test_volumes_take_the_name_of_their_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="any folder of volumes: no root was given"):
        open_dataset("Volumes", fallback=False)
    monkeypatch.chdir(write_pairs(tmp_path / "my scans"))
    source = open_dataset("Volumes", root=".")
    assert source is not None and source.name == "my scans" and len(source) == 3


def test_unknown_key() -> None:
    with pytest.raises(DataError, match="data set: expected one of BraTS, .*found 'Brats'"):
        open_dataset("Brats")


names_strategy = st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=40)


@given(names_strategy, st.integers(0, 5), st.randoms())
def test_splits_are_disjoint_complete_and_do_not_depend_on_order(names: list[str], seed: int, order: object) -> None:
    train, test = (split_names(names, split, seed=seed) for split in ("train", "test"))
    assert sorted(train + test) == split_names(names, "all") == sorted(names) and not set(train) & set(test)
    if len(names) >= 2:
        assert train and test and abs(len(test) - 0.2 * len(names)) <= 1
    order.shuffle(names)  # type: ignore[attr-defined]
    assert split_names(names, "test", seed=seed) == test == sorted(test)


def test_split_is_pinned() -> None:
    names = [f"case{i:02d}" for i in range(20)]
    pinned = ["case00", "case13", "case14", "case18"]
    assert split_names(names, "test") == pinned
    assert split_names(names, "test", seed=1) != pinned
    assert split_names(["only"], "test") == [] and split_names(["only"], "train") == ["only"]
    with pytest.raises(DataError, match="split: expected one of train, test, all, found 'val'"):
        split_names(names, "val")


@given(names_strategy, st.floats(0, 1), st.floats(0, 1), st.integers(0, 5))
def test_labelled_cases_are_nested(names: list[str], a: float, b: float, draw: int) -> None:
    few, many = (labelled_names(names, fraction, draw) for fraction in sorted((a, b)))
    assert set(few) <= set(many) <= set(names) and many == sorted(many)
    assert labelled_names(names, 1.0, draw) == sorted(names) and labelled_names(names, 0.0, draw) == []
    if names and a > 0:
        assert labelled_names(names, a, draw)


@given(names_strategy, st.data(), st.integers(0, 5))
def test_a_number_of_labelled_cases_is_exact_and_nested(names: list[str], data: st.DataObject, draw: int) -> None:
    a, b = sorted(data.draw(st.integers(0, len(names))) for _ in range(2))
    few, many = (labelled_names(names, draw=draw, count=count) for count in (a, b))
    assert len(few) == a and set(few) <= set(many) <= set(names) and many == sorted(many)
    assert many == labelled_names(names, b / max(len(names), 1), draw) or b == 0
    with pytest.raises(DataError, match=f"labelled_cases: expected at most the {len(names)} cases that there are"):
        labelled_names(names, count=len(names) + 1)


def test_labelled_draws_are_pinned_and_differ() -> None:
    names = [f"case{i:02d}" for i in range(20)]
    assert labelled_names(names, 0.2) == labelled_names(names, count=4) == ["case04", "case14", "case15", "case17"]
    draws = {tuple(labelled_names(names, count=4, draw=draw)) for draw in range(10)}
    assert len(draws) == 10 and len({name for drawn in draws for name in drawn}) > 15


def test_labelled_fraction_out_of_range() -> None:
    with pytest.raises(DataError, match=r"labelled_fraction: expected a number in \[0, 1\], found 1.5"):
        labelled_names(["a"], 1.5)
