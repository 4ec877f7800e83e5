"""Folders of `.npz` files, as the CVPR 2025 challenge of interactive segmentation publishes them."""

from __future__ import annotations

from pathlib import Path

from mecca_env.data.formats.npz import ENDING, is_npz
from mecca_env.data.inventory import SIDECARS, Inventory, folders_below, shortened, stem, visible_files


def npz(root: Path, modalities: tuple[str, ...]) -> Inventory:
    """`<case>.npz`, each with scan and label; or `images/<case>.npz` with the scan and `labels/<case>.npz` with it.

    They may lie in folders up to three deep, as modalities and data sets do in the challenge's training set. The second
    form is that of its validation set, whose labels are published apart.
    """
    inventory = Inventory()
    if not _is_apart(root):
        for name, path in _files(root, inventory).items():
            inventory.pair(name, path, path)
        return inventory
    images, labels = (_files(root / kind, inventory) for kind in ("images", "labels"))
    for name in sorted(images.keys() | labels.keys()):
        inventory.pair(name, images.get(name), labels.get(name))
    return inventory


def is_npz_folder(root: Path) -> bool:
    """Whether such files lie there or in folders below, more of them than image files of other kinds."""
    files = [path for folder in folders_below(root) for path in visible_files(folder)]
    return sum(map(is_npz, files)) > sum(stem(path) is not None for path in files)


def _is_apart(root: Path) -> bool:
    return (root / "images").is_dir() or (root / "labels").is_dir()


def _files(root: Path, inventory: Inventory) -> dict[str, Path]:
    """The `.npz` files below a folder by their names; what else lies there is a fault, or of `SIDECARS` a note."""
    by_name: dict[str, Path] = {}
    aside: list[str] = []
    for folder in folders_below(root) if root.is_dir() else ():
        for path in visible_files(folder):
            name = path.name[: -len(ENDING)]
            if path.name.lower().endswith(SIDECARS):
                aside.append(path.name)
            elif not is_npz(path):
                inventory.faults.append(
                    f"{path}: expected a {ENDING} file, found another file; convert it, or move it elsewhere"
                )
            elif name in by_name:
                inventory.faults.append(f"{path}: expected one file of this name, found also {by_name[name]}")
                inventory.ambiguous.add(by_name[name])
            else:
                by_name[name] = path
    if aside:
        inventory.notes.append(f"{root}: left aside, no images: {shortened(aside)}")
    return by_name
