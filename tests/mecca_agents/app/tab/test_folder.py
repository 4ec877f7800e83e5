"""Files are opened below the folder given at the start, and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mecca_agents.app.tab.folder import Folder
from mecca_agents.session import SessionError


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with links that lead out of it, and a secret beside it."""
    base = tmp_path_factory.mktemp("base")
    (base / "secret.nii").write_text("secret")
    root = base / "root"
    (root / "inner" / "deep").mkdir(parents=True)
    for name in ("a.nii.gz", "inner/b.mha", "inner/notes.txt", "inner/log.json", ".hidden.nii", "inner/deep/c.nii"):
        (root / name).write_text(name)
    (root / "out.nii").symlink_to(base / "secret.nii")
    (root / "outside").symlink_to(base)
    (root / "within.nii").symlink_to(root / "inner/deep/c.nii")
    (root / "loop").symlink_to(root / "loop")
    return root


def test_names_that_no_browser_could_ask_for_are_left_out(tmp_path: Path) -> None:
    for name in (b"/caf\xe9.nii", b"/caf\xc3\xa9.nii"):
        Path(os.fsdecode(os.fsencode(tmp_path) + name)).write_text("")
    assert Folder(tmp_path).listing().files == ["café.nii"]


def test_files_below_it_are_found(root: Path) -> None:
    folder = Folder(root)
    assert folder.file("inner/b.mha") == root / "inner/b.mha"
    assert folder.file(str(root / "a.nii.gz")) == root / "a.nii.gz"
    assert folder.file("inner/../a.nii.gz") == root / "a.nii.gz"
    assert folder.file("within.nii") == root / "inner/deep/c.nii"  # a link, but one that stays inside


@pytest.mark.parametrize(
    "name",
    [
        "../secret.nii",
        "inner/../../secret.nii",
        "/etc/passwd",
        "out.nii",
        "outside/secret.nii",
        "outside/root/../secret.nii",
        "loop",
        "loop/x.nii",
        "",
        "inner",
        "none.nii",
        "a.nii.gz/x",
        "a\0b",
        "x" * 5000,
        "~/x",
        "file:///etc/passwd",
    ],
)
def test_nothing_else_is(root: Path, name: str) -> None:
    with pytest.raises(SessionError, match="expected"):
        Folder(root).file(name)


@given(
    st.text(alphabet="./\\~ab\0\u202e", max_size=30)
    | st.lists(st.sampled_from(("..", "outside", "inner", "/", "root", "secret.nii", "out.nii"))).map("/".join)
)
def test_no_name_leads_out(root: Path, name: str) -> None:
    folder = Folder(root)
    for find in (folder.file, folder.listing):
        try:
            found = find(name)
        except SessionError:
            continue
        if isinstance(found, Path):
            assert found.is_relative_to(root) and found.read_text() != "secret"
        else:
            assert (root / found.path).resolve().is_relative_to(root)
            assert "secret.nii" not in found.files and "out.nii" not in found.files


def test_a_listing_shows_what_can_be_opened(root: Path) -> None:
    folder = Folder(root)
    listing = folder.listing()
    assert (listing.folders, listing.files) == (["inner"], ["a.nii.gz", "within.nii"])  # nothing that leads out
    assert folder.listing("inner").files == ["b.mha"]
    assert folder.listing("inner", (".json",)).files == ["log.json"]
    assert folder.listing("inner/deep").path == "inner/deep"
    for name in ("..", "outside", "a.nii.gz", "none"):
        with pytest.raises(SessionError):
            folder.listing(name)


def test_the_folder_itself_has_to_be_one(root: Path) -> None:
    for wrong in (root / "none", root / "a.nii.gz", root / "loop"):
        with pytest.raises(SessionError, match="expected a folder"):
            Folder(wrong)
