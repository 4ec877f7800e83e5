"""Uploads: bounded, under random names, gone with the session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.requests import ClientDisconnect

from mecca_agents.app.tab.uploads import Upload, Uploads, printable_name
from mecca_agents.session import SessionError
from tests.support.annotation import run


async def _pieces(*pieces: bytes, close: Uploads | None = None, fail: bool = False) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
        if close is not None:
            close.close()
    if fail:
        raise ClientDisconnect


def _receive(uploads: Uploads, name: str, *pieces: bytes, **how: object) -> Upload:
    return run(uploads.receive(name, _pieces(*pieces, **how)))  # type: ignore[arg-type]


def _files(uploads: Uploads) -> list[Path]:
    return sorted(uploads.folder.iterdir())


def test_a_file_arrives_whole_under_a_random_name() -> None:
    uploads = Uploads(1000)
    one, two = (_receive(uploads, "../../etc/Brain scan.NII.gz", b"ab", b"cd") for _ in range(2))
    assert one.path.read_bytes() == b"abcd" and one.path.parent == uploads.folder
    assert one.path.name == f"{one.key}.nii.gz" and len(one.key) == 32 and one.key != two.key
    assert one.name == "Brain scan.NII.gz"
    assert uploads.take(one.key) == one
    uploads.discard(one)
    assert _files(uploads) == [two.path]
    with pytest.raises(SessionError, match="upload: expected"):
        uploads.take(one.key)
    uploads.close()
    assert not uploads.folder.exists()


def test_too_much_is_refused_and_leaves_nothing() -> None:
    uploads = Uploads(10)
    kept = _receive(uploads, "a.nii", b"123456")
    with pytest.raises(SessionError, match="expected at most"):
        _receive(uploads, "b.nii", b"123", b"45")
    assert _files(uploads) == [kept.path]
    uploads.discard(kept)
    assert _receive(uploads, "c.nii", b"1234567890").path.exists()  # all of it is free again
    uploads.close()


def test_too_many_are_refused() -> None:
    uploads = Uploads(100, most_files=2)
    for _ in range(2):
        _receive(uploads, "a.nii", b"1")
    with pytest.raises(SessionError, match="at most 2 uploads"):
        _receive(uploads, "a.nii", b"1")
    uploads.close()


@pytest.mark.parametrize("name", ["a.txt", "", "nii", "a.nii.exe", "a.html", "a.hdr"])
def test_other_kinds_are_refused(name: str) -> None:
    uploads = Uploads(100)
    with pytest.raises(SessionError, match="expected a name that ends in"):
        _receive(uploads, name, b"1")
    assert _files(uploads) == []
    uploads.close()


def test_a_browser_that_goes_away_leaves_nothing() -> None:
    uploads = Uploads(10, most_files=1)
    with pytest.raises(ClientDisconnect):
        _receive(uploads, "a.nii", b"12345", fail=True)
    assert _files(uploads) == []
    assert _receive(uploads, "a.nii", b"1234567890").path.exists()
    uploads.close()


def test_a_session_that_closes_while_a_file_arrives() -> None:
    uploads = Uploads(10)
    with pytest.raises(SessionError, match="closed"):
        _receive(uploads, "a.nii", b"12", b"34", close=uploads)
    assert not uploads.folder.exists()


def test_names_are_shown_without_what_cannot_be_printed() -> None:
    assert printable_name("C:\\scans\\a\u202e\n\0b.nii") == "ab.nii"
    assert len(printable_name("x" * 500 + ".nii")) == 80
