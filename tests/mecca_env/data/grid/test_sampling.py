"""Placing a case gives the same bits by compiled loops and by torch, alone and in a batch, whatever its type."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mecca_env.data.base import PreparedCase
from mecca_env.data.grid.placement import Placement, fixed_placement
from mecca_env.data.grid.sampling import LABEL_TIE, resample_case, resample_cases
from mecca_env.kernels import backend
from mecca_env.kernels.dispatch import loops
from tests.support.volumes import ellipsoid, prepared

CPU = torch.device("cpu")
GRID = (9, 8, 10)


def random_case(seed: int, channels: int = 1) -> PreparedCase:
    """A noisy case, whose label is scattered and whose cut is all of the scan."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(2, 14, 3))
    image = torch.from_numpy(rng.normal(3, 100, (channels, *shape)).astype(np.float32))
    image[torch.from_numpy(rng.random(image.shape) < 0.1)] = -0.0
    label = torch.from_numpy(rng.random(shape) < rng.random())
    label[tuple(n // 2 for n in shape)] = True
    case = prepared(ellipsoid())
    return replace(
        case,
        image=image,
        label=label,
        origin=(3, 1, 2),
        box=((3, 1, 2), tuple(o + n for o, n in zip((3, 1, 2), shape, strict=True))),
        mean=rng.normal(size=channels),
        std=rng.random(channels) + 0.1,
    )


def random_placement(case: PreparedCase, seed: int) -> Placement:
    """Any box inside the cut, any flip, any angle."""
    rng = np.random.default_rng([seed, 1])
    low = [int(o + rng.integers(0, n)) for o, n in zip(case.origin, case.label.shape, strict=True)]
    ends = [o + n for o, n in zip(case.origin, case.label.shape, strict=True)]
    high = [int(rng.integers(a + 1, e + 1)) for a, e in zip(low, ends, strict=True)]
    flip = tuple(bool(f) for f in rng.random(3) < 0.5)
    angle = float(rng.choice([0.0, math.pi / 2, rng.uniform(-math.pi, math.pi)]))
    return Placement(tuple(low), tuple(high), GRID, flip, angle)


def by_the_formula(case: PreparedCase, placement: Placement, clip: float) -> tuple[Tensor, Tensor]:
    """Trilinear interpolation as it is written down, voxel after voxel of the neighbourhood, in double precision."""
    at = placement.in_scan().moved([-o for o in case.origin])

    def read(volume: Tensor, border: bool) -> Tensor:
        def sides(c: Tensor, n: int) -> list[tuple[Tensor, Tensor]]:
            c = c.clamp(0, n - 1) if border else c
            below = torch.floor(c)
            both = ((below, 1 - (c - below)), (below + 1, c - below))
            return [(i.clamp(0, n - 1).long(), w * ((i >= 0) & (i < n))) for i, w in both]

        rows, columns, slices = (
            sides(c, n) for c, n in zip((at.first, at.second, at.third), volume.shape[1:], strict=True)
        )
        total = []
        for k, wk in slices:
            plane = torch.zeros(len(volume), *at.first.shape, len(at.third), dtype=torch.float64)
            for i, wi in rows:
                for j, wj in columns:
                    plane = plane + volume.double()[:, i[..., None], j[..., None], k] * (wi * wj)[..., None]
            total.append(plane * wk)
        return total[0] + total[1]

    mean, std = (torch.from_numpy(v)[:, None, None, None] for v in (case.mean, case.std))
    volume = ((read(case.image, True) - mean) / std).clamp(-clip, clip).float()
    return volume, read(case.label[None], False)[0] > 0.5 + LABEL_TIE


@given(st.integers(0, 2**20), st.integers(1, 3))
def test_compiled_torch_and_the_formula_are_the_same_bits(seed: int, channels: int) -> None:
    pytest.importorskip("numba", reason="Numba is not installed")
    assert backend.is_compiled(CPU)
    case = random_case(seed, channels)
    placement = random_placement(case, seed)
    volume, label, missed = resample_cases([case], [placement], 5.0, CPU)
    with backend.plain_torch():
        by_torch = resample_cases([case], [placement], 5.0, CPU)
    expected_volume, expected_label = by_the_formula(case, placement, 5.0)
    assert torch.equal(volume, by_torch[0]) and torch.equal(label, by_torch[1]) and missed == by_torch[2]
    assert torch.equal(volume[0], expected_volume)
    if expected_label.any():  # else the nearest voxels are taken
        assert torch.equal(label[0], expected_label)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.float16, torch.float64])
