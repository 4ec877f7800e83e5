"""Everything that is wrong with a folder of cases, at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from mecca_env.data.base import DataError, Scan
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


def find_faults(
    root: Path | str,
    *,
    layout: str = "auto",
    labels: LabelChoice = None,
    labels_by_layout: Mapping[str, Sequence[int]] | None = None,
    modalities: Sequence[str] = DEFAULT_MODALITIES,
    evaluation_extension: int = 6,
    tolerance: float | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[str]:
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

    Returns:
        One line per fault, naming the file, what was expected and what was found; empty when all is well.
    """
    try:
        checked_tolerance(tolerance)
        layout, inventory = discover(root, layout, modalities)
        wanted = foreground_values(labels, (labels_by_layout or {}).get(layout, inventory.labels))
        if wanted == EACH:
            check_distinct(files.name for files in inventory.cases)
    except DataError as error:
        return [str(error)]
    faults = list(inventory.faults)
    for number, files in enumerate(inventory.cases, 1):
        if progress is not None:
            progress(number, len(inventory.cases), files.name)
        try:
            for scan in _scans(files, wanted, inventory.modalities, tolerance):
                faults.extend(_faults_around(scan, evaluation_extension))
        except DataError as error:
            faults.extend(str(error).splitlines())
    return faults


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
