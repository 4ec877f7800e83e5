"""Which layout a folder has, and the cases in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mecca_env.data.base import DataError
from mecca_env.data.formats.names import NOT_UTF8, check_utf8, is_utf8, printable
from mecca_env.data.inventory import Inventory, folders_below, shortened
from mecca_env.data.layouts import brats
from mecca_env.data.layouts.brats import BRATS_MODALITIES, DEFAULT_MODALITIES
from mecca_env.data.layouts.folders import atria2018, is_atria2018_case
from mecca_env.data.layouts.listed import decathlon, is_decathlon, is_nnunet, nnunet
from mecca_env.data.layouts.npz import is_npz_folder, npz
from mecca_env.data.layouts.pairs import is_pairs, mmwhs, mmwhs_files, pairs

Recogniser = Callable[[Path], bool]
InventoryTaker = Callable[[Path, tuple[str, ...]], Inventory]


def _folders_of(is_case: Recogniser) -> Recogniser:
    return lambda root: any(map(is_case, folders_below(root)))


LAYOUTS: dict[str, tuple[Recogniser, InventoryTaker]] = {
    "nnunet": (is_nnunet, nnunet),
    "decathlon": (is_decathlon, decathlon),
    "pairs": (is_pairs, pairs),
    "mmwhs": (lambda root: next(mmwhs_files(root), None) is not None, mmwhs),
    "brats2015": (_folders_of(brats.is_brats2015_case), brats.brats2015),
    "brats2020": (_folders_of(brats.is_brats2020_case), brats.brats2020),
    "brats2023": (_folders_of(brats.is_brats2023_case), brats.brats2023),
    "atria2018": (_folders_of(is_atria2018_case), atria2018),
    "npz": (is_npz_folder, npz),
}
"""Every layout by name: how it is recognised and how its inventory is taken, in the order in which they are tried."""

_DESCRIPTIONS = {
    "nnunet": "nnunet (imagesTr/CASE_0000.nii.gz, labelsTr/CASE.nii.gz, dataset.json)",
    "decathlon": "decathlon (dataset.json with imagesTr/ and labelsTr/)",
    "pairs": "pairs (images/ and labels/ with the same file names)",
    "mmwhs": "mmwhs (mr_train_1001_image.nii.gz and mr_train_1001_label.nii.gz)",
    "brats2015": "brats2015 (CASE/VSD.Brain.XX.O.MR_Flair.N/*.mha and CASE/VSD.Brain_3more.XX.O.OT.N/*.mha)",
    "brats2020": "brats2020 (CASE/CASE_flair.nii.gz and CASE/CASE_seg.nii.gz)",
    "brats2023": "brats2023 (CASE/CASE-t2f.nii.gz and CASE/CASE-seg.nii.gz)",
    "atria2018": "atria2018 (CASE/lgemri.nrrd and CASE/laendo.nrrd)",
    "npz": "npz (CASE.npz with imgs, gts and spacing, or images/CASE.npz and labels/CASE.npz)",
}


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
    check_utf8(root)
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
    return printable(shortened(names))


def _finished(root: Path, layout: str, inventory: Inventory) -> Inventory:
    inventory.cases.sort(key=lambda case: case.name)
    for case in list(inventory.cases):
        odd = [path for path in (*case.images, case.label) if not is_utf8(path)]
        inventory.faults.extend(f"{path}: {NOT_UTF8}" for path in odd)
        if odd:
            inventory.cases.remove(case)
    inventory.faults = [printable(fault) for fault in inventory.faults]
    inventory.notes = [printable(note) for note in inventory.notes]
    twice: set[str] = set()
    for before, case in zip(inventory.cases, inventory.cases[1:], strict=False):
        if before.name == case.name:
            inventory.faults.append(f"{case.label}: expected distinct case names, found {case.name!r} twice")
            twice.add(case.name)
    ambiguous = inventory.ambiguous
    inventory.cases = [c for c in inventory.cases if c.name not in twice and ambiguous.isdisjoint((*c.images, c.label))]
    if not inventory.cases and not inventory.faults:
        raise DataError(f"{root}: expected cases in the layout {_DESCRIPTIONS[layout]}, found none")
    return inventory
