"""The one folder that the page opens files from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mecca_agents.session import SessionError
from mecca_env.data.formats.names import is_utf8
from mecca_env.data.inventory import stem

MOST_SHOWN = 1000
"""Entries of a folder that are listed."""


@dataclass(frozen=True)
class Listing:
    """The contents of a folder.

    Attributes:
        path: The folder, relative to the root.
        folders: Names of the folders in it.
        files: Names of the files in it that can be opened.
    """

    path: str
    folders: list[str]
    files: list[str]


class Folder:
    """Finds files by names that come from a browser.

    Args:
        root: Nothing outside of it is opened or listed, links out of it included.

    Raises:
        SessionError: It is no folder.
    """

    def __init__(self, root: Path) -> None:
        try:
            self.root = root.resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise SessionError(f"{root}: expected a folder, found none") from error
        if not self.root.is_dir():
            raise SessionError(f"{root}: expected a folder, found a file")

    def file(self, name: str) -> Path:
        """The file of that name, all links followed.

        Args:
            name: Relative to the root, or absolute and in it.

        Raises:
            SessionError: It lies outside, or is no file.
        """
        path = self._inside(name)
        try:
            if path.is_file():
                return path
        except OSError:
            pass
        raise SessionError(f"{name[:200]}: expected a file in {self.root}, found none")

    def listing(self, name: str = "", endings: tuple[str, ...] = ()) -> Listing:
        """List a folder: its folders, and images or, where `endings` are given, files that end so.

        Names that are not UTF-8 are left out: no browser could ask for them.

        Raises:
            SessionError: It lies outside, or is no folder that can be read.
        """
        path = self._inside(name)
        try:
            shown = (entry for entry in path.iterdir() if not entry.name.startswith(".") and is_utf8(entry))
            entries = sorted(shown)[:MOST_SHOWN]
            folders = [entry.name for entry in entries if entry.is_dir() and self._holds(entry)]
            files = [entry.name for entry in entries if _fits(entry, endings) and self._holds(entry)]
        except OSError as error:
            raise SessionError(
                f"{name[:200]}: expected a folder in {self.root}, found none that can be read"
            ) from error
        relative = path.relative_to(self.root).as_posix()
        return Listing("" if relative == "." else relative, folders, files)

    def _inside(self, name: str) -> Path:
        try:
            path = (self.root / name).resolve()
        except (OSError, ValueError, RuntimeError) as error:  # too long, a zero byte, links in a circle
            raise SessionError(f"{name[:200]!r}: expected the name of a file in {self.root}, found none") from error
        if not path.is_relative_to(self.root):
            raise SessionError(f"{name[:200]}: expected a file in {self.root}, found one outside of it")
        return path

    def _holds(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self.root)


def _fits(path: Path, endings: tuple[str, ...]) -> bool:
    if not path.is_file():
        return False
    return path.name.lower().endswith(endings) if endings else stem(path) is not None
