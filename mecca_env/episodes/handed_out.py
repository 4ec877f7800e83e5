"""The tensors of a state, which are handed out and not copied: who writes to one of them is told which it was.

To copy every observation would take 20 to 40 % of a step. Torch counts the writes to each tensor and all views
of it; to compare the counts takes a microsecond or two.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from operator import attrgetter

import torch
from torch import Tensor

from mecca_env.state import OF_A_STREAM, State

_OBSERVED = ("volume", "probability", "hint", "box", "time")
_TOLD = {name: name for name in ("case_index", "labelled", "step", "clicks", "n_clicks", "advice", "user")}
_TOLD |= {"signs": "click_signs", **{name: name for name in OF_A_STREAM}}
# `info` has a copy of `dice`, which itself is counted as one with the reward, and that is the caller's.
_WATCHED = tuple(field.name for field in fields(State) if field.name != "dice")
_writes: Callable[[Tensor], int] = attrgetter("_version")


class HandedOut:
    """The state of an env, whose tensors nobody may write to.

    Writes past torch are not counted: through `Tensor.numpy()`, through `Tensor.data`, by a kernel of one's own.

    Args:
        state: As it is handed out; made where writes are counted (`counted`).
    """

    def __init__(self, state: State) -> None:
        self._names = [name for name in _WATCHED if getattr(state, name) is not None]
        self._tensors: Callable[[State], tuple[Tensor, ...]] = attrgetter(*self._names)
        self.take(state)

    def take(self, state: State) -> None:
        """Another state of the same env from now on."""
        self._state, self._counts = state, list(map(_writes, self._tensors(state)))

    def check(self) -> None:
        """Raise `RuntimeError` where a tensor has been written to since, with the name that it was handed out by."""
        counts = list(map(_writes, self._tensors(self._state)))
        if counts == self._counts:
            return
        found = zip(self._names, counts, self._counts, strict=True)
        written = [_as_it_came(name) for name, now, before in found if now != before]
        raise RuntimeError(
            f"{', '.join(written)}: expected what was handed out, found that it was written to since; "
            "it is the env's own memory: write to a copy of it (clone()), and begin anew with reset()"
        )

    def __reduce__(self) -> tuple[type[HandedOut], tuple[State]]:
        """A copy is made of a copy of the state, whose tensors have counts of their own."""
        self.check()
        return HandedOut, (self._state,)


def counted() -> AbstractContextManager[object]:
    """A context in which torch counts the writes to new tensors; in `torch.inference_mode` it would not."""
    return torch.inference_mode(False) if torch.is_inference_mode_enabled() else _AS_IT_IS


_AS_IT_IS = nullcontext()


def _as_it_came(name: str) -> str:
    if name in _OBSERVED:
        return f"observation[{name!r}]"
    return f"info[{_TOLD[name]!r}]" if name in _TOLD else f"state.{name}"
