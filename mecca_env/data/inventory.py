"""The contents of a data set's folder: its cases, and the files that make no case."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mecca_env.data.world.nifti import voxel_file

SUFFIXES = (".nii.gz", ".nii", ".mha", ".hdr")
"""Endings of image files; .hdr is the header of a NIfTI pair."""

_DEPTH = 3


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case.

    Attributes:
        name: Case name, unique in its folder.
        images: One file per modality, or one file that holds them all.
        label: The label map.
    """

    name: str
    images: tuple[Path, ...]
    label: Path

    @property
    def paths(self) -> list[Path]:
        """Every file that it is read from. Raises `DataError` where a NIfTI pair is not complete."""
        files = (*self.images, self.label)
        return list(dict.fromkeys((*files, *map(voxel_file, files))))


@dataclass
class Inventory:
    """The contents of a folder.

    Attributes:
        cases: The complete cases, sorted by name.
        faults: One line per file that is missing, left over or ambiguous.
        modalities: M, the number of channels every case must have.
    """

    cases: list[CaseFiles] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    modalities: int = 1

    def add(self, name: str, images: list[Path | None], label: Path | None) -> None:
        """Add a case unless one of its files is missing, which `only` has reported."""
        present = tuple(image for image in images if image is not None)
        if label is not None and len(present) == len(images):
            self.cases.append(CaseFiles(name, present, label))

    def pair(self, name: str, image: Path | None, label: Path | None) -> None:
        """Add a case of one image and one label, or report the one that lacks its partner."""
        if image is not None and label is not None:
            self.cases.append(CaseFiles(name, (image,), label))
        elif image is not None:
            self.faults.append(f"{image}: image without label; expected a label of {name}, found none")
        else:
            self.faults.append(f"{label}: label without image; expected an image of {name}, found none")

    def only(self, candidates: list[Path], expected: Path, missing: str) -> Path | None:
        """The one candidate; none or several are reported."""
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            found = " and ".join(path.name for path in candidates)
            self.faults.append(f"{expected}: expected one such file, found {found}")
        else:
            self.faults.append(f"{expected}: {missing}; expected this file, found none")
        return None


def stem(path: Path | str) -> str | None:
    """File name without its ending, where that is one of `SUFFIXES`; None for every other file."""
    name = Path(path).name
    return next((name[: -len(s)] for s in SUFFIXES if name.lower().endswith(s)), None)


def visible_files(folder: Path) -> list[Path]:
    """Files of a folder, sorted, without hidden ones: macOS leaves a `._name` beside every real file.

    The second file of a NIfTI pair goes with its header.
    """
    if not folder.is_dir():
        return []
    found = {p for p in folder.iterdir() if not p.name.startswith(".") and p.is_file()}
    headers = {p.with_suffix("") for p in found if p.suffix.lower() == ".hdr"}
    return sorted(p for p in found if p.suffix.lower() != ".img" or p.with_suffix("") not in headers)


def subfolders(folder: Path) -> list[Path]:
    """Folders in a folder, sorted, without hidden ones."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def folders_below(root: Path, depth: int = _DEPTH) -> Iterator[Path]:
    """The root and the folders `depth` levels down, each once, also where links lead in a circle."""
    seen: set[Path] = set()
    level = [root]
    for _ in range(depth + 1):
        new = [folder for folder in level if folder.resolve() not in seen]
        seen.update(folder.resolve() for folder in new)
        yield from new
        level = [below for folder in new for below in subfolders(folder)]
