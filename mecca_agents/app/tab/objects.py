"""The objects of a page: each has a name, a colour and a mask, and one file takes them all."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from mecca_agents.session import SessionError
from mecca_agents.session.inputs.mask import BoxedMask
from mecca_env.data.base import Box, Triple

MOST_OBJECTS = 100
"""That a page keeps; a label map of uint8 has room for them."""

LONGEST_NAME = 60
"""Characters of an object's name."""

PALETTE = (
    "#f0e442", "#d55e00", "#009e73", "#cc79a7", "#0072b2", "#e69f00",
    "#b2df8a", "#cab2d6", "#a6611a", "#80cdc1", "#fb9a99", "#bdbdbd",
)  # fmt: skip
"""Colours of new objects, most of them Okabe and Ito's; a new one gets the first that is free."""

FORMAT = 1
"""Version of the file of names."""


@dataclass(frozen=True, eq=False)
class LabelObject:
    """An object.

    Attributes:
        key: A number that no other object of the page has or had.
        name: For people.
        colour: "#" and six digits of hexadecimal.
        mask: As it was left; None where it is empty.
        box: That the agent had; None: none.
    """

    key: int
    name: str
    colour: str
    mask: BoxedMask | None = None
    box: Box | None = None

    @property
    def voxels(self) -> int:
        """Of the mask as it was left."""
        return 0 if self.mask is None else int(np.count_nonzero(self.mask.part))


def _first() -> tuple[LabelObject, ...]:
    return (LabelObject(0, "Object 1", PALETTE[0]),)


@dataclass(frozen=True, eq=False)
class ObjectList:
    """Objects in their order, of which a session works on one. It is never changed: each method makes another list.

    Attributes:
        items: The objects; the first has the value 1 in a label map, the next one 2, and so on.
        chosen: Key of the one that the session works on; what the list has of its mask may be out of date.
        overwrite: Whether the later of two objects gets a voxel that both claim, instead of the earlier one.
        changes: Grows with every change.
        made: Objects that there ever were.
    """

    items: tuple[LabelObject, ...] = field(default_factory=_first)
    chosen: int = 0
    overwrite: bool = False
    changes: int = 0
    made: int = 1

    @property
    def now(self) -> LabelObject:
        """The one that the session works on."""
        return self.find(self.chosen)

    @property
    def others(self) -> tuple[LabelObject, ...]:
        """All but that one."""
        return tuple(item for item in self.items if item.key != self.chosen)

    def find(self, key: Any) -> LabelObject:
        """The object of that key, which may be anything. Raises `SessionError`."""
        found = None if isinstance(key, bool) else next((item for item in self.items if item.key == key), None)
        if found is None:
            raise SessionError(f"object: expected one of the list, got {key!r:.40}")
        return found

    def left(self, mask: BoxedMask | None, box: Box | None) -> Self:
        """With the mask and the box that the session leaves to the chosen object."""
        return self._with(self.chosen, mask=mask, box=box)

    def added(self, name: str = "") -> Self:
        """With one more, empty and chosen; it has this name, or the next number. Raises `SessionError`."""
        if len(self.items) >= MOST_OBJECTS:
            raise SessionError(f"object: expected at most {MOST_OBJECTS}, got one more")
        taken = {item.name for item in self.items}
        numbers = range(len(self.items) + 1, len(self.items) + MOST_OBJECTS + 2)
        name = self._free(name) if name else next(n for n in map("Object {}".format, numbers) if n not in taken)
        counts = [sum(item.colour == colour for item in self.items) for colour in PALETTE]
        new = LabelObject(self.made, name, PALETTE[counts.index(min(counts))])
        return self._changed(items=(*self.items, new), chosen=new.key, made=self.made + 1)

    def going_to(self, key: Any) -> Self:
        """With another one chosen. Raises `SessionError`."""
        return self._changed(chosen=self.find(key).key)

    def renamed(self, key: Any, name: Any) -> Self:
        """With another name for one. Raises `SessionError`."""
        return self._with(key, name=self._free(name, self.find(key)))

    def coloured(self, key: Any, colour: Any) -> Self:
        """With another colour for one. Raises `SessionError`."""
        if not isinstance(colour, str) or not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
            raise SessionError(f"colour: expected # and six digits of hexadecimal, got {colour!r:.40}")
        return self._with(key, colour=colour.lower())

    def removed(self, key: Any) -> Self:
        """Without one; where that was chosen, its neighbour is. Raises `SessionError`, also for the last one."""
        gone = self.find(key)
        if len(self.items) == 1:
            raise SessionError("object: expected two at least to remove one of them, got one; reset it instead")
        place = self.items.index(gone)
        rest = self.items[:place] + self.items[place + 1 :]
        chosen = rest[min(place, len(rest) - 1)].key if gone.key == self.chosen else self.chosen
        return self._changed(items=rest, chosen=chosen)

    def overwriting(self, value: Any) -> Self:
        """With the later object before the earlier one, or the other way round. Raises `SessionError`."""
        if not isinstance(value, bool):
            raise SessionError(f"overwrite: expected true or false, got {value!r:.40}")
        return self._changed(overwrite=value)

    def _free(self, name: Any, own: LabelObject | None = None) -> str:
        """A name that can be shown and that no other object has. Raises `SessionError`."""
        text = "".join(c for c in name if c.isprintable()).strip() if isinstance(name, str) else ""
        if not 1 <= len(text) <= LONGEST_NAME:
            raise SessionError(f"name: expected 1 to {LONGEST_NAME} characters, got {name!r:.80}")
        if any(item.name == text for item in self.items if item is not own):
            raise SessionError(f"name: expected one that no other object has, got {text!r}")
        return text

    def _with(self, key: Any, **changes: Any) -> Self:
        old = self.find(key)
        return self._changed(items=tuple(replace(i, **changes) if i is old else i for i in self.items))

    def _changed(self, **changes: Any) -> Self:
        return replace(self, changes=self.changes + 1, **changes)


