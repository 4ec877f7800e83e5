"""The cases used last, kept in memory up to a bound."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from mecca_env.data.base import PreparedCase


class RecentCases:
    """Prepared cases by index; the ones not used for longest go first. A pickled copy is empty.

    Several threads may use it; two that miss the same case at once both make it.

    Args:
        memory_bytes: What all of them together may take; a case larger than that is not kept.
    """

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        self.clear()

    def __len__(self) -> int:
        """Number of cases kept."""
        return len(self._cases)

    def clear(self) -> None:
        """Keep none."""
        self._lock = threading.Lock()
        self._used = 0
        self._cases: OrderedDict[int, PreparedCase] = OrderedDict()

    def touch(self, index: int) -> bool:
        """Tell whether case `index` is kept; if so, it counts as just used."""
        with self._lock:
            if index in self._cases:
                self._cases.move_to_end(index)
            return index in self._cases

    def get(self, index: int, make: Callable[[], PreparedCase]) -> PreparedCase:
        """Case `index`, made where it is not kept."""
        with self._lock:
            if index in self._cases:
                self._cases.move_to_end(index)
                return self._cases[index]
        case = make()
        with self._lock:
            if index not in self._cases:
                self._cases[index] = case
                self._used += _bytes(case)
            while self._used > self._memory_bytes:
                self._used -= _bytes(self._cases.popitem(last=False)[1])
        return case

    def __getstate__(self) -> dict[str, Any]:
        return {"memory_bytes": self._memory_bytes}

    def __setstate__(self, settings: dict[str, Any]) -> None:
        self.__init__(**settings)  # type: ignore[misc]


def _bytes(case: PreparedCase) -> int:
    return int(case.image.nbytes + case.label.nbytes)
