"""Everything that is wrong with a folder of cases, at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mecca_env.data.base import DataError, Scan
from mecca_env.data.catalog import CATALOG, find_folder
from mecca_env.data.grid.cutting import prepare
from mecca_env.data.layouts import DEFAULT_MODALITIES, CaseFiles, discover
from mecca_env.data.reading import read_numbers, read_scan
from mecca_env.data.targets import (
    EACH,
    Foreground,
    LabelChoice,
    Target,
    case_of_scan,
    check_distinct,
    foreground_values,
    part_of,
    values_in,
)
from mecca_env.data.world.grids import checked_tolerance


@dataclass(frozen=True)
class Findings:
    """What a look at a folder has found.

    Attributes:
        root: The folder.
        faults: One line per fault, naming the file, what was expected and what was found; empty when all is well.
        notes: One line about each thing that is no fault, files that are left aside for one.
        layout: The layout that was found; None where there is none.
        cases: Scans that are complete, good ones and bad ones.
        modalities: Channels that each of them has to have.
        labels: Foreground values, None for all above 0, or "each".
    """

    root: Path
    faults: list[str]
    notes: list[str] = field(default_factory=list)
    layout: str | None = None
    cases: int = 0
    modalities: int = 1
    labels: Foreground = None


def find_faults(root: Path | str, **settings: Any) -> list[str]:
    """The faults alone of what `look_at` finds, with the same arguments."""
    return look_at(root, **settings).faults


def look_at(
    root: Path | str,
    *,
    layout: str = "auto",
    labels: LabelChoice = None,
    labels_by_layout: Mapping[str, Sequence[int]] | None = None,
    modalities: Sequence[str] = DEFAULT_MODALITIES,
    evaluation_extension: int = 6,
    tolerance: float | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Findings:
    """Read every case of a folder, without touching the cache, and list what is wrong.

    Args:
        root: The folder.
        layout: One of the published layouts, or "auto".
        labels: Foreground value or values; None takes `labels_by_layout`'s, or the folder's own, or all above 0; "each"
            looks around each value above 0.
        labels_by_layout: Default foreground values where a layout has its own.
        modalities: Which images of a BraTS case are read.
        evaluation_extension: Voxels around the label inside which the intensities must vary.
        tolerance: Millimetres that the files of a case may lie apart; None: next to nothing (`world.grids.same_grid`).
        progress: Called before each case with its number from 1, the number of cases and its name.
    """
    root = Path(root)
    try:
        checked_tolerance(tolerance)
        layout, inventory = discover(root, layout, modalities)
        wanted = foreground_values(labels, (labels_by_layout or {}).get(layout, inventory.labels))
        if wanted == EACH:
            check_distinct(files.name for files in inventory.cases)
    except DataError as error:
        return Findings(root, [str(error)])
    faults, notes = list(inventory.faults), list(inventory.notes)
    for number, files in enumerate(inventory.cases, 1):
        if progress is not None:
            progress(number, len(inventory.cases), files.name)
        try:
            for scan in _scans(files, wanted, inventory.modalities, tolerance):
                faults.extend(_faults_around(scan, evaluation_extension))
        except DataError as error:
            faults.extend(str(error).splitlines())
    if len(inventory.cases) == 1:
        notes.append(f"{root}: one case alone is for training; an evaluation plays it with split='all' (--split all)")
    return Findings(root, faults, notes, layout, len(inventory.cases), inventory.modalities, wanted)


def look_at_dataset(
    key: str,
    root: Path | str | None = None,
    *,
    labels: LabelChoice = None,
    modalities: Sequence[str] | None = None,
    **settings: Any,
) -> Findings:
    """The same of a data set of the catalog, with all that its environment knows of it.

    Args:
        key: A key of `mecca_env.data.catalog.CATALOG`.
        root: Its folder; None looks for its folders under `$MECCA_DATA`.
        labels: Foreground value or values; None takes the catalog's.
        modalities: Which images of a BraTS case are read; None takes the catalog's.
        **settings: Passed on to `look_at`.

    Raises:
        DataError: The key is unknown, or no folder was found.
    """
    if key not in CATALOG:
        raise DataError(f"data set: expected one of {', '.join(CATALOG)}, found {key!r}")
    dataset = CATALOG[key]
    folder = find_folder(dataset) if root is None else Path(root).expanduser()
    assert folder is not None  # without a fallback there is one, or an error
    return look_at(
        folder,
        labels=labels,
        labels_by_layout=dataset.labels_by_layout,
        modalities=dataset.modalities if modalities is None else modalities,
        **settings,
    )


def _scans(files: CaseFiles, wanted: Foreground, modalities: int, tolerance: float | None) -> Iterator[Scan]:
    """The cases of a scan. Raises `DataError` before the first of them."""
    if wanted != EACH:
        yield read_scan(files, wanted, modalities, tolerance)
        return
    scan, numbers = read_numbers(files, modalities, tolerance)
    for value in values_in(numbers):
        yield part_of(scan, numbers, Target(case_of_scan(files.name, value), files, (int(value),)))


def _faults_around(scan: Scan, evaluation_extension: int) -> list[str]:
    try:
        prepare(scan, extension=(0, 0), rotation=0.0, evaluation_extension=evaluation_extension)
    except DataError as error:
        return [str(error)]
    return []
