"""The batched state of B episodes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

OF_A_STREAM = ("stream_index", "segment")
"""The fields of a state that only the episodes of a stream have."""


@dataclass(frozen=True, eq=False)
class State:
    """B episodes side by side. No tensor of a state is ever written to: a step makes a new state.

    D, H, W are the grid's sides, M the modalities, S the most surface voxels any of the B labels has, K the most
    clicks an episode can hold, T the steps of an episode.
    """

    volume: Tensor  # (B, M, D, H, W) float32, z-scored and clipped
    label: Tensor  # (B, D, H, W) bool
    surface: Tensor  # (B, S) int64, flat indices of the label's surface voxels, ascending, padded with -1
    neighbours: Tensor  # (B, 6, S) int64, flat indices of their face neighbours, -1 outside the grid
    case_index: Tensor  # (B,) int64
    labelled: Tensor  # (B,) bool, False: this episode earns no reward
    keys: Tensor  # (B, T + 1) int64, a random stream for the user's clicks before each step, and one for after the last
    step: Tensor  # (B,) int64, steps taken
    probability: Tensor  # (B, D, H, W) float32, of foreground
    hint: Tensor  # (B, D, H, W) float32 in [0, 1]; signed: (B, 2, D, H, W), of clicks inside and outside the target
    clicks: Tensor  # (B, K, 3) int64, every click so far in order, padded with -1
    n_clicks: Tensor  # (B,) int64
    dice: Tensor  # (B,) float32
    regions: Tensor | None = None  # (B, T, D, H, W) int16, the supervoxels of each step; None: nobody needs them
    advice: Tensor | None = None  # (B, D, H, W) bool, where the guide asks for clicks; None without a guide
    situation: Tensor | None = None  # (B, D, H, W), label and probability as one number (`TableTransition`)
    weights: Tensor | None = None  # (B, D, H, W) float32, of each voxel's gain (`boundary`); None: all weigh the same
    signs: Tensor | None = None  # (B, K) int8, of `clicks`: 1 inside, -1 outside, 0 for none; None: they have no signs
    box: Tensor | None = None  # (B, D, H, W) float32 in [0, 1], the box that is shown; None: none ever is
    time: Tensor | None = None  # (B, 1) float32, share of the episode that is left; None: nobody asks
    user: Tensor | None = None  # (B,) int64, which user of a mixture; None: there is one
    budgets: Tensor | None = (
        None  # (B, T + 1) int64, clicks before each step, 0 after the last; None: all have the same
    )
    given: Tensor | None = None  # (B, T, N, 3) int64, recorded prompts before each step, then -1; None: there are none
    given_signs: Tensor | None = None  # (B, T, N) int8, of `given`: 1 inside, -1 outside, 0 what the label says
    given_steps: Tensor | None = None  # (B,) int64, so many steps are prompted by `given` alone
    stream_index: Tensor | None = None  # (B,) int64, place of the case in the env's stream; None: it has no stream
    segment: Tensor | None = None  # (B,) int64, of the stream, whose distribution is its own; None likewise

    @cached_property
    def prediction(self) -> Tensor:
        """The segmentation, (B, D, H, W) bool: probability above a half."""
        return self.probability > 0.5

    @property
    def shape(self) -> tuple[int, int, int]:
        """The grid, (D, H, W)."""
        return (self.label.shape[1], self.label.shape[2], self.label.shape[3])

    def changed(self, **tensors: Tensor | None) -> State:
        """The same with other tensors in some fields, as `dataclasses.replace` makes it in several times as long.

        Raises `TypeError` for a name that no field has.
        """
        made = object.__new__(State)
        held = vars(made)
        held.update(vars(self))
        known = len(held)
        held.update(tensors)
        if len(held) > known:
            raise TypeError(f"expected fields of State, got {', '.join(tensors)}")
        held.pop("prediction", None)  # of another probability, perhaps
        return made


def observe(state: State) -> dict[str, Tensor]:
    """The observation: `volume` (B, D, H, W), of several modalities (B, M, D, H, W), `probability` and `hint`.

    Where the settings ask for them, `box` and `time`, too.
    """
    volume = state.volume[:, 0] if state.volume.shape[1] == 1 else state.volume
    seen = {"volume": volume, "probability": state.probability, "hint": state.hint}
    if state.box is not None:
        seen["box"] = state.box
    if state.time is not None:
        seen["time"] = state.time
    return seen


class Progress(NamedTuple):
    """The progress of B episodes after a step."""

    step: Tensor  # (B,) int64, steps taken
    over: Tensor  # (B,) bool, whether the episode is over
    budget: Tensor  # (B,) int64, how often the user may click now; 0 where the episode is over
    key: Tensor  # (B,) int64, the random stream of those clicks


def take_rows(state: State, rows: Tensor) -> State:
    """The episodes of `rows` (R,) int64."""
    taken: dict[str, Tensor | None] = {}
    for field in fields(State):
        column = getattr(state, field.name)
        taken[field.name] = None if column is None else column[rows]
    return State(**taken)  # type: ignore[arg-type]


def replace_rows(state: State, rows: Tensor, fresh: State) -> State:
    """A state whose `rows` (R,) int64 are the R episodes of `fresh` and whose others are those of `state`."""
    width = max(state.surface.shape[1], fresh.surface.shape[1])
    merged: dict[str, Tensor | None] = {}
    for field in fields(State):
        old, new = getattr(state, field.name), getattr(fresh, field.name)
        if old is None:
            merged[field.name] = None
            continue
        if field.name in ("surface", "neighbours"):
            old, new = (torch.nn.functional.pad(x, (0, width - x.shape[-1]), value=-1) for x in (old, new))
        merged[field.name] = old.index_copy(0, rows, new)
    return State(**merged)  # type: ignore[arg-type]
