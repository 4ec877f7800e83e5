"""Clicks to hint maps, against brute force and SciPy."""

from __future__ import annotations

import math

import edt
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from mecca_env.kernels import torch_cpu_step, torch_step
from mecca_env.process.config import EnvConfig
from mecca_env.process.contracts import Hint
from mecca_env.process.hints import (
    CheckedHint,
    EuclideanHint,
    GaussianHint,
    GeodesicHint,
    TruncatedDistanceHint,
    make_hint,
)

SHAPE = (9, 11, 8)
CLICK = st.tuples(*(st.integers(0, n - 1) for n in SHAPE))
CLICKS = st.lists(st.lists(st.one_of(CLICK, st.just((-1, -1, -1))), min_size=3, max_size=3), min_size=2, max_size=2)
EMPTY = torch.zeros((2, *SHAPE))
FLAT = torch.zeros((2, 1, *SHAPE))
MAKERS = {
    "gaussian": lambda: GaussianHint(2.0, 3),
    "edt": lambda: TruncatedDistanceHint(3),
    "euclidean": lambda: EuclideanHint(2.0, SHAPE),
    "geodesic": lambda: GeodesicHint(2.0),
}


def gaussian_oracle(places: list[tuple[int, ...]], sigma: float, radius: int) -> np.ndarray:
    """Every voxel against every click, one after the other."""
    value = np.zeros(SHAPE)
    for voxel in np.ndindex(*SHAPE):
        for place in places:
            offset = np.subtract(voxel, place)
            if place[0] >= 0 and abs(offset).max() <= radius:
                value[voxel] = max(value[voxel], math.exp(-(offset**2).sum() / (2 * sigma**2)))
    return value


@given(CLICKS)
def test_gaussian_is_the_brute_force_one(clicks: list[list[tuple[int, ...]]]) -> None:
    hint = GaussianHint(1.7, 3).add(EMPTY, torch.tensor(clicks), FLAT)
    assert hint.dtype == torch.float32
    for row, places in zip(hint, clicks, strict=True):
        np.testing.assert_allclose(row, gaussian_oracle(places, 1.7, 3), rtol=1e-6, atol=0)


@given(CLICKS, st.integers(0, 2**31))
def test_both_ways_of_pasting_give_the_same_bits(clicks: list[list[tuple[int, ...]]], seed: int) -> None:
    before = torch.rand(EMPTY.shape, generator=torch.Generator().manual_seed(seed))
    here, there = torch.empty_like(before), torch.empty_like(before)
    patch = torch.rand((7, 7, 7), generator=torch.Generator().manual_seed(seed + 1))
    torch_cpu_step.paste(before, torch.tensor(clicks), patch, here)
    torch_step.paste(before, torch.tensor(clicks), patch, there)
    assert torch.equal(here, there)


@pytest.mark.parametrize("name", MAKERS)
@given(first=CLICKS, second=CLICKS)
def test_every_hint_peaks_at_clicks_and_merges_by_maximum(
    name: str, first: list[list[tuple[int, ...]]], second: list[list[tuple[int, ...]]]
) -> None:
    hint = MAKERS[name]()
    one = hint.add(EMPTY, torch.tensor(first), FLAT)
    kept = one.clone()
    two = hint.add(EMPTY, torch.tensor(second), FLAT)
    both = hint.add(one, torch.tensor(second), FLAT)
    assert torch.equal(one, kept) and not EMPTY.any() and not FLAT.any()
    assert torch.equal(both, torch.maximum(one, two))
    assert both.min() >= 0 and both.max() <= 1
    clicked = {(b, *place) for b in range(2) for place in (*first[b], *second[b]) if place[0] >= 0}
    assert {tuple(voxel) for voxel in (both == 1).nonzero().tolist()} == clicked


def test_gaussian_is_cut_at_the_radius() -> None:
    hint = GaussianHint(2.0, 3).add(EMPTY, torch.tensor([[[4, 5, 4]], [[0, 0, 0]]]), FLAT)
    middle, corner = (np.argwhere(row.numpy() > 0) for row in hint)
    assert middle.min(0).tolist() == [1, 2, 1] and middle.max(0).tolist() == [7, 8, 7] and len(middle) == 7**3
    assert corner.min(0).tolist() == [0, 0, 0] and corner.max(0).tolist() == [3, 3, 3] and len(corner) == 4**3


def test_no_clicks_leave_the_map_as_it_is() -> None:
    before = torch.rand(EMPTY.shape, generator=torch.Generator().manual_seed(0))
    for make in MAKERS.values():
        for clicks in (torch.full((2, 3, 3), -1), torch.empty((2, 0, 3), dtype=torch.int64)):
            after = make().add(before, clicks, FLAT)
            assert torch.equal(after, before) and after.data_ptr() != before.data_ptr()