def label_map(objects: ObjectList, shape: Triple) -> tuple[NDArray[np.uint8], int]:
    """All objects in one array.

    Args:
        objects: With masks that are up to date (`ObjectList.left`).
        shape: Of the scan.

    Returns:
        (X, Y, Z), 0 where there is none, 1 for the first object and so on; and the number of voxels that more than one
        object claims: the earliest of them has it, or the latest (`ObjectList.overwrite`).

    Raises:
        SessionError: All of them are empty.
    """
    labels, contested = np.zeros(shape, np.uint8), np.zeros(shape, bool)
    for value, item in enumerate(objects.items, 1):
        if item.mask is None:
            continue
        part = labels[tuple(slice(a, b) for a, b in zip(*item.mask.box, strict=True))]
        taken = item.mask.part & (part > 0)
        contested[tuple(slice(a, b) for a, b in zip(*item.mask.box, strict=True))] |= taken
        part[item.mask.part if objects.overwrite else item.mask.part & ~taken] = value
    if not labels.any():
        raise SessionError("labels: expected an object that is not empty, got none; step or paint first")
    return labels, int(np.count_nonzero(contested))


def names_text(objects: Sequence[LabelObject], labels: NDArray[np.uint8], name: str) -> str:
    """The file of names beside a label map, as JSON: each object's value, name, colour and voxels.

    Args:
        objects: In their order.
        labels: The label map.
        name: Of its file.
    """
    counts = np.bincount(labels.ravel(), minlength=len(objects) + 1)
    entries = [
        {"value": value, "name": item.name, "colour": item.colour, "voxels": int(counts[value])}
        for value, item in enumerate(objects, 1)
    ]
    return json.dumps({"format": FORMAT, "labels": name, "objects": entries}, indent=1, ensure_ascii=False) + "\n"
