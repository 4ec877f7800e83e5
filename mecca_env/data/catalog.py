"""The named data sets: which folder each lies in, which label values are its target, how its cases are split."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mecca_env.data.base import DataError
from mecca_env.data.files import FileSource
from mecca_env.data.splits import labelled_names, split_names
from mecca_env.data.targets import LabelChoice

__all__ = ["CATALOG", "DataSet", "labelled_names", "open_dataset", "split_names"]

_warned: set[str] = set()


@dataclass(frozen=True)
class DataSet:
    """One named data set.

    Attributes:
        key: The name inside the environment's id.
        name: What the data set is called.
        folders: Folders looked for under `$MECCA_DATA`, in this order; none: only a root that is given is read.
        labels_by_layout: Foreground values where a layout has its own; other layouts take all above 0.
        modalities: Images read of a BraTS case.
    """

    key: str
    name: str
    folders: tuple[str, ...] = ()
    labels_by_layout: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    modalities: tuple[str, ...] = ("flair",)


CATALOG: dict[str, DataSet] = {
    d.key: d
    for d in (
        DataSet("BraTS", "BraTS 2020", ("BraTS2020", "BraTS", "MICCAI_BraTS2020_TrainingData")),
        DataSet("BraTS2015", "BraTS 2015", ("BraTS2015", "BRATS2015_Training")),
        DataSet("LeftAtrium", "MM-WHS", ("MM-WHS", "LeftAtrium2018"), {"mmwhs": (420,)}),
        DataSet("Spleen", "Decathlon spleen", ("Task09_Spleen",)),
        DataSet("Liver", "Decathlon liver", ("Task03_Liver",)),
        DataSet("Hippocampus", "Decathlon hippocampus", ("Task04_Hippocampus",)),
        DataSet("Volumes", "any folder of volumes"),
    )
}
"""Every data set that is read from files, by key. 420 is the left atrium's blood cavity in MM-WHS."""


def open_dataset(
    key: str,
    root: Path | str | None = None,
    labels: LabelChoice = None,
    fallback: bool = True,
    *,
    modalities: Sequence[str] | None = None,
    **settings: Any,
) -> FileSource | None:
    """Open a data set of the catalog.

    The source's `name` is the name of the folder that was really read, so that results say so.

    Args:
        key: A key of `CATALOG`.
        root: Its folder; None looks for its folders under `$MECCA_DATA`.
        labels: Foreground value or values; None takes the catalog's; "each" makes a case of every value above 0, those
            that are not the catalog's as well.
        fallback: Where nothing is found under `$MECCA_DATA`: warn, once per process, and return None, so that the
            caller takes the phantom. A folder that was named or found but cannot be used is always an error.
        modalities: Which images of a BraTS case are read; None takes the catalog's.
        **settings: Passed on to `FileSource`: split, names, layout, extension, skip_bad and so on.

    Returns:
        The source, or None for the phantom.

    Raises:
        DataError: The key is unknown, nothing was found and `fallback` is off, or the folder cannot be used.
    """
    if key not in CATALOG:
        raise DataError(f"data set: expected one of {', '.join(CATALOG)}, found {key!r}")
    dataset = CATALOG[key]
    folder = find_folder(dataset, fallback) if root is None else Path(root).expanduser()
    if folder is None:
        return None
    return FileSource(
        folder.resolve().name or dataset.name,
        folder,
        labels=labels,
        labels_by_layout=dataset.labels_by_layout,
        modalities=dataset.modalities if modalities is None else modalities,
        **settings,
    )


def find_folder(dataset: DataSet, fallback: bool = False) -> Path | None:
    """The folder of a data set under `$MECCA_DATA`, or None.

    Args:
        dataset: The data set.
        fallback: Where there is no folder: warn, once per process, and return None.

    Raises:
        DataError: There is no folder, and no fallback.
    """
    base = os.environ.get("MECCA_DATA")
    candidates = [Path(base).expanduser() / folder for folder in dataset.folders] if base else []
    for candidate in candidates:
        if candidate.exists():
            return candidate
    where = _where_it_is_not(dataset, base)
    if not fallback:
        raise DataError(f"{dataset.name}: {where}; set MECCA_DATA or pass root=")
    if dataset.key not in _warned:
        warnings.warn(
            f"{dataset.name} was not found: {where}. THE BUILT-IN PHANTOM IS USED INSTEAD; results are not those of "
            f"{dataset.name}. Pass root= or fallback=False.",
            UserWarning,
            stacklevel=3,
        )
        _warned.add(dataset.key)
    return None


def _where_it_is_not(dataset: DataSet, base: str | None) -> str:
    if not dataset.folders:
        return "no root was given, and it has no folder of its own under MECCA_DATA"
    folders = " or ".join(dataset.folders)
    return (
        f"MECCA_DATA={base} holds no folder {folders}" if base else f"MECCA_DATA is not set; expected above {folders}"
    )
