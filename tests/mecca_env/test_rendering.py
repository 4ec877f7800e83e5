"""Frames: one size whatever the state, every mark in its colour and place, nothing drawn into the caller's arrays."""

from __future__ import annotations

import warnings
from dataclasses import fields, replace
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.typing import NDArray

from mecca_env.rendering import BLUE, GREEN, RED, YELLOW, Scene, render_frame, shown_slice
from mecca_env.window import Window

Pixels = NDArray[np.uint8]
NO_CLICKS = np.empty((0, 3), np.int64)

# With panels of 220 pixels, a 55x55x30 grid has voxels of 4 pixels; its axial slice starts at these pixels.
LEFT, TOP, VOXEL = 6, 31 + 6, 4


def make_scene(shape: tuple[int, int, int] = (55, 55, 30), **changes: Any) -> Scene:
    """A box in noise, with a prediction that misses part of it and spills over on the other side."""
    rng = np.random.default_rng(0)
    label = np.zeros(shape, bool)
    label[tuple(slice(n // 4, max(3 * n // 4, n // 4 + 1)) for n in shape)] = True
    predicted = np.roll(label, 2, axis=0)
    probability = np.where(predicted, 0.9, 0.1).astype(np.float32)
    volume = (rng.standard_normal(shape) + label).astype(np.float32)
    clicks = np.concatenate([np.argwhere(label)[:3], np.full((4, 3), -1)])
    scene = Scene(
        volume=volume,
        label=label,
        probability=probability,
        hint=np.zeros(shape, np.float32),
        clicks=clicks,
        advice=None,
        step=2,
        horizon=5,
        dice=0.8125,
        n_clicks=3,
        dataset="phantom",
        case="phantom-000001",
    )
    return replace(scene, **changes)


def agreed(scene: Scene) -> Scene:
    return replace(scene, probability=scene.label.astype(np.float32), clicks=NO_CLICKS)


def is_colour(frame: Pixels, colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    return (frame == np.array(colour, np.uint8)).all(axis=-1)


def drawn(frame: Pixels, colour: tuple[int, int, int]) -> bool:
    """Tell whether the panels, without caption and legend, show the colour."""
    return bool(is_colour(frame[31:-32], colour).any())


@pytest.mark.parametrize("shape", [(8, 8, 8), (55, 55, 30), (128, 20, 9), (9, 300, 17)])
@pytest.mark.parametrize("panel", [96, 151, 220])
def test_every_state_gives_a_frame_of_one_even_size(shape: tuple[int, int, int], panel: int) -> None:
    scene = make_scene(shape)
    states = [
        scene,
        agreed(scene),
        replace(scene, probability=np.full(shape, 0.5, np.float32), clicks=NO_CLICKS, step=0, dice=0.0),
        replace(scene, probability=np.ones(shape, np.float32), hint=np.ones(shape, np.float32)),
        replace(scene, advice=scene.label, case="a case with a name far too long for any caption " * 4),
        replace(scene, volume=np.zeros(shape, np.float32), label=np.zeros(shape, bool)),
        replace(scene, label=np.ones(shape, bool), n_clicks=12345, step=10, horizon=10),
    ]
    frames = [render_frame(state, panel) for state in states]
    assert {(frame.shape, str(frame.dtype)) for frame in frames} == {(frames[0].shape, "uint8")}
    height, width, channels = frames[0].shape
    assert (height % 2, width % 2, channels) == (0, 0, 3)
    assert frames[0].flags.writeable and frames[0].flags.c_contiguous


def test_rendering_repeats_itself_and_changes_no_input() -> None:
    scene = make_scene(advice=np.random.default_rng(1).random((55, 55, 30)) > 0.9)
    arrays = {f.name: v for f in fields(scene) if isinstance(v := getattr(scene, f.name), np.ndarray)}
    copies = {name: array.copy() for name, array in arrays.items()}
    for array in arrays.values():
        array.flags.writeable = False
    first = render_frame(scene)
    assert np.array_equal(first, render_frame(scene))
    assert all(np.array_equal(arrays[name], copy) for name, copy in copies.items())


def test_contours_follow_the_voxels_and_both_show_where_they_agree() -> None:
    label = np.zeros((55, 55, 30), bool)
    label[20:30, 15:35, 10:20] = True
    frame = render_frame(agreed(make_scene(label=label)))
    left, right = LEFT + 20 * VOXEL, LEFT + 30 * VOXEL
    top, bottom = TOP + (55 - 35) * VOXEL, TOP + (55 - 15) * VOXEL
    green, yellow = is_colour(frame, GREEN), is_colour(frame, YELLOW)
    assert green[top:bottom, left - 1].all() and green[top:bottom, right].all()
    assert green[top - 1, left:right].all() and green[bottom, left:right].all()
    assert yellow[top:bottom, left].all() and yellow[top, left:right].all()
    inside = np.s_[top + 1 : bottom - 1, left + 1 : right - 1]
    assert not green[inside].any() and not yellow[inside].any()


def test_a_label_that_fills_the_grid_keeps_its_contour() -> None:
    scene = make_scene(label=np.ones((55, 55, 30), bool))
    green = is_colour(render_frame(scene), GREEN)
    assert green[TOP : TOP + 220, LEFT - 1].all() and green[TOP : TOP + 220, LEFT + 220].all()


def test_no_contour_without_a_mask() -> None:
    scene = make_scene(clicks=NO_CLICKS)
    empty = np.zeros(scene.label.shape, bool)
    half = np.full(scene.label.shape, 0.5, np.float32)
    assert not drawn(render_frame(replace(scene, probability=half)), YELLOW)
    assert not drawn(render_frame(replace(scene, label=empty)), GREEN)
    assert drawn(render_frame(scene), YELLOW) and drawn(render_frame(scene), GREEN)


def test_the_first_axis_runs_right_and_the_second_up() -> None:
    label = np.zeros((55, 55, 30), bool)
    label[50:, 45:, 10:20] = True
    rows, columns = np.nonzero(is_colour(render_frame(agreed(make_scene(label=label))), GREEN)[TOP : TOP + 220, :226])
    assert columns.min() >= LEFT + 50 * VOXEL - 1
    assert rows.max() <= 10 * VOXEL


def test_clicks_are_red_on_their_slice_and_faint_beside_it() -> None:
    scene = agreed(make_scene())
    index = shown_slice(scene.label, scene.label, 2)
    x, y = LEFT + 30 * VOXEL + 2, TOP + (55 - 40) * VOXEL - 2  # the middle of voxel (30, 40)

    def red_around(k: int) -> float:
        frame = render_frame(replace(scene, clicks=np.array([[30, 40, k], [-1, -1, -1]]))).astype(float)
        plain = render_frame(scene).astype(float)
        if k == index:
            assert is_colour(frame.astype(np.uint8), RED)[y, x]
        return float(np.abs(frame - plain)[y - 2 : y + 3, x - 2 : x + 3].mean())

    solid, near, also_near, far = (red_around(index + away) for away in (0, 1, -2, 3))
    assert solid > near > 0
    assert near == also_near
    assert far == 0


def test_clicks_in_the_corners_of_the_grid_stay_in_the_frame() -> None:
    corners = np.array([[x, y, z] for x in (0, 54) for y in (0, 54) for z in (0, 29)])
    scene = make_scene(clicks=corners, label=np.ones((55, 55, 30), bool))
    assert drawn(render_frame(replace(scene, probability=np.zeros((55, 55, 30), np.float32))), RED)


def test_padding_is_not_drawn() -> None:
    scene = make_scene()
    padded = replace(scene, clicks=np.full((45, 3), -1))
    assert np.array_equal(render_frame(padded), render_frame(replace(scene, clicks=NO_CLICKS)))


def test_advice_is_outlined_in_blue_and_hints_warm_the_picture() -> None:
    scene = make_scene(clicks=NO_CLICKS)
    plain = render_frame(scene)
    advice = np.zeros(scene.label.shape, bool)
    advice[3:20, 3:20] = True
    advised = render_frame(replace(scene, advice=advice))
    assert drawn(advised, BLUE) and not drawn(plain, BLUE)
    hint = np.zeros(scene.label.shape, np.float32)
    hint[25:30, 25:30] = 1
    warm = render_frame(replace(scene, hint=hint)).astype(int) - plain
    changed = (warm != 0).any(axis=-1)
    assert changed.any()
    assert (warm[changed][:, 0] >= warm[changed][:, 2]).all()


def test_the_slice_with_most_errors_is_shown() -> None:
    label = np.zeros((10, 11, 12), bool)
    label[2:9, 3:8, 4:11] = True
    prediction = label.copy()
    prediction[5, 3:8, 4:11] = False
    prediction[2:9, 6, 4:11] = False
    assert shown_slice(prediction, label, 0) == 5
    assert shown_slice(prediction, label, 1) == 6


def test_without_errors_the_middle_of_the_label_is_shown() -> None:
    label = np.zeros((10, 11, 12), bool)
    label[2:7, 3:10, 0:3] = True
    assert [shown_slice(label, label, axis) for axis in range(3)] == [4, 6, 1]
    empty = np.zeros_like(label)
    assert [shown_slice(empty, empty, axis) for axis in range(3)] == [5, 5, 6]


def test_two_pieces_show_one_of_them_and_not_the_gap() -> None:
    label = np.zeros((20, 8, 8), bool)
    label[[0, 1, 18, 19]] = True
    assert label[shown_slice(label, label, 0)].any()


@pytest.mark.parametrize(
    "change", [{"step": 3}, {"horizon": 6}, {"dice": 0.813}, {"n_clicks": 4}, {"dataset": "liver"}, {"case": "x"}]
)
def test_the_caption_says_where_the_episode_stands(change: dict[str, Any]) -> None:
    scene = make_scene()
    different = (render_frame(scene) != render_frame(replace(scene, **change))).any(axis=-1)
    assert different[:31].any() and not different[31:].any()


def test_bad_scenes_and_panels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"hint: expected the volume's shape \(55, 55, 30\), got \(55, 55\)"):
        make_scene(hint=np.zeros((55, 55), np.float32))
    with pytest.raises(ValueError, match=r"clicks: expected \(K, 3\), got \(3,\)"):
        make_scene(clicks=np.zeros(3, int))
    with pytest.raises(ValueError, match="panel: expected at least 96 pixels, got 20"):
        render_frame(make_scene(), panel=20)


@pytest.fixture
def agg() -> None:
    matplotlib.use("Agg", force=True)


@pytest.mark.usefixtures("agg")
def test_a_window_without_a_display_says_so_once() -> None:
    import matplotlib.pyplot as plt

    window, frame = Window(), np.zeros((20, 30, 3), np.uint8)
    with pytest.warns(UserWarning, match="use render_mode='rgb_array'"):
        window.show(frame)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        window.show(frame)
        window.close()
        window.close()
    assert not plt.get_fignums()


@pytest.mark.usefixtures("agg")
def test_a_toolkit_that_fails_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_display(**_: object) -> None:
        raise RuntimeError("no display name")

    monkeypatch.setattr("matplotlib.pyplot.figure", no_display)
    with pytest.warns(UserWarning, match="no display name"):
        Window().show(np.zeros((20, 30, 3), np.uint8))


@pytest.mark.usefixtures("agg")
def test_a_window_shows_every_frame_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib.pyplot as plt

    pauses: list[float] = []
    monkeypatch.setattr(FigureCanvasAgg, "required_interactive_framework", "a toolkit")
    monkeypatch.setattr(plt, "pause", pauses.append)
    window = Window(fps=10)
    try:
        for value in (10, 200):
            frame = np.full((40, 60, 3), value, np.uint8)
            window.show(frame)
            (number,) = plt.get_fignums()
            (image,) = plt.figure(number).axes[0].images
            assert np.array_equal(image.get_array(), frame)
        assert pauses == [0.1, 0.1]
        plt.close(number)  # as its user would
        window.show(frame)
        assert len(pauses) == 2
    finally:
        window.close()
        plt.ioff()
    assert not plt.get_fignums()


def test_a_window_needs_a_frame_rate() -> None:
    with pytest.raises(ValueError, match="fps: expected a number above 0, got 0"):
        Window(fps=0)