def test_the_type_makes_no_difference(dtype: torch.dtype, either: None) -> None:
    case = random_case(1, 2)
    whole = case.image.abs().floor().clamp(0, 255)
    placement = random_placement(case, 1)
    volume, label = resample_case(replace(case, image=whole), placement, 5.0)
    other_volume, other_label = resample_case(replace(case, image=whole.to(dtype)), placement, 5.0)
    assert torch.equal(volume, other_volume) and torch.equal(label, other_label)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_batch_is_its_cases_one_by_one(threads: int, either: None) -> None:
    cases = [random_case(seed) for seed in range(5)]
    placements = [random_placement(case, seed) for seed, case in enumerate(cases)]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        volume, label, missed = resample_cases(cases, placements, 5.0, CPU)
    finally:
        torch.set_num_threads(before)
    for row, (case, placement) in enumerate(zip(cases, placements, strict=True)):
        alone = resample_cases([case], [placement], 5.0, CPU)
        assert torch.equal(volume[row], alone[0][0]) and torch.equal(label[row], alone[1][0])
        assert (row in missed) == (alone[2] == [0])


def test_arrays_that_do_not_fit_together_are_refused() -> None:
    one, two = random_case(0, 1), random_case(0, 2)
    placement = random_placement(one, 0)
    with pytest.raises(ValueError, match="expected an image"):
        resample_cases([one, two], [placement, placement], 5.0, CPU)
    with pytest.raises(ValueError, match="expected an image"):
        resample_case(replace(one, image=one.image[..., :-1]), placement, 5.0)


@given(st.integers(0, 2**20), st.floats(0, 1))
def test_surfaces_and_neighbours_are_the_same_bits(seed: int, share: float) -> None:
    pytest.importorskip("numba", reason="Numba is not installed")
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 8, 3))
    label = torch.from_numpy(rng.random((3, *shape)) < share)
    surface = loops(CPU).label_surface(label)
    beside = loops(CPU).face_neighbours(surface, shape)
    with backend.plain_torch():
        other = loops(CPU).label_surface(label)
        assert torch.equal(surface, other) and torch.equal(beside, loops(CPU).face_neighbours(other, shape))


class Waiting(TorchDispatchMode):
    """Counts the operations whose result the host has to see before it can go on."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.times += func.overloadpacket.__name__ in ("_local_scalar_dense", "nonzero", "is_nonzero")
        return func(*args, **(kwargs or {}))


def test_a_device_is_not_waited_for_more_often_by_more_episodes() -> None:
    counted = []
    for batch in (1, 6):
        cases = [random_case(0)] * batch
        placements = [fixed_placement(cases[0], GRID, 0)] * batch
        with backend.plain_torch(), Waiting() as waiting:
            loops(CPU).label_surface(resample_cases(cases, placements, 5.0, CPU)[1])
        counted.append(waiting.times)
    assert counted[0] == counted[1] > 0  # it does notice those of the surface


@pytest.mark.cuda
def test_a_gpu_places_the_same_bits() -> None:
    cases = [random_case(seed) for seed in range(4)]
    placements = [random_placement(case, seed) for seed, case in enumerate(cases)]
    here = resample_cases(cases, placements, 5.0, CPU)
    there = resample_cases(cases, placements, 5.0, torch.device("cuda"))
    assert torch.equal(here[0], there[0].cpu()) and torch.equal(here[1], there[1].cpu()) and here[2] == there[2]
    assert torch.equal(loops(CPU).label_surface(here[1]), loops(there[1].device).label_surface(there[1]).cpu())


@pytest.fixture(params=["compiled", "torch"])
def either(request: pytest.FixtureRequest) -> Iterator[None]:
    """With the compiled loops, and without."""
    if request.param == "compiled":
        pytest.importorskip("numba", reason="Numba is not installed")
    with nullcontext() if request.param == "compiled" else backend.plain_torch():
        yield