@given(CLICKS, st.integers(1, 4))
def test_edt_is_a_distance_transform_that_ends(clicks: list[list[tuple[int, ...]]], radius: int) -> None:
    hint = TruncatedDistanceHint(radius).add(EMPTY, torch.tensor(clicks), FLAT)
    for row, places in zip(hint, clicks, strict=True):
        free = np.ones(SHAPE, bool)
        for place in places:
            if place[0] >= 0:
                free[place] = False
        distance = np.where(free.all(), radius, edt.edt(free))
        assert np.allclose(row, 1 - np.minimum(distance, radius) / radius, atol=1e-6)


@given(CLICKS)
def test_euclidean_is_scipys_distance_transform(clicks: list[list[tuple[int, ...]]]) -> None:
    hint = EuclideanHint(2.5, SHAPE).add(EMPTY, torch.tensor(clicks), FLAT)
    for row, places in zip(hint, clicks, strict=True):
        free = np.ones(SHAPE, bool)
        for place in places:
            if place[0] >= 0:
                free[place] = False
        distance = np.where(free.all(), np.inf, ndimage.distance_transform_edt(free))
        np.testing.assert_allclose(row, np.exp(-distance / 2.5), rtol=1e-6)


def test_geodesic_is_the_distance_along_an_axis_of_a_flat_image() -> None:
    hint = GeodesicHint(2.0).add(EMPTY, torch.tensor([[[4, 0, 3]], [[-1, -1, -1]]]), FLAT)
    np.testing.assert_allclose(hint[0, 4, :, 3], np.exp(-np.arange(SHAPE[1]) / 2.0), rtol=1e-6)
    assert not hint[1].any()


def test_geodesic_is_long_across_an_edge_and_euclidean_is_not() -> None:
    volume = FLAT.clone()
    volume[:, :, :, 7:] = 3.0  # a step between rows 6 and 7
    clicks = torch.tensor([[[4, 5, 4]], [[4, 5, 4]]])
    geodesic, euclidean = (MAKERS[name]().add(EMPTY, clicks, volume)[0, 4, :, 4] for name in ("geodesic", "euclidean"))
    assert geodesic[3] == euclidean[3] == euclidean[7]
    assert 0 < geodesic[7] < 0.6 * geodesic[3]


def test_geodesic_reads_each_episodes_own_first_modality() -> None:
    edge = FLAT.clone()
    edge[:, :, :, 7:] = 3.0
    clicks = torch.tensor([[[4, 5, 4]]] * 2)
    volume = torch.cat([torch.stack([FLAT[0], edge[0]]), torch.stack([edge[1], FLAT[1]])], 1)  # (2, 2, D, H, W)
    hint = GeodesicHint(2.0).add(EMPTY, clicks, volume)
    assert torch.equal(hint[0], GeodesicHint(2.0).add(EMPTY, clicks, FLAT)[0])
    assert torch.equal(hint[1], GeodesicHint(2.0).add(EMPTY, clicks, edge)[1])
    assert not torch.equal(hint[0], hint[1])


@pytest.mark.parametrize("name", MAKERS)
def test_devices_agree(name: str, device: str) -> None:
    generator = torch.Generator().manual_seed(1)
    clicks = torch.stack([torch.randint(n, (2, 5), generator=generator) for n in SHAPE], -1)
    volume = torch.randn(FLAT.shape, generator=generator)
    here = MAKERS[name]().add(EMPTY, clicks, volume)
    there = MAKERS[name]().add(*(x.to(device) for x in (EMPTY, clicks, volume)))
    assert there.device.type == device and torch.equal(here, there.cpu())


class Spot:
    """Somebody's own hint."""

    def add(self, hint: torch.Tensor, clicks: torch.Tensor, volume: torch.Tensor) -> torch.Tensor:
        return hint + 1


def test_hints_by_name_or_object() -> None:
    config = EnvConfig(shape=SHAPE)
    for name in MAKERS:
        assert isinstance(make_hint(name, config), Hint)
    spot = Spot()
    own = make_hint(spot, config)
    assert isinstance(own, CheckedHint) and own._hint is spot
    with pytest.raises(
        ValueError, match=r"hint: expected 'gaussian', 'edt', 'euclidean', 'geodesic', 'supervoxel' .*got 'fuzzy'"
    ):
        make_hint("fuzzy", config)
    with pytest.raises(TypeError, match="hint: expected a name or an object with an add"):
        make_hint(3, config)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["7", "1.0000001"])
def test_somebodys_hint_that_leaves_the_unit_interval_is_refused(value: str) -> None:
    class Loud:
        def add(self, hint: torch.Tensor, clicks: torch.Tensor, volume: torch.Tensor) -> torch.Tensor:
            return hint.add_(float(value))

    before = torch.zeros(1, 8, 8, 8)
    message = f"hint Loud: expected values from 0 to 1, got values from {value} to {value}$"
    with pytest.raises(ValueError, match=message):
        make_hint(Loud(), EnvConfig()).add(before, torch.zeros(1, 1, 3, dtype=torch.int64), torch.zeros(1, 1, 8, 8, 8))
    assert before.max() == 0
