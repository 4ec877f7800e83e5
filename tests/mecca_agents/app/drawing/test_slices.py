"""Slices as they are drawn: pictures with the scan's own intensities, colours over them, outlines where masks end."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from mecca_agents.app.drawing.colours import HEATS, LINES, blend, table
from mecca_agents.app.drawing.contours import outline
from mecca_agents.app.drawing.planes import planes_of
from mecca_agents.app.drawing.slices import DisplaySettings, draw_slice, read_display
from mecca_agents.session import InteractiveSession, Model, SessionError
from mecca_agents.session.inputs.mask import boxed
from tests.support.annotation import Case

QUERY = {"low": "0", "high": "100", "opacity": "0.5", "modality": "0", "heat": "", "outlines": "mask,label"}


def _pixels(drawn: dict[str, object]) -> np.ndarray:
    data = base64.b64decode(str(drawn["image"]).partition("base64,")[2])
    return np.asarray(Image.open(io.BytesIO(data)))


def _filled(path: str, shape: tuple[int, int]) -> np.ndarray:
    """The pixels whose middle lies inside a path, by the even-odd rule."""
    from matplotlib.path import Path

    rows, columns = np.indices(shape)
    middles = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
    inside = np.zeros(len(middles), bool)
    for part in re.findall(r"M([^Z]*)Z", path):
        points = [[float(v) for v in point.split()] for point in part.split("L")]
        inside ^= Path(points).contains_points(middles)
    return inside.reshape(shape)


@pytest.mark.parametrize("seed", range(5))
def test_an_outline_encloses_the_mask_and_nothing_else(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((17, 23)) < 0.5
    assert (_filled(outline(mask), mask.shape) == mask).all()


def test_an_outline_goes_around_holes_and_along_the_border() -> None:
    mask = np.ones((6, 7), bool)
    mask[2:4, 3] = False
    assert outline(mask).count("M") == 2
    assert (_filled(outline(mask), mask.shape) == mask).all()
    assert outline(np.zeros((4, 4), bool)) == ""


def test_a_straight_edge_takes_few_points() -> None:
    mask = np.zeros((300, 300), bool)
    mask[10:290, 20:280] = True
    assert outline(mask).count("L") <= 8


def test_the_window_maps_intensities_to_greys(model: Model) -> None:
    image = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)
    with InteractiveSession(model) as session:
        session.set_image(image)
        plane = planes_of(session.affine)[0]
        pixels = _pixels(draw_slice(session, plane, 3, DisplaySettings(20, 80)))
    expected = np.clip((image[:, :, 3] - 20) / 60, 0, 1) * 255
    assert np.abs(pixels.astype(float) - plane.picture(expected)).max() <= 1


def test_masks_labels_and_colours_of_a_step(model: Model, case: Case) -> None:
    with InteractiveSession(model) as session:
        session.set_image(case.scan)
        session.set_box(*case.box)
        session.step()
        mask, probability, (low, high) = session.mask(), session.probability(), session.view
        for plane in planes_of(session.affine):
            index = int(np.argwhere(mask).mean(axis=0)[plane.axis])
            display = DisplaySettings(0, 1000, "probability", 1.0, outlines=frozenset(("mask", "label", "advice")))
            drawn = draw_slice(session, plane, index, display, case.label)
            picture = plane.picture(mask.take(index, plane.axis))
            assert picture.any()
            assert (_filled(drawn["paths"]["mask"], picture.shape) == picture).all()
            wanted = plane.picture(case.label.take(index, plane.axis))
            assert (_filled(drawn["paths"]["label"], picture.shape) == wanted).all()
            seen = np.zeros(mask.shape, bool)
            seen[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
            inside = plane.picture(seen.take(index, plane.axis))
            values = plane.picture(probability.take(index, plane.axis))
            colours = table("probability")[np.rint(values * 255).astype(int)]
            pixels = _pixels(drawn)
            assert np.abs(pixels[inside].astype(float) - colours[inside]).max() <= 1  # wholly covered
            assert (pixels[~inside] == pixels[~inside][:, :1]).all()  # grey outside of what the agent sees


def test_a_label_of_another_scan_is_left_out(model: Model, case: Case) -> None:
    with InteractiveSession(model) as session:
        session.set_image(case.scan)
        display = DisplaySettings(0, 1, outlines=frozenset(("label",)))
        drawn = draw_slice(session, planes_of(session.affine)[0], 0, display, np.ones((3, 3, 3), bool))
    assert drawn["paths"] == {}


@pytest.mark.parametrize("heat", HEATS)
def test_colours_differ_in_brightness_from_end_to_end(heat: str) -> None:
    """Without any colour vision the ends of a scale are still apart from its middle or from each other."""
    light = table(heat) @ np.array([0.2126, 0.7152, 0.0722])  # type: ignore[arg-type]
    assert np.ptp(light) > 90


def test_hints_and_small_actions_leave_the_scan_alone() -> None:
    grey = np.full((1, 3), 100, np.float32)
    values = np.array([[0.0, 0.4, np.nan]], np.float32)
    assert (blend(grey, values, "hint", 1.0, 1.0)[0, [0, 2]] == 100).all()
    acted = blend(grey, values, "action", 1.0, 0.4)
    assert (acted[0, [0, 2]] == 100).all()
    assert (acted[0, 1] == table("action")[-1].round()).all()


@pytest.mark.parametrize(
    "change",
    [
        {"low": "100"},
        {"low": "nan"},
        {"high": "inf"},
        {"low": ""},
        {"opacity": "2"},
        {"heat": "fire"},
        {"outlines": "mask,../etc"},
        {"modality": "0.5"},
        {"modality": "1e400"},
    ],
)
def test_display_settings_that_cannot_be_are_refused(change: dict[str, str]) -> None:
    assert read_display(QUERY) == DisplaySettings(0, 100, None, 0.5, 0, frozenset(("mask", "label")))
    with pytest.raises(SessionError, match=next(iter(change)) + "|window"):
        read_display({**QUERY, **change})
    with pytest.raises(SessionError):
        read_display({name: value for name, value in QUERY.items() if name not in change} if "low" in change else {})


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_other_objects_are_outlined_in_their_colours(model: Model, case: Case, axis: int) -> None:
    masks = np.zeros((2, *case.label.shape), bool)
    masks[0, 5:20, 6:30, 7:25] = True
    masks[1, 40:50, 40:48, 30:40] = True
    objects = [("#111111", boxed(masks[0])), ("#222222", boxed(masks[1]))]
    with InteractiveSession(model) as session:
        session.set_image(case.scan)
        plane = next(plane for plane in planes_of(session.affine) if plane.axis == axis)
        display = DisplaySettings(0, 1, outlines=frozenset(("mask", "objects")))
        for index in (10, 42 if axis < 2 else 33, 2):
            drawn = draw_slice(session, plane, index, display, objects=objects)
            expected = [
                (colour, plane.picture(np.moveaxis(mask, axis, 0)[index]))
                for (colour, _), mask in zip(objects, masks, strict=True)
                if np.moveaxis(mask, axis, 0)[index].any()
            ]
            assert [colour for colour, _ in drawn["objects"]] == [colour for colour, _ in expected]
            for (_, path), (_, mask) in zip(drawn["objects"], expected, strict=True):
                assert (_filled(path, mask.shape) == mask).all()
            assert set(drawn["paths"]) == {"mask"}
        assert draw_slice(session, plane, 10, DisplaySettings(0, 1), objects=objects)["objects"] == []
        larger = [("#333333", boxed(np.ones([n + 1 for n in session.shape], bool)))]  # of a scan before
        assert draw_slice(session, plane, 10, display, objects=larger)["objects"] == []


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_two_proposals_are_outlined_in_the_place_of_the_mask(model: Model, case: Case, axis: int) -> None:
    masks = np.zeros((2, *case.label.shape), bool)
    masks[0, 5:20, 6:30, 7:25] = True
    masks[1, 9:24, 6:30, 7:25] = True
    index = [12, 12, 12][axis]
    with InteractiveSession(model) as session:
        session.set_image(case.scan)
        session.set_mask(case.label)
        plane = next(plane for plane in planes_of(session.affine) if plane.axis == axis)
        display = DisplaySettings(0, 1, outlines=frozenset(("mask", "label")))
        drawn = draw_slice(session, plane, index, display, case.label, proposed=tuple(masks))
        without = draw_slice(session, plane, index, display, case.label)
        other = draw_slice(session, plane, index, display, proposed=(np.ones((3, 3, 3), bool),) * 2)
    assert set(drawn["paths"]) == {"label", "first", "second"} and set(without["paths"]) == {"label", "mask"}
    for name, mask in zip(("first", "second"), masks, strict=True):
        picture = plane.picture(mask.take(index, axis))
        assert (_filled(drawn["paths"][name], picture.shape) == picture).all()
    assert other["paths"] == {}


def test_two_proposals_have_colours_that_everybody_tells_apart() -> None:
    """As people without one kind of cones see them (Machado, Oliveira and Fernandes, 2009), and on grey."""
    from skimage.color import rgb2lab

    kinds = [
        np.eye(3),
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ]

    def seen(colour: str, kind: np.ndarray) -> np.ndarray:
        """In CIELAB, where 2 can just be told apart."""
        srgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        light = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
        light = np.clip(np.asarray(kind) @ light, 0, 1)
        return np.asarray(rgb2lab(np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)))

    first, second = LINES["first"], LINES["second"]
    others = ["#000000", "#808080", LINES["label"].colour]
    for kind in kinds:
        one, two, *rest = (seen(colour, kind) for colour in (first.colour, second.colour, *others))
        assert np.linalg.norm(one - two) > 60
        assert min(np.linalg.norm(line - other) for line in (one, two) for other in rest) > 20
    assert first.dash != second.dash
