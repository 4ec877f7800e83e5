"""The folder layouts data sets are published in: each a function from a root folder to the cases that lie in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mecca_env.data.base import DataError
from mecca_env.data.inventory import CaseFiles, Inventory, folders_below, stem, subfolders, visible_files

__all__ = [
    "BRATS_MODALITIES",
    "DEFAULT_MODALITIES",
    "LAYOUTS",
    "CaseFiles",
    "Inventory",
    "discover",
]

BRATS_MODALITIES = ("flair", "t1", "t1ce", "t2")
"""The images of one BraTS case, by the names of the 2020 release."""

DEFAULT_MODALITIES = ("flair",)
"""The images of a BraTS case that are read when nothing else is asked for: the whole tumour is outlined on Flair."""

_MHA_NAMES = {"flair": "MR_Flair", "t1": "MR_T1", "t1ce": "MR_T1c", "t2": "MR_T2"}


def discover(
    root: Path | str, layout: str = "auto", modalities: Sequence[str] = DEFAULT_MODALITIES
) -> tuple[str, Inventory]:
    """Find the layout of a folder and the cases in it; no image is opened.

    Args:
        root: The data set's folder.
        layout: One of `LAYOUTS`, or "auto" to find out.
        modalities: Which images of a BraTS case are wanted, from `BRATS_MODALITIES`; other layouts have no choice.

    Returns:
        The layout's name and the inventory.

    Raises:
        DataError: The folder is missing, is a file, is empty, or holds no case of the layout.
    """
    root = Path(root)
    wanted = _checked_modalities(modalities)
    if layout != "auto" and layout not in LAYOUTS:
        raise DataError(f"layout: expected 'auto' or one of {', '.join(LAYOUTS)}, found {layout!r}")
    found = _checked_root(root)
    for name in LAYOUTS if layout == "auto" else (layout,):
        recognised, take_inventory = LAYOUTS[name]
        if recognised(root):
            inventory = take_inventory(root, wanted)
            return name, _finished(root, name, inventory)
    expected = "; ".join(_DESCRIPTIONS[name] for name in (LAYOUTS if layout == "auto" else (layout,)))
    raise DataError(f"{root}: no known layout; expected {expected}; found {found}")


def _brats2020(root: Path, modalities: tuple[str, ...]) -> Inventory:
    """`<case>/<case>_flair.nii[.gz]` and `<case>/<case>_seg.nii[.gz]`, possibly below HGG/ and LGG/."""
    inventory = Inventory(modalities=len(modalities))
    for folder in folders_below(root):
        if not _is_brats2020_case(folder):
            continue
        images = [_one(folder, f"{folder.name}_{m}", "missing image", inventory) for m in modalities]
        label = _brats2020_label(folder, inventory)
        inventory.add(_graded_name(folder), images, label)
    return inventory


def _brats2020_label(folder: Path, inventory: Inventory) -> Path | None:
    """The `_seg` file; the published case 355 has its label under another name that contains "Segm"."""
    named = [f for f in visible_files(folder) if stem(f) == f"{folder.name}_seg"]
    similar = [f for f in visible_files(folder) if stem(f) is not None and "seg" in f.name.lower()]
    if not named and len(similar) == 1:
        return similar[0]
    return _one(folder, f"{folder.name}_seg", "image without label", inventory)


def _brats2015(root: Path, modalities: tuple[str, ...]) -> Inventory:
    """`<case>/VSD.Brain.XX.O.MR_Flair.<n>/*.mha` and `<case>/VSD.Brain_3more.XX.O.OT.<n>/*.mha`."""
    inventory = Inventory(modalities=len(modalities))
    for folder in folders_below(root):
        if _is_brats2015_case(folder):
            images = [_one_mha(folder, _MHA_NAMES[m], "missing image", inventory) for m in modalities]
            label = _one_mha(folder, "OT", "image without label", inventory)
            inventory.add(_graded_name(folder), images, label)
    return inventory


def _mmwhs(root: Path, modalities: tuple[str, ...]) -> Inventory:
    """`mr_train_1001_image.nii.gz` and `mr_train_1001_label.nii.gz`, ct_ likewise, in the root or one folder down."""
    parts: dict[str, dict[str, list[Path]]] = {}
    for path in _mmwhs_files(root):
        name, kind = str(stem(path)).rsplit("_", 1)
        parts.setdefault(name, {}).setdefault(kind, []).append(path)
    inventory = Inventory()
    for name, kinds in parts.items():
        for copies in kinds.values():
            if len(copies) > 1:
                inventory.faults.append(f"{copies[0]}: expected one file of this name, found also {copies[1]}")
        inventory.pair(name, kinds.get("image", [None])[0], kinds.get("label", [None])[0])
    return inventory


def _decathlon(root: Path, modalities: tuple[str, ...]) -> Inventory:
    """`dataset.json`, whose "training" lists the cases; `imagesTr/` and `labelsTr/`.

    Pairs that `dataset.json` does not list are not part of the data set.
    """
    content = _dataset_json(root)
    inventory = Inventory(modalities=len(content["modality"]))
    listed: set[Path] = set()
    for entry in content["training"]:
        image, label = (Path(root, entry[part]) for part in ("image", "label"))
        if image.name.startswith("."):
            continue
        listed.update((image.resolve(), label.resolve()))
        missing = [p for p in (image, label) if not p.is_file()]
        inventory.faults.extend(f"{p}: listed in {root / 'dataset.json'}, expected a file, found none" for p in missing)
        if not missing:
            inventory.cases.append(CaseFiles(stem(image) or image.name, (image,), label))
    _report_unpaired(root / "imagesTr", root / "labelsTr", listed, inventory)
    return inventory


def _report_unpaired(images: Path, labels: Path, listed: set[Path], inventory: Inventory) -> None:
    for here, there, kind in ((images, labels, "image without label"), (labels, images, "label without image")):
        partners = {stem(f) for f in visible_files(there)}
        for path in visible_files(here):
            if stem(path) is not None and stem(path) not in partners and path.resolve() not in listed:
                inventory.faults.append(f"{path}: {kind}; expected {there / path.name}, found none")


def _pairs(root: Path, modalities: tuple[str, ...]) -> Inventory:
    """`images/` and `labels/` with the same file names up to .nii, .nii.gz or .mha."""
    inventory = Inventory()
    found: dict[str, dict[str, Path]] = {"images": {}, "labels": {}}
    for kind, by_name in found.items():
        if not (root / kind).is_dir():
            raise DataError(f"{root}: expected folders images/ and labels/, found no {kind}/")
        for path in visible_files(root / kind):
            name = stem(path)
            if name is None:
                inventory.faults.append(f"{path}: expected a .nii, .nii.gz or .mha file, found another")
            elif name in by_name:
                inventory.faults.append(f"{path}: expected one file of this name, found also {by_name[name].name}")
            else:
                by_name[name] = path
    for name in sorted(found["images"].keys() | found["labels"].keys()):
        inventory.pair(name, found["images"].get(name), found["labels"].get(name))
    return inventory


def _is_brats2020_case(folder: Path) -> bool:
    own = {f"{folder.name}_{part}" for part in (*BRATS_MODALITIES, "seg")}
    return any(stem(f) in own for f in visible_files(folder))


def _is_brats2015_case(folder: Path) -> bool:
    return any(_VSD.match(f.name) for f in subfolders(folder))


_VSD = re.compile(r"VSD\.Brain[^.]*\.XX\.O\.(\w+)\.", re.IGNORECASE)
_MMWHS = re.compile(r"(mr|ct)_train_\d+_(image|label)$")

Recogniser = Callable[[Path], bool]
InventoryTaker = Callable[[Path, tuple[str, ...]], Inventory]

LAYOUTS: dict[str, tuple[Recogniser, InventoryTaker]] = {
    "decathlon": (lambda root: (root / "dataset.json").is_file() or (root / "imagesTr").is_dir(), _decathlon),
    "pairs": (lambda root: (root / "images").is_dir() or (root / "labels").is_dir(), _pairs),
    "mmwhs": (lambda root: next(_mmwhs_files(root), None) is not None, _mmwhs),
    "brats2015": (lambda root: any(map(_is_brats2015_case, folders_below(root))), _brats2015),
    "brats2020": (lambda root: any(map(_is_brats2020_case, folders_below(root))), _brats2020),
}
"""Every layout by name: how it is recognised and how its inventory is taken, in the order in which they are tried."""

_DESCRIPTIONS = {
    "decathlon": "decathlon (dataset.json with imagesTr/ and labelsTr/)",
    "pairs": "pairs (images/ and labels/ with the same file names)",
    "mmwhs": "mmwhs (mr_train_1001_image.nii.gz and mr_train_1001_label.nii.gz)",
    "brats2015": "brats2015 (CASE/VSD.Brain.XX.O.MR_Flair.N/*.mha and CASE/VSD.Brain_3more.XX.O.OT.N/*.mha)",
    "brats2020": "brats2020 (CASE/CASE_flair.nii.gz and CASE/CASE_seg.nii.gz)",
}


def _checked_modalities(modalities: Sequence[str]) -> tuple[str, ...]:
    wanted = (modalities,) if isinstance(modalities, str) else tuple(modalities)
    if not wanted or len(set(wanted)) != len(wanted) or not set(wanted) <= set(BRATS_MODALITIES):
        raise DataError(f"modalities: expected distinct names out of {BRATS_MODALITIES}, found {modalities!r}")
    return wanted


def _checked_root(root: Path) -> str:
    """A description of what lies in the root, after ruling out that nothing does."""
    if not root.exists():
        raise DataError(f"{root}: expected the folder of a data set, found nothing there")
    if not root.is_dir():
        raise DataError(f"{root}: expected the folder of a data set, found a file")
    names = sorted(p.name for p in root.iterdir() if not p.name.startswith("."))
    if not names:
        raise DataError(f"{root}: expected the folder of a data set ({', '.join(LAYOUTS)}), found an empty folder")
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _finished(root: Path, layout: str, inventory: Inventory) -> Inventory:
    inventory.cases.sort(key=lambda case: case.name)
    for before, case in zip(inventory.cases, inventory.cases[1:], strict=False):
        if before.name == case.name:
            inventory.faults.append(f"{case.label}: expected distinct case names, found {case.name!r} twice")
    if not inventory.cases and not inventory.faults:
        raise DataError(f"{root}: expected cases in the layout {_DESCRIPTIONS[layout]}, found none")
    return inventory


def _dataset_json(root: Path) -> dict[str, Any]:
    path = root / "dataset.json"
    if not path.is_file():
        raise DataError(f"{path}: expected the Decathlon's list of cases, found no such file")
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected JSON, found {error}") from error
    modality = content.get("modality") if isinstance(content, dict) else None
    if not isinstance(modality, dict | list) or not modality:
        raise DataError(f'{path}: expected a "modality" with one entry per channel, found {modality!r}')
    training = content.get("training")
    if not isinstance(training, list):
        raise DataError(f'{path}: expected a list "training", found {training!r}')
    for entry in training:
        if not isinstance(entry, dict) or not all(isinstance(entry.get(part), str) for part in ("image", "label")):
            raise DataError(f'{path}: expected entries of "training" with "image" and "label", found {entry!r}')
    return content


def _mmwhs_files(root: Path) -> Iterator[Path]:
    for folder in folders_below(root, depth=1):
        yield from (f for f in visible_files(folder) if f.suffix != ".mha" and _MMWHS.match(stem(f) or ""))


def _one(folder: Path, name: str, missing: str, inventory: Inventory) -> Path | None:
    files = [f for f in visible_files(folder) if stem(f) == name]
    return inventory.only(files, folder / f"{name}.nii.gz", missing)


def _one_mha(folder: Path, kind: str, missing: str, inventory: Inventory) -> Path | None:
    matches = [(d, _VSD.match(d.name)) for d in subfolders(folder)]
    inside = [d for d, match in matches if match and match[1].lower() == kind.lower()]
    files = [f for d in inside for f in visible_files(d) if f.suffix.lower() == ".mha"]
    return inventory.only(files, folder / f"VSD.Brain.XX.O.{kind}.*" / "*.mha", missing)


def _graded_name(folder: Path) -> str:
    """The folder's name, with the grade before it: BraTS uses the same patient names in HGG/ and in LGG/."""
    grade = folder.parent.name
    return f"{grade}_{folder.name}" if grade in ("HGG", "LGG") else folder.name
