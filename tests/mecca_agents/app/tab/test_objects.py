"""The list of objects, and the label map that they make."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from mecca_agents.app.tab.objects import MOST_OBJECTS, PALETTE, ObjectList, label_map, names_text
from mecca_agents.session import SessionError
from mecca_agents.session.inputs.mask import boxed

SHAPE = (8, 9, 10)


def _mask(low: int, high: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[low:high, low:high, low:high] = True
    return mask


def _three() -> ObjectList:
    """Two that share voxels, an empty one between them."""
    return ObjectList().left(boxed(_mask(0, 5)), None).added("none").added("late").left(boxed(_mask(3, 8)), None)


def test_objects_are_added_renamed_coloured_and_removed() -> None:
    first = ObjectList()
    two = first.added().renamed(0, "  liver\n").coloured(1, "#ABCDEF")
    assert [(item.name, item.colour) for item in two.items] == [("liver", PALETTE[0]), ("Object 2", "#abcdef")]
    assert two.now.name == "Object 2" and [item.name for item in two.others] == ["liver"]
    assert len(first.items) == 1 and two.changes > first.changes  # a list is never changed itself
    assert two.added().now.colour == PALETTE[1]  # the first that is free
    three = two.added("spleen").going_to(1)
    assert [three.removed(key).now.name for key in (0, 1, 2)] == ["Object 2", "spleen", "Object 2"]
    assert three.going_to(2).removed(2).now.name == "Object 2"
    assert three.removed(2).added().now.key == 3  # no key is used twice
    assert ObjectList().renamed(0, "Object 2").added().now.name == "Object 3"


def test_more_objects_than_colours_and_than_a_file_takes() -> None:
    many = ObjectList()
    for _ in range(MOST_OBJECTS - 1):
        many = many.added()
    counts = [sum(item.colour == colour for item in many.items) for colour in PALETTE]
    assert max(counts) - min(counts) <= 1 and len({item.name for item in many.items}) == MOST_OBJECTS <= 255
    with pytest.raises(SessionError, match="object: expected at most"):
        many.added()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_voxel_that_two_claim_is_the_earlier_ones_or_the_later_ones(overwrite: bool) -> None:
    objects = _three().overwriting(overwrite)
    labels, contested = label_map(objects, SHAPE)
    first, last = _mask(0, 5), _mask(3, 8)
    expected = np.zeros(SHAPE, np.uint8)
    for value, mask in ((1, first), (3, last)) if overwrite else ((3, last), (1, first)):
        expected[mask] = value
    assert labels.dtype == np.uint8 and (labels == expected).all()
    assert contested == (first & last).sum() == 8
    names = json.loads(names_text(objects.items, labels, "x_labels.nii.gz"))
    assert names["labels"] == "x_labels.nii.gz"
    assert [(e["value"], e["name"], e["colour"], e["voxels"]) for e in names["objects"]] == [
        (value, item.name, item.colour, (expected == value).sum()) for value, item in enumerate(objects.items, 1)
    ]


def test_nothing_at_all_is_no_label_map() -> None:
    with pytest.raises(SessionError, match="labels: expected an object that is not empty"):
        label_map(ObjectList().added(), SHAPE)


@pytest.mark.parametrize(
    ("method", "given", "words"),
    [
        ("going_to", (7,), "object: expected one of the list, got 7"),
        ("going_to", (True,), "object: expected one of the list, got True"),
        ("removed", ([0],), "object: expected one of the list"),
        ("renamed", (0, ""), "name: expected 1 to 60 characters"),
        ("renamed", (0, "\n\0 "), "name: expected 1 to 60 characters"),
        ("renamed", (0, "x" * 5000), "name: expected 1 to 60 characters"),
        ("renamed", (0, {"a": 1}), "name: expected 1 to 60 characters"),
        ("renamed", (0, "late"), "name: expected one that no other object has"),
        ("added", ("late",), "name: expected one that no other object has"),
        ("coloured", (0, "red"), "colour: expected # and six digits"),
        ("coloured", (0, "#12345\u0661"), "colour: expected # and six digits"),
        ("coloured", (0, '#123456"/><script>'), "colour: expected # and six digits"),
        ("coloured", (0, None), "colour: expected # and six digits"),
        ("overwriting", (1,), "overwrite: expected true or false"),
    ],
)
def test_what_a_browser_may_send_instead(method: str, given: tuple[Any, ...], words: str) -> None:
    with pytest.raises(SessionError) as caught:
        getattr(_three(), method)(*given)
    assert str(caught.value).startswith(words) and len(str(caught.value)) < 200


def test_the_last_object_stays() -> None:
    with pytest.raises(SessionError, match="expected two at least to remove one"):
        ObjectList().removed(0)
