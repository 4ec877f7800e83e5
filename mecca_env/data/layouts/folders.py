"""Layouts with a folder for each case: which folders are cases, and which of the others ought to be."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path

from mecca_env.data.inventory import Inventory, folders_below, lost_links, shortened, stem, visible_files

ATRIA_IMAGE, ATRIA_LABEL = "lgemri", "laendo"
"""Scan and left atrium of a case of the 2018 atrial segmentation challenge."""


def case_folders(root: Path, is_case: Callable[[Path], bool], inventory: Inventory) -> list[Path]:
    """The folders below a root that are cases.

    One that is none is a fault where it holds images or is called like one that is, numbers aside: its case would be
    missing without a word. So is a link that leads nowhere. What lies inside a case is not looked at.
    """
    cases: list[Path] = []
    others: list[Path] = []
    for folder in folders_below(root):
        if not set(cases) & set(folder.parents):
            (cases if is_case(folder) else others).append(folder)
    alike = {_without_numbers(case) for case in cases}
    above = {parent for case in cases for parent in case.parents}
    for folder in others:
        if _holds_images(folder) or (_without_numbers(folder) in alike and folder not in above):
            found = shortened(path.name for path in visible_files(folder)) or "nothing"
            inventory.faults.append(f"{folder}: expected the files of a case, found {found}")
        for link in lost_links(folder):
            inventory.faults.append(f"{link}: expected a folder, found a link that leads nowhere")
    return cases


def one_file(folder: Path, name: str, missing: str, inventory: Inventory, suffix: str = ".nii.gz") -> Path | None:
    """The file of a folder that is called so, whatever its ending; none or several are reported."""
    files = [f for f in visible_files(folder) if stem(f) == name]
    return inventory.only(files, folder / f"{name}{suffix}", missing)


def atria2018(root: Path, modalities: tuple[str, ...]) -> Inventory:
    """`<case>/lgemri.nrrd` and `<case>/laendo.nrrd`."""
    inventory = Inventory()
    for folder in case_folders(root, is_atria2018_case, inventory):
        image = one_file(folder, ATRIA_IMAGE, "missing image", inventory, ".nrrd")
        label = one_file(folder, ATRIA_LABEL, "image without label", inventory, ".nrrd")
        inventory.add(folder.name, [image], label)
    return inventory


def is_atria2018_case(folder: Path) -> bool:
    """Whether scan or label lies there."""
    return called_so(folder, (ATRIA_IMAGE, ATRIA_LABEL))


def called_so(folder: Path, names: Collection[str]) -> bool:
    """Whether a folder holds an image file that has one of these names."""
    return any(stem(f) in names for f in visible_files(folder))


def _holds_images(folder: Path) -> bool:
    return any(stem(f) is not None for f in visible_files(folder))


def _without_numbers(folder: Path) -> str:
    return re.sub(r"\d+", "0", folder.name)
