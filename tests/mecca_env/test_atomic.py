"""Files are written whole or not at all, and what the disk refuses is one error in the caller's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from mecca_env.atomic import atomically, os_errors_as, write_text
from mecca_env.data.base import DataError


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        atomically(path, fail)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_text_is_utf_8_and_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "table.md"
    path.write_text("old")
    write_text(path, "± 1\n")
    assert path.read_bytes() == b"\xc2\xb1 1\n" and list(tmp_path.iterdir()) == [path]


def test_what_the_system_refuses_is_said_in_the_callers_words(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "table.md"
    with pytest.raises(DataError, match="^table cannot be written: No such file or directory$") as raised:
        with os_errors_as(lambda reason: DataError(f"table cannot be written: {reason}")):
            write_text(path, "")
    assert isinstance(raised.value.__cause__, FileNotFoundError)


def test_a_reason_without_a_number_is_its_text() -> None:
    with (
        pytest.raises(DataError, match="^no: a broken header$"),
        os_errors_as(lambda reason: DataError(f"no: {reason}")),
    ):
        raise OSError("a broken header")


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError, match="label"), os_errors_as(DataError):
        raise KeyError("label")


def test_a_read_only_file_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("kept")
    path.chmod(0o444)
    with pytest.raises(PermissionError, match="read-only") as raised:
        write_text(path, "new")
    assert raised.value.filename == str(path)
    assert path.read_text() == "kept" and list(tmp_path.iterdir()) == [path]
    path.chmod(0o600)
    write_text(path, "new")
    assert path.read_text() == "new"


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path: Path) -> None:
    path = tmp_path / f"{'é' * 125}.csv"  # 254 bytes
    atomically(path, lambda temporary: temporary.write_text(temporary.suffix))
    assert path.read_text() == ".csv" and list(tmp_path.iterdir()) == [path]
