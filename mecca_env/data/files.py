"""A data set in a folder of files: every case checked before the first episode, prepared once, kept on disk."""

from __future__ import annotations

import logging
import shlex
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mecca_env.data.base import DataError, PreparedCase, Scan
from mecca_env.data.caching.disk import Arrays, cache_path, fetch, file_identity
from mecca_env.data.caching.memory import RecentCases
from mecca_env.data.grid.cutting import prepare
from mecca_env.data.layouts import DEFAULT_MODALITIES, CaseFiles, discover
from mecca_env.data.reading import read_numbers, read_scan
from mecca_env.data.splits import split_names
from mecca_env.data.targets import (
    EACH,
    Foreground,
    LabelChoice,
    Target,
    asked_values,
    case_of_scan,
    check_distinct,
    foreground_values,
    part_of,
    scan_of_case,
    values_in,
)
from mecca_env.data.world.grids import checked_tolerance

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
        labels: Foreground value or values; None takes `labels_by_layout`'s, or the folder's own, or all above 0. With
            "each" every value above 0 of every scan is a case of its own (`mecca_env.data.targets.case_of_scan`), scan
            after scan and values ascending; all cases of a scan are in the same split.
        labels_by_layout: Default foreground values where a layout has its own.
        modalities: Which images of a BraTS case are read.
        split: "train", "test" or "all" (see `split_names`); all cases of a patient are in the same.
        names: Only these cases of the split, or all cases of these scans; others are not read. None: all.
        extension: Least and most voxels a training crop extends beyond the label on each side (Sec. 4.1).
        rotation: Largest rotation in training, degrees.
        evaluation_extension: Extension of the crops of evaluation, voxels.
        skip_bad: Leave cases that are at fault out, with one warning, instead of refusing.
        tolerance: Millimetres that the files of a case may lie apart; None: next to nothing (`world.grids.same_grid`).
        whole: Keep whole scans, for crops that lie anywhere in them.
        memory_bytes: Prepared cases kept in memory take no more than this.

    Attributes:
        name: Name of the data set.
        modalities: M, the number of channels of every case.
        root: Its folder.
        layout: The layout that was found.
        labels: Foreground values, None for all above 0, or "each".

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
        labels: LabelChoice = None,
        labels_by_layout: Mapping[str, Sequence[int]] | None = None,
        modalities: Sequence[str] = DEFAULT_MODALITIES,
        split: str = "all",
        names: Sequence[str] | None = None,
        extension: tuple[int, int] = (1, 11),
        rotation: float = 15.0,
        evaluation_extension: int = 6,
        skip_bad: bool = False,
        tolerance: float | None = None,
        whole: bool = False,
        memory_bytes: int = 1 << 30,
    ) -> None:
        self._tolerance = checked_tolerance(tolerance)
        self.name = name
        self.root = Path(root)
        self.layout, inventory = discover(root, layout, modalities)
        self.modalities = inventory.modalities
        self.labels = foreground_values(labels, (labels_by_layout or {}).get(self.layout, inventory.labels))
        self._settings: dict[str, Any] = {
            "extension": (int(extension[0]), int(extension[1])),
            "rotation": float(rotation),
            "evaluation_extension": int(evaluation_extension),
            **({"whole": True} if whole else {}),
        }
        self._recent = RecentCases(memory_bytes)
        self._check = _check_command(self.root, self.labels, modalities, tolerance)
        if self.labels == EACH:
            check_distinct(files.name for files in inventory.cases)
        wanted = None if names is None else frozenset(names)
        chosen = _chosen(self.root, inventory.cases, split, wanted, self.labels == EACH)
        self._cases, faults = self._prepare_all(chosen, wanted)
        self._report([*inventory.faults, *faults], skip_bad)

    def __len__(self) -> int:
        """Number of cases."""
        return len(self._cases)

    def case_name(self, index: int) -> str:
        """Name of case `index`, without loading it."""
        return self._cases[index].name

    def files(self, index: int) -> CaseFiles:
        """The files of case `index`, and the name of its scan."""
        return self._cases[index].files

    def foreground(self, index: int) -> tuple[int, ...] | None:
        """The foreground values of case `index`; None: all above 0."""
        return self._cases[index].labels

    def case(self, index: int) -> PreparedCase:
        """The prepared case `index`, from memory, from the disk cache, or from its files. Do not change its tensors.

        Raises:
            DataError: Its files have become unreadable since construction.
            IndexError: There is no such case.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"case index: expected 0 to {len(self) - 1}, got {index}")
        target = self._cases[index]

        def load() -> PreparedCase:
            return _from_arrays(target.name, fetch(self._key(target), lambda: self._build(target)))

        return self._recent.get(index, load)

    def _key(self, target: Target) -> dict[str, Any]:
        return {
            "kind": "case",
            "files": [file_identity(path) for path in target.files.paths],
            "labels": target.labels,
            "modalities": self.modalities,
            "tolerance": self._tolerance,
            **self._settings,
        }

    def _build(self, target: Target) -> Arrays:
        return self._prepare(read_scan(target.files, target.labels, self.modalities, self._tolerance))

    def _prepare(self, scan: Scan) -> Arrays:
        return _to_arrays(prepare(scan, **self._settings))

    def _prepare_all(self, scans: list[CaseFiles], wanted: Collection[str] | None) -> tuple[list[Target], list[str]]:
        """Make sure that every case is in the disk cache; the good ones, and the faults of the others."""
        good: list[Target] = []
        faults: list[str] = []
        for number, files in enumerate(scans, 1):
            try:
                good.extend(self._prepare_scan(files, f"{number} of {len(scans)}", wanted, faults))
            except DataError as error:
                faults.extend(str(error).splitlines())
        return good, faults

    def _prepare_scan(
        self, files: CaseFiles, number: str, wanted: Collection[str] | None, faults: list[str]
    ) -> list[Target]:
        """The good ones of a scan's cases, now in the disk cache; it is read once for all that are not there yet."""
        whole = cache(lambda: read_numbers(files, self.modalities, self._tolerance))
        targets = self._targets(files, wanted, whole)
        missing = [target for target in targets if not cache_path(self._key(target)).exists()]
        if missing:
            _logger.info("%s: preparing case %s, %s", self.name, number, files.name)
        if missing and self.labels == EACH:
            whole()  # what is wrong with the scan is said once, and not of each of its values
        for target in missing:

            def build(target: Target = target) -> Arrays:
                return self._prepare(part_of(*whole(), target)) if self.labels == EACH else self._build(target)

            try:
                fetch(self._key(target), build)
            except DataError as error:
                faults.extend(str(error).splitlines())
                targets.remove(target)
        return targets

    def _targets(
        self, files: CaseFiles, wanted: Collection[str] | None, whole: Callable[[], tuple[Scan, NDArray[Any]]]
    ) -> list[Target]:
        """The cases of a scan that are wanted; which values it has comes from the disk cache, or from the scan."""
        if self.labels != EACH:
            return [Target(files.name, files, self.labels)]
        values = asked_values(files, wanted)
        if values is None:
            key = {"kind": "label values", "files": [file_identity(path) for path in files.paths]}
            stored = fetch(key, lambda: {"values": values_in(whole()[1])})["values"]
            values = tuple(int(value) for value in stored)
        return [Target(case_of_scan(files.name, value), files, (value,)) for value in values]

    def _report(self, faults: list[str], skip_bad: bool) -> None:
        if faults and not skip_bad:
            raise DataError(
                f"{self.root}: {_listed(faults)}\nCorrect them (`{self._check}` lists all), "
                "or pass skip_bad=True (--skip-bad) to leave these cases out."
            )
        if not self._cases:
            raise DataError(f"{self.root}: expected at least one good case, found none; {_listed(faults)}")
        if faults:
            warnings.warn(f"{self.root}: cases left out: {_listed(faults)}", UserWarning, stacklevel=3)


