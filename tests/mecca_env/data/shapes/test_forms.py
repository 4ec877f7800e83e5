"""Forms: their depth is a distance near the surface, their boxes hold them, their volumes are what was asked for."""

from __future__ import annotations

from math import pi

import cc3d
import numpy as np
import pytest
import torch

from mecca_env.data.procedural.noise import Grid, Point
from mecca_env.data.shapes.drawing import UPRIGHT, direction, dot, turn
from mecca_env.data.shapes.families import FAMILIES, SOLIDS
from mecca_env.data.shapes.forms import Beads, Ellipsoid, Form, Plate, Waves, around
from mecca_env.data.shapes.operators import Half, Inside, Union, Wall
from mecca_env.data.shapes.solids import Solid, cloud, letter

GRID = Grid.whole((60, 56, 50), Point(60.0, 56.0, 75.0), key=99, device=torch.device("cpu"))
VOXEL = 1.5
CALM = Waves(0, 20.0, 0.0)
ORIGIN = Point(0.0, 0.0, 0.0)
EGG = Ellipsoid(Point(2.0, -3.0, 4.0), Point(14.0, 11.0, 9.0), turn(np.random.default_rng(0)), CALM)
BALL = Beads(((ORIGIN, 8.0),), ORIGIN, Point(1.0, 1.0, 1.0), CALM)
ALL_SOLIDS: list[Solid] = [*SOLIDS, cloud, letter]


def volume(form: Form) -> float:
    return float((form.depth(GRID) > 0).sum()) * VOXEL


def test_a_frame_is_made_of_unit_vectors_at_right_angles() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        frame, heading = turn(rng), direction(rng)
        products = np.array([[dot(a, b) for a in frame] for b in frame])
        assert np.allclose(products, np.eye(3), atol=1e-12) and dot(heading, heading) == pytest.approx(1)
        assert np.linalg.det(np.array(frame)) == pytest.approx(1)


def test_an_ellipsoid_and_a_ball_have_their_volume_and_depth() -> None:
    assert volume(EGG) == pytest.approx(4 / 3 * pi * 14 * 11 * 9, rel=0.02)
    assert volume(BALL) == pytest.approx(4 / 3 * pi * 8**3, rel=0.03)
    x, y, z = GRID.coordinates()
    distance = 8.0 - (x * x + y * y + z * z).sqrt()
    near = distance.abs() < 1
    assert float((BALL.depth(GRID) - distance)[near].abs().max()) < 0.1


def test_a_plate_is_as_thin_as_it_is_said_to_be_wherever_it_bends() -> None:
    plate = Plate(ORIGIN, Point(20.0, 14.0, 3.0), UPRIGHT, CALM, (0.02, -0.01))
    thickness = (plate.depth(GRID) > 0).sum(dim=2).float() * VOXEL
    inner = thickness[GRID.coordinates()[0].flatten().abs() < 12][:, GRID.coordinates()[1].flatten().abs() < 6]
    assert float((inner - 6).abs().max()) <= VOXEL and float(inner.mean()) == pytest.approx(6, abs=0.3)


def test_a_bend_moves_the_ends_and_keeps_the_volume() -> None:
    straight = Ellipsoid(ORIGIN, Point(20.0, 8.0, 6.0), UPRIGHT, CALM)
    bent = Ellipsoid(ORIGIN, Point(20.0, 8.0, 6.0), UPRIGHT, CALM, bend=0.02)
    assert volume(bent) == pytest.approx(volume(straight), rel=0.03)
    heights = [float((GRID.coordinates()[2] * (form.depth(GRID) > 0))[45].sum()) for form in (straight, bent)]
    assert heights[0] == 0 and heights[1] < -20


def test_walls_enclose_and_may_be_open() -> None:
    closed, inner = Wall(EGG, 2.0, Point(0.0, 0.0, 1.0), 1e6), Inside(EGG, 2.0)
    assert volume(closed) + volume(inner) == pytest.approx(volume(EGG), rel=1e-6)
    opened = Wall(EGG, 2.0, Point(0.0, 0.0, 1.0), 3.0).depth(GRID) > 0
    kept = GRID.coordinates()[2].expand(GRID.shape)[opened]
    assert opened.any() and float(kept.max()) <= EGG.centre.z + 3.0
    outside = ~(closed.depth(GRID) > 0)
    assert cc3d.connected_components(outside.numpy(), connectivity=6).max() == 2  # the outside and what is enclosed


def test_twins_share_what_they_cover_and_nothing_twice() -> None:
    other = EGG.moved(Point(9.0, 0.0, 0.0))
    one, two, both = (form.depth(GRID) > 0 for form in (Half(EGG, other), Half(other, EGG), Union((EGG, other))))
    assert not (one & two).any()
    assert float((both & ~one & ~two).sum()) <= 0.01 * float(both.sum())  # exactly in the middle


@pytest.mark.parametrize("solid", ALL_SOLIDS, ids=lambda solid: solid.__name__)
def test_a_solid_has_about_the_volume_that_was_asked_for_and_lies_in_its_box(solid: Solid) -> None:
    found = []
    for seed in range(12):
        form = solid(np.random.default_rng(seed), Point(1.0, 2.0, -3.0), 6000.0, 1.0, 5)
        inside = form.depth(GRID) > 0
        found.append(float(inside.sum()) * VOXEL)
        box = around(GRID, form)
        assert int(inside[box].sum()) == int(inside.sum()) > 0
        assert torch.equal(form.depth(GRID.part(box)) > 0, inside[box])
    assert 0.5 * 6000 < np.median(found) < 1.8 * 6000
    assert np.std(found) > 0.05 * 6000


@pytest.mark.parametrize("family", FAMILIES)
def test_a_target_that_is_moved_is_the_same_elsewhere(family: str) -> None:
    target = FAMILIES[family].make(np.random.default_rng(1), ORIGIN, 3000.0, 1.0, 0)
    moved = target.moved(Point(2.0, 1.0, 3.0))
    before_all, after_all = ((t.form, *t.alike, *t.beside) for t in (target, moved))
    for before, after in zip(before_all, after_all, strict=True):
        assert np.allclose(np.subtract(after.centre, before.centre), (2.0, 1.0, 3.0))
        assert np.allclose(after.reach, before.reach)
    assert moved.family == family and moved.pieces == target.pieces
