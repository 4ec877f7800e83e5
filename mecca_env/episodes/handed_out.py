"""The tensors of a state, which are handed out and not copied: who writes to one of them is told which it was.

To copy every observation would take 15 to 30 % of a step. Torch counts the writes to each tensor and all views
of it; to compare the counts takes some microseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from operator import attrgetter

import torch
from torch import Tensor

from mecca_env.state import State

# `info` has a copy of `dice`, which itself is counted as one with the reward, and that is the caller's.
_WATCHED = tuple(field.name for field in fields(State) if field.name != "dice")
_tensors: Callable[[State], tuple[Tensor | None, ...]] = attrgetter(*_WATCHED)
_OBSERVED = ("volume", "probability", "hint")
_TOLD = ("case_index", "labelled", "step", "clicks", "n_clicks", "advice")


class HandedOut:
    """A state whose tensors nobody may write to.

    Writes past torch are not counted: through `Tensor.numpy()`, through `Tensor.data`, by a kernel of one's own.

    Args:
        state: As it is handed out; made where writes are counted (`counted`).
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._tensors = [tensor for tensor in _tensors(state) if tensor is not None]
        self._counts = [tensor._version for tensor in self._tensors]

    def __reduce__(self) -> tuple[type[HandedOut], tuple[State]]:
        """A copy is made of a copy of the state, whose tensors have counts of their own."""
        self.check()
        return HandedOut, (self._state,)

    def check(self) -> None:
        """Raise `RuntimeError` where one of them has been written to since, with the name that it was handed out by."""
        counts = [tensor._version for tensor in self._tensors]
        if counts == self._counts:
            return
        names = [name for name in _WATCHED if getattr(self._state, name) is not None]
        written = [_as_it_came(n) for n, now, then in zip(names, counts, self._counts, strict=True) if now != then]
        raise RuntimeError(
            f"{', '.join(written)}: expected what was handed out, found that it was written to since; "
            "it is the env's own memory: write to a copy of it (clone()), and begin anew with reset()"
        )


def counted() -> AbstractContextManager[object]:
    """A context in which torch counts the writes to new tensors; in `torch.inference_mode` it would not."""
    return torch.inference_mode(False) if torch.is_inference_mode_enabled() else nullcontext()


def _as_it_came(name: str) -> str:
    kind = "observation" if name in _OBSERVED else "info" if name in _TOLD else None
    return f"state.{name}" if kind is None else f"{kind}[{name!r}]"
