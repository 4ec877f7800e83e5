"""Noise: parts of it are parts of the whole, streams differ, and it has about unit variance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mecca_env.data.procedural.noise import Grid, Point

GRID = Grid.whole((40, 30, 36), Point(80.0, 60.0, 144.0), key=12345, device=torch.device("cpu"))
BOX = (slice(3, 30), slice(5, 9), slice(0, 17))


@pytest.mark.parametrize("spacing", [9.0, Point(9.0, 30.0, 14.0)])
def test_noise_of_a_part_is_the_part_of_the_noise(spacing: float | Point) -> None:
    assert torch.equal(GRID.part(BOX).noise(2, spacing), GRID.noise(2, spacing)[BOX])


def test_streams_differ_and_have_unit_variance() -> None:
    one, other = GRID.noise(2, 7.0), GRID.noise(3, 7.0)
    assert not torch.equal(one, other)
    for field in (one, other):
        assert 0.8 < float(field.std()) < 1.2


def test_spacing_along_an_axis_stretches_the_noise() -> None:
    rough = [float(GRID.noise(1, Point(9.0, 9.0, z)).diff(dim=2).square().mean()) for z in (9.0, 36.0)]
    assert rough[1] < rough[0] / 5


def test_white_noise_is_normal_and_independent() -> None:
    one, other = (part.numpy() for part in GRID.white(77))
    for part in (one, other):
        assert part.mean() == pytest.approx(0, abs=0.02) and part.std() == pytest.approx(1, abs=0.02)
        assert np.abs(part).max() < 4.5
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] == pytest.approx(0, abs=0.02)
    assert np.corrcoef(one[1:].ravel(), one[:-1].ravel())[0, 1] == pytest.approx(0, abs=0.02)
    assert not torch.equal(GRID.white(78)[0], GRID.white(77)[0])


def test_a_grid_knows_its_affine() -> None:
    assert GRID.spacing == Point(2.0, 2.0, 4.0) and GRID.shape == (40, 30, 36)
    assert np.array_equal(np.diag(GRID.affine), [2.0, 2.0, 4.0, 1.0])
    assert np.array_equal(GRID.affine @ [19.5, 14.5, 17.5, 1.0], [0.0, 0.0, 0.0, 1.0])
