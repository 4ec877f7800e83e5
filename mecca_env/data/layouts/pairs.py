"""Layouts in which the names of files pair images with labels: any two folders, and MM-WHS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mecca_env.data.base import DataError
from mecca_env.data.formats.npz import is_npz
from mecca_env.data.inventory import Inventory, folders_below, lost_links, stem, visible_files

_MMWHS = re.compile(r"(mr|ct)_train_\d+_(image|label)$")


def pairs(root: Path, modalities: tuple[str, ...]) -> Inventory:
    """`images/` and `labels/` with the same file names up to their endings."""
    inventory = Inventory()
    for kind in ("images", "labels"):
        if not (root / kind).is_dir():
            raise DataError(f"{root}: expected folders images/ and labels/, found no {kind}/")
    images, labels = (inventory.images_in(root / kind) for kind in ("images", "labels"))
    for name in sorted(images.keys() | labels.keys()):
        inventory.pair(name, images.get(name), labels.get(name))
    return inventory


def is_pairs(root: Path) -> bool:
    """Whether one of the two folders is there, and does not hold `.npz` files alone (`layouts.npz`)."""
    there = [root / kind for kind in ("images", "labels") if (root / kind).is_dir()]
    files = [path for folder in there for path in visible_files(folder)]
    return bool(there) and (any(stem(path) for path in files) or not any(map(is_npz, files)))


def mmwhs(root: Path, modalities: tuple[str, ...]) -> Inventory:
    """`mr_train_1001_image.nii.gz` and `mr_train_1001_label.nii.gz`, ct_ likewise, in the root or one folder down."""
    inventory = Inventory()
    parts: dict[str, dict[str, list[Path]]] = {}
    for path in mmwhs_files(root):
        name = str(stem(path))
        if _MMWHS.match(name):
            name, kind = name.rsplit("_", 1)
            parts.setdefault(name, {}).setdefault(kind, []).append(path)
        else:
            inventory.faults.append(
                f"{path}: expected mr_train_N_image, mr_train_N_label or ct_ likewise, found {name}"
            )
    for name, kinds in parts.items():
        for copies in kinds.values():
            if len(copies) > 1:
                inventory.faults.append(f"{copies[0]}: expected one file of this name, found also {copies[1]}")
                inventory.ambiguous.add(copies[0])
        inventory.pair(name, kinds.get("image", [None])[0], kinds.get("label", [None])[0])
    for folder in folders_below(root, depth=1):
        for link in lost_links(folder):
            inventory.faults.append(f"{link}: expected a folder, found a link that leads nowhere")
    return inventory


def mmwhs_files(root: Path) -> Iterator[Path]:
    """The image files that are called like training cases of MM-WHS."""
    for folder in folders_below(root, depth=1):
        yield from (f for f in visible_files(folder) if (stem(f) or "").startswith(("mr_train_", "ct_train_")))
