"""The disk cache: what comes out is what went in, whatever happens to its files or beside it."""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mecca_env.data.base import DataError
from mecca_env.data.caching import disk
from mecca_env.data.caching.disk import Arrays, CacheError, cache_folder, cache_path, fetch, file_identity

ARRAYS: Arrays = {"a": np.arange(24, dtype=np.float32).reshape(2, 3, 4), "b": np.array([True, False]), "c": np.int64(3)}
KEY = {"kind": "test", "numbers": (1, 2)}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MECCA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def forbidden() -> Arrays:
    raise AssertionError("built although it is in the cache")


def same(one: Arrays, other: Arrays) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(one[k], other[k]) and one[k].dtype == other[k].dtype for k in one
    )


def test_built_once_and_read_back(folder: Path) -> None:
    assert same(fetch(KEY, lambda: dict(ARRAYS)), ARRAYS)
    assert same(fetch(KEY, forbidden), ARRAYS)
    assert [p for p in folder.iterdir()] == [cache_path(KEY)]


def test_a_failed_build_stores_nothing(folder: Path) -> None:
    with pytest.raises(AssertionError):
        fetch(KEY, forbidden)
    assert not folder.exists()


def test_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MECCA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "mecca"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "mecca"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
keys = st.dictionaries(st.text(max_size=5), values, max_size=4)


@given(keys, keys)
def test_keys_are_distinct_and_do_not_depend_on_order(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert cache_path(one) == cache_path(dict(reversed(one.items())))
    assert (cache_path(one) == cache_path(other)) == (repr(sorted(one.items())) == repr(sorted(other.items())))


def test_format_is_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cache_path(KEY)
    monkeypatch.setattr(disk, "FORMAT", disk.FORMAT + 1)
    assert cache_path(KEY) != before


def test_identity_of_a_file_is_path_size_and_time(tmp_path: Path) -> None:
    file = tmp_path / "scan.nii"
    file.write_bytes(b"abc")
    before = file_identity(file)
    (tmp_path / "link.nii").symlink_to(file)
    assert file_identity(tmp_path / "link.nii") == before == (str(file.resolve()), 3, file.stat().st_mtime_ns)
    os.utime(file, ns=(1, 1))
    assert file_identity(file) != before
    with pytest.raises(DataError, match="nothing.nii: expected a file, found No such file"):
        file_identity(tmp_path / "nothing.nii")


def damage(how: str) -> Callable[[bytes], bytes]:
    return {
        "empty": lambda content: b"",
        "truncated": lambda content: content[: len(content) // 2],
        "foreign": lambda content: b"not an archive",
        "flipped": lambda content: content.replace(ARRAYS["a"].tobytes(), ARRAYS["a"][::-1].tobytes()),
    }[how]


@pytest.mark.parametrize("how", ["empty", "truncated", "foreign", "flipped"])
def test_damaged_entries_are_built_again_with_a_warning(how: str, caplog: pytest.LogCaptureFixture) -> None:
    fetch(KEY, lambda: dict(ARRAYS))
    content = cache_path(KEY).read_bytes()
    assert damage(how)(content) != content
    cache_path(KEY).write_bytes(damage(how)(content))
    with caplog.at_level(logging.WARNING, "mecca_env"):
        assert same(fetch(KEY, lambda: dict(ARRAYS)), ARRAYS)
    assert str(cache_path(KEY)) in caplog.text and "built again" in caplog.text
    assert same(fetch(KEY, forbidden), ARRAYS)


def test_any_changed_byte_is_harmless() -> None:
    fetch(KEY, lambda: dict(ARRAYS))
    content = cache_path(KEY).read_bytes()
    for position in range(0, len(content), 3):
        changed = bytearray(content)
        changed[position] ^= 0x55
        cache_path(KEY).write_bytes(bytes(changed))
        assert same(fetch(KEY, lambda: dict(ARRAYS)), ARRAYS), position


@pytest.mark.parametrize("foreign", ["other key", "no key", "pickled"])
def test_foreign_archives_are_built_again(foreign: str, folder: Path) -> None:
    if foreign == "other key":
        fetch({"kind": "other"}, lambda: {"a": np.zeros(3)})
        os.replace(cache_path({"kind": "other"}), cache_path(KEY))
    else:
        folder.mkdir()
        with cache_path(KEY).open("wb") as file:
            np.savez(file, a=np.array([None]) if foreign == "pickled" else np.zeros(3))
    assert same(fetch(KEY, lambda: dict(ARRAYS)), ARRAYS)


def test_a_folder_that_cannot_be_written_names_the_variable(folder: Path) -> None:
    folder.write_bytes(b"a file where the folder should be")
    with pytest.raises(CacheError, match="cannot be written.*set MECCA_CACHE"):
        fetch(KEY, lambda: dict(ARRAYS))


def test_read_only_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **keywords: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(CacheError, match="Permission denied.*MECCA_CACHE"):
        fetch(KEY, lambda: dict(ARRAYS))


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_leaves_no_file_behind(folder: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(file: Path, **arrays: object) -> None:
        file.write_bytes(b"half an archive")
        raise error

    monkeypatch.setattr(disk.np, "savez", fail)
    with pytest.raises(CacheError if isinstance(error, OSError) else KeyboardInterrupt) as caught:
        fetch(KEY, lambda: dict(ARRAYS))
    if isinstance(error, OSError):
        assert "No space left on device" in str(caught.value) and "MECCA_CACHE" in str(caught.value)
    assert list(folder.iterdir()) == []


def _fetch_slowly(number: int, start: Any, results: Any) -> None:
    def build() -> Arrays:
        time.sleep(0.05)
        return {"a": np.full((64, 64, 64), 7.0)}

    start.wait()
    for _ in range(5):
        arrays = fetch(KEY, build)
        results.put((number, float(arrays["a"].min()), float(arrays["a"].max())))
        cache_path(KEY).unlink(missing_ok=True)


def test_several_processes_share_one_entry(folder: Path) -> None:
    context = multiprocessing.get_context("fork")
    start, results = context.Event(), context.Queue()
    processes = [context.Process(target=_fetch_slowly, args=(n, start, results)) for n in range(4)]
    for process in processes:
        process.start()
    start.set()
    found = [results.get(timeout=60) for _ in range(20)]
    for process in processes:
        process.join(timeout=60)
    assert [process.exitcode for process in processes] == [0] * 4
    assert {n for n, _, _ in found} == set(range(4)) and all(low == high == 7.0 for _, low, high in found)
    assert all(path.suffix == ".npz" for path in folder.iterdir())
