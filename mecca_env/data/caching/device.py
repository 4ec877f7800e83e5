"""The cases of an env on its device: kept up to a bound, fetched ahead from wherever they come."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from mecca_env.data.base import PreparedCase, VolumeSource
from mecca_env.data.caching.background import Background
from mecca_env.data.caching.memory import RecentCases
from mecca_env.data.caching.smallest import smallest_type
from mecca_env.tensors.transfer import to_device

_THREADS_AT_MOST = 4


class CaseStream:
    """Prepared cases on a device, in the smallest type that holds them exactly.

    Args:
        source: The data set.
        device: Where the cases are needed.
        memory_bytes: What those that are kept may take; the ones not used for longest go first. 0 keeps none.
        threads: How many may fetch ahead; 0 does without.
        shared: Whether the source may be asked from several threads at once; else one at a time.

    Attributes:
        source: The data set.
    """

    def __init__(
        self, source: VolumeSource, device: torch.device, memory_bytes: int, threads: int, shared: bool
    ) -> None:
        self._settings = (source, device, memory_bytes, threads, shared)
        self.source = source
        self._device = device
        self._recent = RecentCases(memory_bytes)
        self._keeps_none = memory_bytes == 0
        self._threads = threads
        self._shared = shared
        self._background: Background | None
        self._coming: dict[int, Future[PreparedCase]]
        self._access: AbstractContextManager[Any]
        self._forget_threads()

    def __len__(self) -> int:
        """Number of cases kept."""
        return len(self._recent)

    @property
    def looks_ahead(self) -> bool:
        """True if `ahead` does anything."""
        return self._threads > 0

    def get(self, index: int) -> PreparedCase:
        """Case `index` on the device. Raises what the source raises; do not change its tensors."""
        return self._recent.get(index, lambda: self._moved(self._fetched(index)))

    def ahead(self, indices: Collection[int]) -> None:
        """Begin to fetch these cases, and forget those asked for before that are not among them."""
        self._notice_fork()
        for index in set(self._coming) - set(indices):
            self._coming.pop(index).cancel()
        for index in indices:
            if not self._recent.touch(index) and index not in self._coming:
                if self._background is None:
                    self._background = Background(self._threads)
                self._coming[index] = self._background.submit(self._loading(index))

    def close(self) -> None:
        """Keep nothing, and no longer fetch ahead; a fetch that has begun is waited for."""
        self._notice_fork()
        if self._background is not None:
            self._background.close()
        self._forget_threads()
        self._recent.clear()
        self._threads = 0

    def __getstate__(self) -> tuple[Any, ...]:
        """The arguments it was made of: a copy is empty."""
        return self._settings

    def __setstate__(self, settings: tuple[Any, ...]) -> None:
        self.__init__(*settings)  # type: ignore[misc]

    def _fetched(self, index: int) -> PreparedCase:
        self._notice_fork()
        coming = self._coming.pop(index, None)
        if coming is None or coming.cancel() or coming.exception() is not None:
            return self._loading(index)()  # what failed ahead of time fails again, now that somebody needs it
        return coming.result()

    def _loading(self, index: int) -> Callable[[], PreparedCase]:
        """Work for any thread; it knows nothing of this object, which may be forgotten meanwhile."""
        as_it_is = self._keeps_none and self._device.type == "cpu"  # to be read once: not worth a copy
        return partial(_load, self.source, index, self._access, None if as_it_is else self._device)

    def _moved(self, case: PreparedCase) -> PreparedCase:
        """On the device; done by the thread whose stream on a GPU uses the case."""
        return replace(case, image=to_device(case.image, self._device), label=to_device(case.label, self._device))

    def _forget_threads(self) -> None:
        self._background = None
        self._coming = {}
        self._access = nullcontext() if self._shared else threading.Lock()

    def _notice_fork(self) -> None:
        if self._background is not None and not self._background.alive:
            self._forget_threads()


def threads_ahead() -> int:
    """Number of threads that fetch ahead: some of the processor's cores, never the only one that others use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(max(cores - 1, 1), _THREADS_AT_MOST)


def _load(
    source: VolumeSource, index: int, access: AbstractContextManager[Any], device: torch.device | None
) -> PreparedCase:
    """The case in its smallest type, ready to be copied to the device; None: as it is."""
    with access:
        case = source.case(index)
    if device is None:
        return case
    image, label = smallest_type(case.image), case.label
    if device.type == "cuda" and image.device.type == "cpu":
        image, label = image.pin_memory(), label.pin_memory()
    return replace(case, image=image, label=label)
