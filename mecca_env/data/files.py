"""A data set in a folder of files: every case checked before the first episode, prepared once, kept on disk."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mecca_env.data.base import DataError, PreparedCase
from mecca_env.data.caching.disk import Arrays, cache_path, fetch, file_identity
from mecca_env.data.caching.memory import RecentCases
from mecca_env.data.grid.cutting import prepare
from mecca_env.data.layouts import DEFAULT_MODALITIES, CaseFiles, discover
from mecca_env.data.reading import read_scan
from mecca_env.data.splits import split_names

SHOWN_FAULTS = 20
"""Faults that one error message lists before it only counts them."""

_logger = logging.getLogger("mecca_env")


class FileSource:
    """The cases of a folder, a `VolumeSource`.

    Construction reads every case that is not yet in the disk cache, and refuses when one is at fault.

    Args:
        name: Name of the data set, written into every result.
        root: Its folder.
        layout: One of the published layouts, or "auto".
        labels: Foreground value or values; None takes `labels_by_layout`'s, or all above 0.
        labels_by_layout: Default foreground values where a layout has its own.
        modalities: Which images of a BraTS case are read.
        split: "train", "test" or "all" (see `split_names`).
        names: Only these cases of the split; others are not read. None: all.
        extension: Least and most voxels a training crop extends beyond the label on each side (Sec. 4.1).
        rotation: Largest rotation in training, degrees.
        evaluation_extension: Extension of the crops of evaluation, voxels.
        skip_bad: Leave cases that are at fault out, with one warning, instead of refusing.
        memory_bytes: Prepared cases kept in memory take no more than this.

    Attributes:
        name: Name of the data set.
        modalities: M, the number of channels of every case.
        root: Its folder.
        layout: The layout that was found.
        labels: Foreground values, or None for all above 0.

    Raises:
        DataError: The folder or one of its cases cannot be used (all faults are listed), or no case is left.
        CacheError: The disk cache cannot be written.
    """

    def __init__(
        self,
        name: str,
        root: Path | str,
        *,
        layout: str = "auto",
        labels: int | Sequence[int] | None = None,
        labels_by_layout: Mapping[str, Sequence[int]] | None = None,
        modalities: Sequence[str] = DEFAULT_MODALITIES,
        split: str = "all",
        names: Sequence[str] | None = None,
        extension: tuple[int, int] = (1, 11),
        rotation: float = 15.0,
        evaluation_extension: int = 6,
        skip_bad: bool = False,
        memory_bytes: int = 1 << 30,
    ) -> None:
        self.name = name
        self.root = Path(root)
        self.layout, inventory = discover(root, layout, modalities)
        self.modalities = inventory.modalities
        self.labels = foreground_values(labels, (labels_by_layout or {}).get(self.layout))
        self._settings: dict[str, Any] = {
            "extension": (int(extension[0]), int(extension[1])),
            "rotation": float(rotation),
            "evaluation_extension": int(evaluation_extension),
        }
        self._recent = RecentCases(memory_bytes)
        chosen = _chosen(self.root, inventory.cases, split, names)
        self._cases, faults = self._prepare_all(chosen)
        self._report([*inventory.faults, *faults], skip_bad)

    def __len__(self) -> int:
        """Number of cases."""
        return len(self._cases)

    def case_name(self, index: int) -> str:
        """Name of case `index`, without loading it."""
        return self._cases[index].name

    def files(self, index: int) -> CaseFiles:
        """The files of case `index`."""
        return self._cases[index]

    def case(self, index: int) -> PreparedCase:
        """The prepared case `index`, from memory, from the disk cache, or from its files. Do not change its tensors.

        Raises:
            DataError: Its files have become unreadable since construction.
            IndexError: There is no such case.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"case index: expected 0 to {len(self) - 1}, got {index}")
        files = self._cases[index]

        def load() -> PreparedCase:
            return _from_arrays(files.name, fetch(self._key(files), lambda: self._build(files)))

        return self._recent.get(index, load)

    def _key(self, files: CaseFiles) -> dict[str, Any]:
        return {
            "kind": "case",
            "files": [file_identity(path) for path in (*files.images, files.label)],
            "labels": self.labels,
            "modalities": self.modalities,
            **self._settings,
        }

    def _build(self, files: CaseFiles) -> Arrays:
        return _to_arrays(prepare(read_scan(files, self.labels, self.modalities), **self._settings))

    def _prepare_all(self, cases: list[CaseFiles]) -> tuple[list[CaseFiles], list[str]]:
        """Make sure that every case is in the disk cache; the good ones, and the faults of the others."""
        good: list[CaseFiles] = []
        faults: list[str] = []
        for number, files in enumerate(cases, 1):
            try:
                key = self._key(files)
                if not cache_path(key).exists():
                    _logger.info("%s: preparing case %d of %d, %s", self.name, number, len(cases), files.name)
                    fetch(key, lambda files=files: self._build(files))  # type: ignore[misc]
                good.append(files)
            except DataError as error:
                faults.extend(str(error).splitlines())
        return good, faults

    def _report(self, faults: list[str], skip_bad: bool) -> None:
        if faults and not skip_bad:
            raise DataError(
                f"{self.root}: {_listed(faults)}\nCorrect them (`mecca data check {self.root}` lists all), "
                "or pass skip_bad=True (--skip-bad) to leave these cases out."
            )
        if not self._cases:
            raise DataError(f"{self.root}: expected at least one good case, found none; {_listed(faults)}")
        if faults:
            warnings.warn(f"{self.root}: cases left out: {_listed(faults)}", UserWarning, stacklevel=3)


