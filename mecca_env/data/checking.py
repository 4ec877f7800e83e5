"""Everything that is wrong with a folder of cases, at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mecca_env.data.base import DataError
from mecca_env.data.files import foreground_values
from mecca_env.data.grid.cutting import prepare
from mecca_env.data.layouts import DEFAULT_MODALITIES, discover
from mecca_env.data.reading import examine


def find_faults(
    root: Path | str,
    *,
    layout: str = "auto",
    labels: int | Sequence[int] | None = None,
    modalities: Sequence[str] = DEFAULT_MODALITIES,
    evaluation_extension: int = 6,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[str]:
    """Read every case of a folder, without touching the cache, and list what is wrong.

    Args:
        root: The folder.
        layout: One of the published layouts, or "auto".
        labels: Foreground value or values; None takes all above 0.
        modalities: Which images of a BraTS case are read.
        evaluation_extension: Voxels around the label inside which the intensities must vary.
        progress: Called before each case with its number from 1, the number of cases and its name.

    Returns:
        One line per fault, naming the file, what was expected and what was found; empty when all is well.
    """
    try:
        wanted = foreground_values(labels)
        _, inventory = discover(root, layout, modalities)
    except DataError as error:
        return [str(error)]
    faults = list(inventory.faults)
    for number, files in enumerate(inventory.cases, 1):
        if progress is not None:
            progress(number, len(inventory.cases), files.name)
        scan, found = examine(files, wanted, inventory.modalities)
        faults.extend(found)
        if scan is not None:
            try:
                prepare(scan, extension=(0, 0), rotation=0.0, evaluation_extension=evaluation_extension)
            except DataError as error:
                faults.append(str(error))
    return faults