def _chosen(
    root: Path, cases: list[CaseFiles], split: str, names: Collection[str] | None, of_values: bool
) -> list[CaseFiles]:
    """The scans of a split that names ask for, all of them without names; names may be of values of scans."""
    patients = set(split_names([case.patient for case in cases], split))
    available = {case.name for case in cases if case.patient in patients}
    scans = {n: scan_of_case(n, available) if of_values else n for n in (available if names is None else names)}
    unknown = sorted(name for name, scan in scans.items() if scan not in available)
    if unknown:
        raise DataError(f"{root}: expected names of cases in the split {split!r}, found {', '.join(unknown[:5])}")
    if cases and not scans:
        found = f"{len(cases)}{' of one patient' if len(cases) > 1 else ''}"
        raise DataError(f"{root}: expected at least two cases to split, found {found}; use split='all' (--split all)")
    return [case for case in cases if case.name in set(scans.values())]


def _check_command(root: Path, labels: Foreground, modalities: Sequence[str], tolerance: float | None) -> str:
    """The command that looks at a folder as a source does, its quotes those of a shell."""
    words = ["mecca", "data", "check", str(root)]
    if labels is not None:
        words += ["--label", *([labels] if labels == EACH else map(str, labels))]
    names = (modalities,) if isinstance(modalities, str) else tuple(modalities)
    if names != DEFAULT_MODALITIES:
        words += ["--modalities", *names]
    if tolerance is not None:
        words += ["--tolerance", str(tolerance)]
    return shlex.join(words)


def _listed(faults: list[str]) -> str:
    shown = "".join(f"\n  {fault}" for fault in faults[:SHOWN_FAULTS])
    more = f"\n  and {len(faults) - SHOWN_FAULTS} more" if len(faults) > SHOWN_FAULTS else ""
    return f"{len(faults)} fault{'' if len(faults) == 1 else 's'}{':' if faults else ''}{shown}{more}"


def _to_arrays(case: PreparedCase) -> Arrays:
    integers = {"origin": case.origin, "box": case.box, "scan_shape": case.scan_shape}
    usual = {} if case.usual is None else {"usual": case.usual}
    return {
        **usual,
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
        usual=arrays.get("usual"),
    )


def _triple(values: NDArray[np.int64]) -> tuple[int, int, int]:
    a, b, c = (int(v) for v in values)
    return a, b, c
