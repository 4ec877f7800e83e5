"""Memory for grids that are handed out and never written to again, taken up anew once nobody holds them."""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SPARE = 2
"""Blocks of one size that are kept though nobody holds them: what one step frees, the next one takes."""


class Buffers:
    """Uninitialised tensors, on the CPU in memory that earlier ones have left.

    The system hands out fresh memory page by page, at the first touch, and for a batch of grids that takes longer than
    writing them. A block is used again only when the tensor made of it, every view of it and every array that shares
    its memory are gone. On a GPU torch's own allocator does all this. A pickled or copied one is empty.
    """

    def __init__(self) -> None:
        # A tensor made of an array holds that array, so a block is free once the array made for its tensor is gone.
        self._blocks: dict[tuple[tuple[int, ...], torch.dtype], list[_Block]] = defaultdict(list)

    def empty(self, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
        """A contiguous tensor of any content, which nothing else shares memory with."""
        if device.type != "cpu":
            return torch.empty(tuple(shape), dtype=dtype, device=device)
        blocks = self._blocks[tuple(shape), dtype]
        free = [block for block in blocks if block.holder() is None]
        for block in free[SPARE + 1 :]:
            blocks.remove(block)
        if not free:
            free.append(_Block(shape, dtype))
            blocks.append(free[0])
        return free[0].taken()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()


class _Block:
    """Memory for one tensor."""

    def __init__(self, shape: Sequence[int], dtype: torch.dtype) -> None:
        self._array = np.empty(tuple(shape), torch.empty(0, dtype=dtype).numpy().dtype)
        self.holder: Callable[[], NDArray[Any] | None]

    def taken(self) -> Tensor:
        """A tensor of all of it."""
        holder = self._array[...]
        self.holder = weakref.ref(holder)
        return torch.from_numpy(holder)
