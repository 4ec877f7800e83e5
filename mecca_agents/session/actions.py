"""The actions of a session: how each is done, and how it is kept in a log."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import index
from os import PathLike
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Self

from mecca_agents.session.choosing import LoggedPair, Proposals, propose
from mecca_agents.session.errors import SessionError
from mecca_agents.session.history import Action, Details, History
from mecca_agents.session.inputs.mask import LoggedMask, MaskLike, boxed, open_mask
from mecca_agents.session.inputs.scan import read_box
from mecca_agents.session.playing.layers import whole_layer
from mecca_agents.session.playing.moment import Click
from mecca_env.data.saving import refuse_over, save_mask

# How what a log keeps is read from JSON; each raises `ValueError` where it finds something else.


def read_text(value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.80} where a text should be")
    return value


def read_number(value: Any) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{value!r:.80} where a number should be")
    return float(value)


def read_integer(value: Any) -> int:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r:.80} where a whole number should be")
    return value


def read_list(value: Any) -> list[Any]:
    """A list."""
    if not isinstance(value, list):
        raise ValueError(f"{value!r:.80} where a list should be")
    return value


def _pair(value: Any) -> list[str]:
    texts = [read_text(text) for text in read_list(value)]
    if len(texts) != 2:
        raise ValueError(f"{len(texts)} masks where two should be")
    return texts


def _corner(value: Any) -> list[int] | None:
    return None if value is None else [read_integer(v) for v in read_list(value)]


def _side(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r:.80} where true or false should be")
    return value


def _points(value: Any) -> list[list[float]]:
    return [[read_number(v) for v in read_list(point)] for point in read_list(value)]


@dataclass(frozen=True, eq=False)
class SetBox(Action[None]):
    """Begin anew in a box, or in the whole scan where neither corner is given.

    Attributes:
        low: First voxel.
        high: Opposite corner, exclusive.
    """

    low: Sequence[int] | None = None
    high: Sequence[int] | None = None

    name = "set_box"
    logged = {"low": _corner, "high": _corner}
    begins_episode = True

    @classmethod
    def from_log(cls, details: Mapping[str, Any]) -> Self:
        """With the corners that a log keeps."""
        return cls(details["low"], details["high"])

    def do(self, history: History) -> tuple[Details, None]:
        """Go on to the first moment of an episode in the box."""
        image = history.now.image
        box = read_box(self.low, self.high, image.shape)
        history.advance(self, history.player.begin(image, box))
        low, high = box or (None, None)
        return {"low": low and list(low), "high": high and list(high)}, None


@dataclass(frozen=True, eq=False)
class SetMask(Action[None]):
    """Go on from a mask.

    Attributes:
        mask: As it is given, or as a log has it.
    """

    mask: MaskLike | LoggedMask

    name = "set_mask"
    logged = {"low": _corner, "high": _corner, "bits": read_text}
    begins_episode = True

    @classmethod
    def from_log(cls, details: Mapping[str, Any]) -> Self:
        """With the mask that a log keeps."""
        return cls(LoggedMask(details["low"], details["high"], details["bits"]))

    def do(self, history: History) -> tuple[Details, None]:
        """Go on to the first moment of an episode from the mask."""
        now = history.now
        if isinstance(self.mask, LoggedMask):
            mask, logged = self.mask.unpacked(now.image.shape), self.mask
        else:
            mask = boxed(open_mask(self.mask, now.image.shape, now.image.affine, now.image.tolerance))
            logged = mask.packed()
        history.advance(self, history.player.go_on(now, mask))
        return logged.details(), None


@dataclass(frozen=True, eq=False)
class AddClicks(Action[list[Click]]):
    """Mark points for the next step, on wrong edges, or inside or outside the target.

    Attributes:
        points: (K, 3) or (3,), voxels of the scan.
        inside: On which side, for a run that was trained with signs; None for any other.
    """

    points: ArrayLike
    inside: bool | None = None

    name = "add_clicks"
    logged = {"points": _points, "new": read_integer}
    logged_where_there = {"inside": _side}

    @classmethod
    def from_log(cls, details: Mapping[str, Any]) -> Self:
        """With the points that a log keeps."""
        return cls(details["points"], details.get("inside"))

    def do(self, history: History) -> tuple[Details, list[Click]]:
        """Go on to the moment after the clicks, where the agent learns something from them; each of them."""
        after, made = history.player.click(history.now, self.points, self.inside)
        if after is not history.now:
            history.advance(self, after)
        new = sum(not click.repeated for click in made)
        side = {} if self.inside is None else {"inside": bool(self.inside)}  # of NumPy, maybe
        return {"points": [list(click.point) for click in made], "new": new, **side}, made


@dataclass(frozen=True)
class Step(Action[NDArray[np.bool_] | None]):
    """Let the agent act once.

    Attributes:
        show: Make the mask that it leads to.
    """

    show: bool = True

    name = "step"
    logged = {"number": read_integer, "clicks": read_integer}

    @classmethod
    def from_log(cls, details: Mapping[str, Any]) -> Self:
        """One whose mask nobody looks at."""
        return cls(show=False)

    def do(self, history: History) -> tuple[Details, NDArray[np.bool_] | None]:
        """Go on to the moment after the agent's action; its mask, where it is shown."""
        before = history.now
        after = history.player.step(before)
        mask = whole_layer(after, "mask") if self.show else None
        history.advance(self, after)
        return {"number": len(after.answers), "clicks": len(before.waiting)}, mask


