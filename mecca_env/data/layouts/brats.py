"""The BraTS challenges: a folder for each case, its images by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from mecca_env.data.inventory import Inventory, stem, subfolders, visible_files
from mecca_env.data.layouts.folders import called_so, case_folders, one_file

BRATS_MODALITIES = ("flair", "t1", "t1ce", "t2")
"""The images of one BraTS case, by the names of the 2020 release."""

DEFAULT_MODALITIES = ("flair",)
"""The images of a BraTS case that are read when nothing else is asked for: the whole tumour is outlined on Flair."""

_ENDS_2020 = {m: f"_{m}" for m in (*BRATS_MODALITIES, "seg")}
_ENDS_2023 = {"flair": "-t2f", "t1": "-t1n", "t1ce": "-t1c", "t2": "-t2w", "seg": "-seg"}
_MHA_NAMES = {"flair": "MR_Flair", "t1": "MR_T1", "t1ce": "MR_T1c", "t2": "MR_T2"}
_TIME_POINT = re.compile(r"(?<=tcia_pat\d{3})_\d+$|(?<=-\d{5})-\d{3}$")  # of names of 2015, and from 2023 on
_VSD = re.compile(r"VSD\.Brain[^.]*\.XX\.O\.(\w+)\.", re.IGNORECASE)


def brats2015(root: Path, modalities: tuple[str, ...]) -> Inventory:
    """`<case>/VSD.Brain.XX.O.MR_Flair.<n>/*.mha` and `<case>/VSD.Brain_3more.XX.O.OT.<n>/*.mha`."""
    inventory = Inventory(modalities=len(modalities))
    for folder in case_folders(root, is_brats2015_case, inventory):
        images = [_one_mha(folder, _MHA_NAMES[m], "missing image", inventory) for m in modalities]
        label = _one_mha(folder, "OT", "image without label", inventory)
        _add(folder, images, label, inventory)
    return inventory


def is_brats2015_case(folder: Path) -> bool:
    """Whether folders of images lie there that are called as in 2015."""
    return any(_VSD.match(f.name) for f in subfolders(folder))


def _brats(root: Path, modalities: tuple[str, ...], ends: Mapping[str, str]) -> Inventory:
    """`<case>/<case><end>.nii[.gz]` for each modality and for "seg", possibly below HGG/ and LGG/."""
    inventory = Inventory(modalities=len(modalities))
    for folder in case_folders(root, partial(_is_case, ends=ends), inventory):
        images = [one_file(folder, f"{folder.name}{ends[m]}", "missing image", inventory) for m in modalities]
        _add(folder, images, _label(folder, f"{folder.name}{ends['seg']}", inventory), inventory)
    return inventory


def _is_case(folder: Path, ends: Mapping[str, str]) -> bool:
    return called_so(folder, [f"{folder.name}{end}" for end in ends.values()])


brats2020: Callable[[Path, tuple[str, ...]], Inventory] = partial(_brats, ends=_ENDS_2020)
"""`<case>/<case>_flair.nii[.gz]` and `<case>/<case>_seg.nii[.gz]`, as from 2017 to 2021."""

brats2023: Callable[[Path, tuple[str, ...]], Inventory] = partial(_brats, ends=_ENDS_2023)
"""`<case>/<case>-t2f.nii[.gz]` and `<case>/<case>-seg.nii[.gz]`, as from 2023 on."""

is_brats2020_case: Callable[[Path], bool] = partial(_is_case, ends=_ENDS_2020)
"""Whether one of the files of `brats2020` lies there."""

is_brats2023_case: Callable[[Path], bool] = partial(_is_case, ends=_ENDS_2023)
"""Whether one of the files of `brats2023` lies there."""


def _label(folder: Path, name: str, inventory: Inventory) -> Path | None:
    """The label; the published case 355 of 2020 has it under another name that contains "Segm"."""
    named = [f for f in visible_files(folder) if stem(f) == name]
    similar = [f for f in visible_files(folder) if "seg" in (stem(f) or "").removeprefix(folder.name).lower()]
    if not named and len(similar) == 1:
        return similar[0]
    return one_file(folder, name, "image without label", inventory)


def _one_mha(folder: Path, kind: str, missing: str, inventory: Inventory) -> Path | None:
    matches = [(d, _VSD.match(d.name)) for d in subfolders(folder)]
    inside = [d for d, match in matches if match and match[1].lower() == kind.lower()]
    files = [f for d in inside for f in visible_files(d) if f.suffix.lower() == ".mha"]
    return inventory.only(files, folder / f"VSD.Brain.XX.O.{kind}.*" / "*.mha", missing)


def _add(folder: Path, images: list[Path | None], label: Path | None, inventory: Inventory) -> None:
    """Add a case, its grade before its name: BraTS uses the same patient names in HGG/ and in LGG/."""
    grade = folder.parent.name
    name = f"{grade}_{folder.name}" if grade in ("HGG", "LGG") else folder.name
    inventory.add(name, images, label, _TIME_POINT.sub("", name))
