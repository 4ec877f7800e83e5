"""Numba's compiler with this package's settings; imported only where `backend` says that it is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from numba import njit
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
_Loop = TypeVar("_Loop", bound=Callable[..., Any])


def jit(loop: _Loop) -> _Loop:
    """Compiled when first called, for the types it is called with, and kept on disk for the next process."""
    compiled: _Loop = njit(nogil=True, cache=True)(loop)
    return compiled
