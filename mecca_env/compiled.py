"""Which compiled loops the env step runs on, where there are some; without them torch gives the same bits."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

VARIABLE = "MECCA_COMPILED"
"""Environment variable; 0 keeps to torch, anything else or nothing takes what is installed."""

_PACKAGES = {
    "host_loops": ("Numba", 'pip install "mecca[numba]"'),
    "device_loops": ("Triton", "it comes with torch for CUDA"),
}
_log = logging.getLogger("mecca_env")
_wanted = True


def host_loops(device: torch.device) -> ModuleType | None:
    """`mecca_env.host_loops` for tensors on the CPU where Numba is installed, else None.

    Asked at every step rather than imported with the package: loading Numba takes longer than making an env.
    """
    return _load("host_loops") if _wanted and device.type == "cpu" else None


def device_loops(device: torch.device) -> ModuleType | None:
    """`mecca_env.device_loops` for tensors on a GPU where Triton is installed, as with torch for CUDA, else None."""
    return _load("device_loops") if _wanted and device.type == "cuda" else None


@contextmanager
def plain_torch() -> Iterator[None]:
    """Do without compiled loops inside of it, to compare or to time them."""
    global _wanted
    before, _wanted = _wanted, False
    try:
        yield
    finally:
        _wanted = before


def over_rows(loop: Callable[..., None], *tensors: Tensor, shared: tuple[Any, ...] = ()) -> None:
    """Run a loop over the rows of the tensors, split over torch's threads; rows know nothing of each other.

    Args:
        loop: Takes an array for each tensor, then what is shared; releases the interpreter lock.
        tensors: On the CPU, contiguous, with the same first side.
        shared: Further arguments, the same for every row.
    """
    arrays: list[NDArray[Any]] = [tensor.numpy() for tensor in tensors]
    rows = len(arrays[0])
    parts = min(torch.get_num_threads(), rows)
    if parts <= 1:
        loop(*arrays, *shared)
        return
    bounds = [rows * part // parts for part in range(parts + 1)]
    spans = [slice(*span) for span in zip(bounds, bounds[1:], strict=False)]
    others = [_pool(parts).submit(loop, *(a[span] for a in arrays), *shared) for span in spans[1:]]
    loop(*(a[spans[0]] for a in arrays), *shared)
    for other in others:
        other.result()


@cache
def _load(name: str) -> ModuleType | None:
    """The loops of that name; one line in the log says what runs."""
    if os.environ.get(VARIABLE) == "0":
        _log.info("env step: torch, since %s is 0", VARIABLE)
        return None
    package, advice = _PACKAGES[name]
    try:
        loops = importlib.import_module(f"mecca_env.{name}")
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] != package.lower():
            raise
        _log.info("env step: torch; %s makes it faster (%s)", package, advice)
        return None
    _log.info("env step: loops compiled by %s", package)
    return loops


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads - 1, thread_name_prefix="mecca_env")