@dataclass(frozen=True, eq=False)
class Choose(Action[NDArray[np.bool_]]):
    """Go on with one of two proposals of a step; the log keeps both.

    Attributes:
        index: Which one, 0 or 1.
        proposals: The two, or what a log has of them.
        seed: Of what was drawn, where a log has them.
    """

    index: int
    proposals: Proposals | LoggedPair | None
    seed: int = 0

    name = "choose"
    logged = {
        **{"number": read_integer, "clicks": read_integer, "index": read_integer, "seed": read_integer},
        **{"low": _corner, "high": _corner, "pair": _pair},
    }

    @classmethod
    def from_log(cls, details: Mapping[str, Any]) -> Self:
        """With the two that a log keeps."""
        one, other = details["pair"]
        return cls(details["index"], LoggedPair(details["low"], details["high"], (one, other)), details["seed"])

    def do(self, history: History) -> tuple[Details, NDArray[np.bool_]]:
        """Go on to the moment after it; its mask. What a log has is proposed again, in the view that it was in."""
        before = history.now
        try:
            chosen = -1 if isinstance(self.index, bool) else index(self.index)
        except TypeError:
            chosen = -1
        if chosen not in (0, 1):
            raise SessionError(f"index: expected 0 or 1, got {self.index!r:.80}")
        found = self.proposals
        if isinstance(found, LoggedPair):
            logged = found
            found = propose(history.player, before, self.seed, logged.view(before.image.shape))
        elif found is None or found.before is not before:
            raise SessionError("choose: expected proposals for what is there now, got none; call proposals() first")
        else:
            logged = found.packed()
        after = found.after[chosen]
        history.advance(self, after)
        return {
            "number": len(after.answers),
            "clicks": len(before.waiting),
            "index": chosen,
            "seed": found.seed,
            "low": logged.low,
            "high": logged.high,
            "pair": list(logged.bits),
        }, found.masks[chosen]


@dataclass(frozen=True)
class Undo(Action[str]):
    """Take back the last action that changed the moment."""

    name = "undo"
    logged = {"what": read_text}

    def do(self, history: History) -> tuple[Details, str]:
        """Go back to the moment before it; its name."""
        what = history.back().name
        return {"what": what}, what


@dataclass(frozen=True)
class Redo(Action[str]):
    """Do again what was undone last."""

    name = "redo"
    logged = {"what": read_text}

    def do(self, history: History) -> tuple[Details, str]:
        """Go forth to the moment after it; its name."""
        what = history.forth().name
        return {"what": what}, what


@dataclass(frozen=True)
class Reset(Action[None]):
    """Begin anew in the same box."""

    name = "reset"
    begins_episode = True

    def do(self, history: History) -> tuple[Details, None]:
        """Go on to the first moment of the same episode."""
        history.advance(self, history.player.again(history.now))
        return {}, None


@dataclass(frozen=True)
class Save(Action[None]):
    """Write the mask as NIfTI; the moment stays what it is.

    Attributes:
        path: Of the file.
    """

    path: str | PathLike[str]

    name = "save"
    logged = {"path": read_text}

    @classmethod
    def from_log(cls, details: Mapping[str, Any]) -> Self:
        """With the name that a log keeps."""
        return cls(details["path"])

    def do(self, history: History) -> tuple[Details, None]:
        """Write the file, whole or not at all, and not over the scan. Raises `mecca_env.data.base.DataError`."""
        now, image = history.now, history.now.image
        refuse_over(self.path, image.places)
        save_mask(cast("NDArray[np.bool_]", whole_layer(now, "mask")), image.affine, str(self.path), image.header)
        return {"path": str(self.path)}, None


ACTIONS: dict[str, type[Action[Any]]] = {
    kind.name: kind for kind in (SetBox, SetMask, AddClicks, Step, Choose, Undo, Redo, Reset, Save)
}
"""All of them, by the names that logs have for them."""
