"""What scenes look like: contrast, edges that fade or leak, layers, and what a scanner makes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mecca_env.data.procedural.noise import Grid, Point
from mecca_env.data.shapes.drawing import UPRIGHT
from mecca_env.data.shapes.families import Target
from mecca_env.data.shapes.forms import Ellipsoid, Waves
from mecca_env.data.shapes.look import Look
from mecca_env.data.shapes.operators import Union
from mecca_env.data.shapes.painting import paint
from mecca_env.data.shapes.scanner import Scanner, smoothed
from mecca_env.data.shapes.scene import Scene
from mecca_env.data.shapes.solids import ellipsoid
from mecca_env.data.shapes.surroundings import Tissues

SIZE, EXTENT = (40, 40, 40), Point(80.0, 80.0, 80.0)
GRID = Grid.whole(SIZE, EXTENT, key=5, device=torch.device("cpu"))
ORIGIN = Point(0.0, 0.0, 0.0)
CALM = Waves(0, 20.0, 0.0)
BALL = Ellipsoid(ORIGIN, Point(16.0, 16.0, 16.0), UPRIGHT, CALM)
LOOK = Look(
    contrast=0.3,
    clear=0.0,
    darker=False,
    soft=2.0,
    texture=(0.0, 10.0),
    slope=0.0,
    heading=Point(1.0, 0.0, 0.0),
    core=0.0,
    core_change=1.0,
    patch=(0.0, 10.0),
    faint=0.0,
    leak=0.0,
    fade=(0.5, 12.0),
    rim=0.9,
    rim_width=0.0,
    gap=0.0,
)
GREY = Tissues("layers", EXTENT, (0.4,), (), 1.0, 0.0, 0.0, ())
DEPTH = BALL.depth(GRID)


def painted(**changes: Any) -> tuple[Tensor, Tensor]:
    scene = {name: changes.pop(name) for name in ("others", "alike", "body") if name in changes}
    target = changes.pop("target", Target("ellipsoid", BALL, ellipsoid))
    blank: dict[str, Any] = {"others": (), "alike": (), "tissues": GREY, "body": None}
    found = paint(Scene(SIZE, EXTENT, target, replace(LOOK, **changes), **(blank | scene)), GRID)
    assert found is not None
    return found


@pytest.mark.parametrize(("darker", "level"), [(False, 0.7), (True, 0.1)])
def test_a_target_stands_out_by_its_contrast(darker: bool, level: float) -> None:
    signal, label = painted(darker=darker)
    assert torch.equal(label, DEPTH > 0)
    assert signal[DEPTH > 1].allclose(torch.tensor(level), atol=1e-3) and signal[DEPTH < -2].eq(0.4).all()


def test_where_there_is_no_room_below_it_is_brighter() -> None:
    assert float(painted(darker=True, contrast=0.5)[0].max()) == pytest.approx(0.9, abs=1e-3)


def test_an_edge_is_as_soft_as_it_is_said_to_be() -> None:
    partial = [int(((s > 0.41) & (s < 0.69)).sum()) for s in (painted(soft=soft)[0] for soft in (2.0, 8.0))]
    assert partial[1] > 2.5 * partial[0]


def test_a_faint_edge_loses_contrast_in_part_and_a_leak_goes_beyond() -> None:
    signal, label = painted(faint=0.9)
    lost = (signal[DEPTH > 1] < 0.5).float().mean()
    assert 0.05 < float(lost) < 0.9
    signal, label = painted(leak=8.0)
    beyond = (signal > 0.6) & ~label & (DEPTH < -1)
    assert 100 < int(beyond.sum()) < int(label.sum()) and float(DEPTH[beyond].min()) > -10


def test_core_slope_patches_texture_and_rim() -> None:
    signal, _ = painted(core=0.4, core_change=-1.0)
    assert signal[20, 20, 20] == pytest.approx(0.4, abs=1e-3) and float(signal.max()) == pytest.approx(0.7, abs=1e-3)
    signal, _ = painted(slope=0.2)
    assert float(signal[26, 20, 20] - signal[13, 20, 20]) == pytest.approx(0.2 * 26 / 16, rel=0.02)
    assert float(painted(texture=(0.1, 8.0))[0][DEPTH > 1].std()) == pytest.approx(0.1, rel=0.4)
    patches = (painted(patch=(1.0, 8.0))[0][DEPTH > 1] > 0.8).float().mean()
    assert 0.03 < float(patches) < 0.5
    signal, _ = painted(rim_width=6.0)
    assert signal[(DEPTH < -2) & (DEPTH > -4)].allclose(torch.tensor(1.0), atol=1e-3)


def test_what_a_rim_encloses_is_told_from_it() -> None:
    assert replace(LOOK, rim=0.72).apart(0.7) == 1.0 and replace(LOOK, rim=0.6).apart(0.7) == pytest.approx(0.4)
    assert replace(LOOK, rim=0.1).apart(0.7) == 0.1 and replace(LOOK, rim=0.1).apart(0.2) == 0.5


def test_others_alike_keep_their_distance_and_are_no_part_of_the_label() -> None:
    beside = BALL.moved(Point(20.0, 0.0, 0.0))
    signal, label = painted(alike=(beside,), gap=4.0)
    assert torch.equal(label, DEPTH > 0)
    twin = (signal > 0.65) & ~label
    assert twin[35, 20, 20] and float(DEPTH[twin].max()) < -2
    assert float(signal[(DEPTH < -1.2) & (DEPTH > -2.8)].max()) < 0.5


def test_a_body_ends_in_air_and_holds_the_target() -> None:
    body = Ellipsoid(Point(30.0, 0.0, 0.0), Point(20.0, 20.0, 20.0), UPRIGHT, CALM)
    signal, label = painted(body=body)
    assert signal[0, 0, 0] == 0 and signal[label].min() > 0.5
    assert float((signal == 0).float().mean()) > 0.5


def test_specks_are_neither_labelled_nor_drawn_and_too_small_is_none() -> None:
    tiny = Ellipsoid(Point(30.0, 30.0, 30.0), Point(4.0, 4.0, 4.0), UPRIGHT, CALM)
    signal, label = painted(target=Target("ellipsoid", Union((BALL, tiny)), ellipsoid))
    assert not label[35:, 35:, 35:].any() and float(signal[33:, 33:, 33:].max()) < 0.45
    small = Ellipsoid(ORIGIN, Point(6.0, 6.0, 6.0), UPRIGHT, CALM)
    assert paint(Scene(SIZE, EXTENT, Target("ellipsoid", small, ellipsoid), LOOK, (), (), GREY, None), GRID) is None
    large = Ellipsoid(ORIGIN, Point(36.0, 36.0, 36.0), UPRIGHT, CALM)
    assert paint(Scene(SIZE, EXTENT, Target("ellipsoid", large, ellipsoid), LOOK, (), (), GREY, None), GRID) is None


@pytest.mark.parametrize("kind", ["layers", "folds", "cells"])
def test_tissues_have_their_levels_and_membranes(kind: str) -> None:
    marks = () if kind == "cells" else (0.3, 0.8)
    tissues = Tissues(kind, Point(16.0, 16.0, 16.0), (0.2, 0.5, 0.8), marks, 100.0, 0.0, 0.2, ())
    signal = tissues.paint(GRID)
    shares = [float(((signal - level).abs() < 0.02).float().mean()) for level in (0.2, 0.5, 0.8)]
    assert min(shares) > 0.1 and sum(shares) > 0.6
    assert (float(signal.min()) < 0.1) == (kind == "cells")  # the membranes


def scanner(**changes: Any) -> Scanner:
    ideal = Scanner(
        blur=ORIGIN,
        bias=0.0,
        bias_spacing=40.0,
        bend=1.0,
        noise=0.0,
        kind="gaussian",
        grain=0.0,
        gain=1.0,
        offset=0.0,
    )
    return replace(ideal, **changes)


def test_smoothing_keeps_the_sum_and_what_is_even() -> None:
    field = torch.from_numpy(np.random.default_rng(0).uniform(size=(7, 8, 9)).astype(np.float32))
    for axis in range(3):
        smooth = smoothed(field, axis, 0.5)
        assert float(smooth.sum()) == pytest.approx(float(field.sum()), rel=1e-5)
        assert smooth.var() < field.var()
    assert smoothed(torch.ones(4, 4, 4), 1, 0.4).allclose(torch.ones(4, 4, 4))


@pytest.mark.parametrize("grain", [0.0, 0.5])
def test_noise_has_its_standard_deviation_however_coarse(grain: float) -> None:
    image = scanner(noise=0.05, grain=grain).acquire(GRID, torch.full(SIZE, 0.6))
    assert float(image.std()) == pytest.approx(0.05, rel=0.05) and float(image.mean()) == pytest.approx(0.6, abs=0.005)
    beside = np.corrcoef(image[1:].flatten(), image[:-1].flatten())[0, 1]
    assert (beside > 0.4) == (grain > 0)


def test_rician_noise_is_never_negative_and_lifts_the_air() -> None:
    image = scanner(noise=0.05, kind="rician").acquire(GRID, torch.zeros(SIZE))
    assert float(image.min()) >= 0 and float(image.mean()) == pytest.approx(0.05 * np.sqrt(np.pi / 2), rel=0.03)


def test_curve_scale_and_bias() -> None:
    ramp = torch.linspace(0, 1, 40).view(40, 1, 1).expand(SIZE).contiguous()
    for bend in (0.5, 2.0):
        image = scanner(bend=bend, gain=100.0, offset=-7.0).acquire(GRID, ramp.clone())[:, 0, 0]
        assert (image.diff() > 0).all() and image[0] == -7 and image[-1] == pytest.approx(93, abs=1e-3)
        assert (image[20] > 44) == (bend < 1)
    uneven = scanner(bias=0.1).acquire(GRID, torch.full(SIZE, 0.5))
    assert float(uneven.std()) == pytest.approx(0.05, rel=0.5)


def test_blur_softens_the_axis_it_is_along() -> None:
    step = torch.zeros(SIZE)
    step[20:] = 1
    image = scanner(blur=Point(0.4, 0.0, 0.0)).acquire(GRID, step.clone())
    assert image[18:22, 0, 0].tolist() == pytest.approx([0, 0.2, 0.8, 1.0])
    assert torch.equal(scanner(blur=Point(0.0, 0.4, 0.4)).acquire(GRID, step.clone()), step)
