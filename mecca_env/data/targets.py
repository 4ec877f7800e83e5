"""Which label values make the target of a case: one target for a scan, or each of its values a case of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mecca_env.data.base import DataError, Scan
from mecca_env.data.inventory import CaseFiles

EACH: Literal["each"] = "each"
"""In place of foreground values: every value above 0 of every scan is the target of a case of its own."""

Foreground: TypeAlias = tuple[int, ...] | Literal["each"] | None
"""Foreground values, sorted; `EACH`; or None for all above 0."""

LabelChoice: TypeAlias = int | Sequence[int] | Literal["each"] | None
"""The same as it is asked for (`foreground_values`)."""

_CASE_OF_SCAN = re.compile(r"(.+)-label([1-9][0-9]*)")  # what `case_of_scan` makes, and nothing else


@dataclass(frozen=True)
class Target:
    """One case: the files of a scan, and what is foreground in them.

    Attributes:
        name: Case name, unique in its data set: that of the scan, or of one value of the scan (`case_of_scan`).
        files: The scan's files.
        labels: Foreground values; None: all above 0.
    """

    name: str
    files: CaseFiles
    labels: tuple[int, ...] | None


def foreground_values(labels: LabelChoice, default: Sequence[int] | None = None) -> Foreground:
    """Foreground values as a sorted tuple, `EACH` as it is, or None for all above 0.

    Args:
        labels: What was asked for; None takes the default.
        default: Values of the data set, or None.

    Raises:
        DataError: Not an integer, not a sequence of at least one and not `EACH`.
    """
    given: Any = default if labels is None else labels
    if given is None:
        return None
    if isinstance(given, str) and given == EACH:
        return EACH
    several = given.ravel().tolist() if isinstance(given, np.ndarray) else given
    values = tuple(several) if isinstance(several, Sequence) else (several,)
    if not values or not all(hasattr(v, "__index__") and not isinstance(v, bool) for v in values):
        raise DataError(f'label: expected an integer, several, or "{EACH}", found {labels!r}')
    return tuple(sorted({int(v) for v in values}))


def case_of_scan(scan: str, value: int) -> str:
    """The name of the case whose target is one value of a scan: `chaos_01-label4`."""
    return f"{scan}-label{value}"


def scan_of_case(name: str, scans: Iterable[str]) -> str:
    """The scan that a name asks for, which is a scan's or that of one of its values; the name itself if it has none."""
    found = _CASE_OF_SCAN.fullmatch(name)
    return found[1] if found and found[1] in scans else name


def scans_of(names: Sequence[str]) -> list[str]:
    """The scan of each case: where all are named as `case_of_scan` does it, several have one; else each its own."""
    found = [_CASE_OF_SCAN.fullmatch(name) for name in names]
    return [match[1] for match in found if match] if all(found) else list(names)


def asked_values(files: CaseFiles, names: Iterable[str] | None) -> tuple[int, ...] | None:
    """The values of a scan that names ask for; None for every value that it has: its own name is among them, or none.

    Args:
        files: Of the scan.
        names: Of scans and of cases; None asks for everything.
    """
    if names is None or files.name in names:
        return None
    found = [match for name in names if (match := _CASE_OF_SCAN.fullmatch(name)) and match[1] == files.name]
    return tuple(sorted({int(match[2]) for match in found}))


def check_distinct(scans: Iterable[str]) -> None:
    """Refuse scans one of which has the name that a value of another one gets. Raises `DataError`."""
    known = set(scans)
    for name in sorted(known):
        match = _CASE_OF_SCAN.fullmatch(name)
        if match and match[1] in known:
            raise DataError(
                f'label="{EACH}": expected scans whose names are not those of cases, '
                f"found {name}, which is also the value {match[2]} of {match[1]}"
            )


def values_in(numbers: NDArray[Any]) -> NDArray[np.int64]:
    """The values above 0 of a label map of whole numbers, ascending."""
    return np.unique(numbers[numbers > 0]).astype(np.int64)


def part_of(scan: Scan, numbers: NDArray[Any], target: Target) -> Scan:
    """A case of a scan: its target alone is foreground. The image is shared.

    Args:
        scan: The whole scan.
        numbers: Its label map, (X, Y, Z), whole numbers.
        target: Which case, with values.

    Raises:
        DataError: There is no such value in the map.
    """
    label = np.isin(numbers, np.asarray(target.labels))
    if not label.any():
        raise DataError(
            f"{target.files.label}: empty label; expected values {sorted(target.labels or ())}, "
            f"found {', '.join(str(v) for v in values_in(numbers)[:10])}"
        )
    return replace(scan, name=target.name, label=label)
