"""The contents of a data set's folder: its cases, and the files that make no case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mecca_env.data.world.nifti import voxel_file

SUFFIXES = (".nii.gz", ".nii", ".mha", ".nrrd", ".hdr")
"""Endings of image files; .hdr is the header of a NIfTI pair."""

SIDECARS = (
    *(".bval", ".bvec", ".cff", ".csv", ".db", ".docx", ".html", ".ini", ".json", ".log", ".md", ".pdf", ".ps1"),
    *(".py", ".rst", ".sh", ".toml", ".tsv", ".txt", ".xlsx", ".xml", ".yaml", ".yml", "license", "readme"),
)
"""Endings of files that lie beside images and are none: notes about them, and what Windows leaves in folders."""

_DEPTH = 3


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case.

    Attributes:
        name: Case name, unique in its folder.
        images: One file per modality, or one file that holds them all.
        label: The label map.
        patient: Whose scan it is: all cases of a patient are in one split. By default the case has one of its own, of
            its name.
    """

    name: str
    images: tuple[Path, ...]
    label: Path
    patient: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "patient", self.patient or self.name)

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
        notes: One line about each kind of files that are left aside, which is no fault.
        labels: Foreground values that the folder itself names; None: all above 0.
        ambiguous: Files beside others of the same name; which of them is meant is unclear.
    """

    cases: list[CaseFiles] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    modalities: int = 1
    notes: list[str] = field(default_factory=list)
    labels: tuple[int, ...] | None = None
    ambiguous: set[Path] = field(default_factory=set)

    def add(self, name: str, images: list[Path | None], label: Path | None, patient: str = "") -> None:
        """Add a case unless one of its files is missing, which `only` has reported."""
        present = tuple(image for image in images if image is not None)
        if label is not None and len(present) == len(images):
            self.cases.append(CaseFiles(name, present, label, patient))

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

    def images_in(self, folder: Path) -> dict[str, Path]:
        """The image files of a folder by their stems; what else lies there is a fault, or of `SIDECARS` a note."""
        by_name: dict[str, Path] = {}
        aside: list[Path] = []
        for path in visible_files(folder):
            name = stem(path)
            if name is None and path.name.lower().endswith(SIDECARS):
                aside.append(path)
            elif name is None:
                self.faults.append(
                    f"{path}: expected {one_of(SUFFIXES)}, found another file; convert it, or move it elsewhere"
                )
            elif name in by_name:
                self.faults.append(f"{path}: expected one file of this name, found also {by_name[name].name}")
                self.ambiguous.add(by_name[name])
            else:
                by_name[name] = path
        for below in folders_below(folder):
            if below != folder and any(stem(path) is not None for path in visible_files(below)):
                self.faults.append(f"{below}: expected all images in {folder} itself, found some in this folder")
        if aside:
            self.notes.append(f"{folder}: left aside, no images: {shortened(path.name for path in aside)}")
        return by_name


def stem(path: Path | str) -> str | None:
    """File name without its ending, where that is one of `SUFFIXES`; None for every other file."""
    name = Path(path).name
    return next((name[: -len(s)] for s in SUFFIXES if name.lower().endswith(s)), None)


def visible_files(folder: Path) -> list[Path]:
    """What a folder holds beside folders, sorted, without what is hidden: macOS leaves a `._name` beside each file.

    Links that lead nowhere are among them, and folders that are called like an image: who names a file means one. The
    second file of a NIfTI pair goes with its header.
    """
    if not folder.is_dir():
        return []
    visible = (p for p in folder.iterdir() if not p.name.startswith("."))
    found = [p for p in visible if not p.is_dir() or stem(p) is not None]
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


def lost_links(folder: Path) -> list[Path]:
    """Links of a folder that lead nowhere and may have led to a folder of images."""
    files = (path for path in visible_files(folder) if stem(path) is None)
    return [path for path in files if not path.exists() and not path.name.lower().endswith(SIDECARS)]


def shortened(names: Iterable[str], most: int = 5) -> str:
    """The first names of a list, and how many there are more."""
    given = list(names)
    return ", ".join(given[:most]) + (f" and {len(given) - most} more" if len(given) > most else "")


def one_of(endings: tuple[str, ...]) -> str:
    """Endings of files in words: `a .nii.gz, .nii or .mha file`."""
    return f"a {', '.join(endings[:-1])} or {endings[-1]} file"
