"""The compilers of the inner loops: whether one is there for a device, and how a batch is shared out over threads."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.torch_version import TorchVersion

from mecca_env.extras import install_command

VARIABLE = "MECCA_COMPILED"
"""Environment variable; 0 keeps to torch, anything else or nothing takes what is installed."""

_COMPILERS = {
    "cpu": ("Numba", "0.60", install_command("numba")),
    "cuda": ("Triton", "3.4", "it comes with torch 2.8 for CUDA"),
}
"""Name, least version, and where to get it from."""
_log = logging.getLogger("mecca_env")
_wanted = True


def is_compiled(device: torch.device) -> bool:
    """True if loops for tensors on that device are compiled: by Numba on a CPU, by Triton on a GPU.

    Asked at every step rather than when the package is imported: loading Numba takes longer than making an env.
    """
    return _wanted and _found(device.type)


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
def _found(kind: str) -> bool:
    """True if the compiler for that kind of device is there and wanted; one line in the log says what runs."""
    if kind not in _COMPILERS:
        _log.info("env: torch, there is nothing else for %s", kind)
        return False
    if os.environ.get(VARIABLE) == "0":
        _log.info("env: torch, since %s is 0", VARIABLE)
        return False
    compiler, least, advice = _COMPILERS[kind]
    try:
        version = importlib.import_module(compiler.lower()).__version__
    except ModuleNotFoundError as error:
        if error.name != compiler.lower():
            raise
        _log.info("env: torch; %s makes it faster (%s)", compiler, advice)
        return False
    if TorchVersion(version) < least:
        _log.info("env: torch; %s %s makes it faster (%s), here is %s", compiler, least, advice, version)
        return False
    _log.info("env: loops compiled by %s", compiler)
    return True


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads - 1, thread_name_prefix="mecca_env")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # its threads are not in a process that is forked