def foreground_values(
    labels: int | Sequence[int] | None, default: Sequence[int] | None = None
) -> tuple[int, ...] | None:
    """Foreground values as a sorted tuple, or None for all above 0.

    Raises:
        DataError: Not an integer and not a sequence of at least one.
    """
    given = default if labels is None else labels
    if given is None:
        return None
    values = (given,) if not isinstance(given, Sequence) else tuple(given)
    if not values or not all(hasattr(v, "__index__") and not isinstance(v, bool) for v in values):
        raise DataError(f"label: expected an integer or several, found {labels!r}")
    return tuple(sorted({int(v) for v in values}))


def _chosen(root: Path, cases: list[CaseFiles], split: str, names: Sequence[str] | None) -> list[CaseFiles]:
    available = split_names([case.name for case in cases], split)
    wanted = set(available if names is None else names)
    unknown = sorted(wanted - set(available))
    if unknown:
        raise DataError(f"{root}: expected names of cases in the split {split!r}, found {', '.join(unknown[:5])}")
    if cases and not wanted:
        raise DataError(f"{root}: expected at least two cases to split, found {len(cases)}; use split='all'")
    return [case for case in cases if case.name in wanted]


def _listed(faults: list[str]) -> str:
    shown = "".join(f"\n  {fault}" for fault in faults[:SHOWN_FAULTS])
    more = f"\n  and {len(faults) - SHOWN_FAULTS} more" if len(faults) > SHOWN_FAULTS else ""
    return f"{len(faults)} fault{'' if len(faults) == 1 else 's'}{':' if faults else ''}{shown}{more}"


def _to_arrays(case: PreparedCase) -> Arrays:
    integers = {"origin": case.origin, "box": case.box, "scan_shape": case.scan_shape}
    return {
        "image": case.image.numpy(),
        "label": case.label.numpy(),
        "affine": case.affine,
        "mean": case.mean,
        "std": case.std,
        **{name: np.asarray(value, np.int64) for name, value in integers.items()},
    }


def _from_arrays(name: str, arrays: Arrays) -> PreparedCase:
    low, high = arrays["box"]
    return PreparedCase(
        name=name,
        image=torch.from_numpy(arrays["image"]),
        label=torch.from_numpy(arrays["label"]),
        origin=_triple(arrays["origin"]),
        box=(_triple(low), _triple(high)),
        scan_shape=_triple(arrays["scan_shape"]),
        affine=arrays["affine"],
        mean=arrays["mean"],
        std=arrays["std"],
    )


def _triple(values: NDArray[np.int64]) -> tuple[int, int, int]:
    a, b, c = (int(v) for v in values)
    return a, b, c
