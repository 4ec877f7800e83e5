"""Geodesic distances: against Dijkstra's algorithm, in a maze, on a flat scan, and from nowhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

from mecca_agents.networks.paths import FAR, STEP, distances, nearer


def _by_dijkstra(volume: NDArray[np.float64], seeds: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of a scan (M, D, H, W) and one set of seeds (D, H, W)."""
    index = np.arange(seeds.size).reshape(seeds.shape)
    lengths, pairs = [], []
    for axis in range(3):
        lengths.append(np.abs(np.diff(volume, axis=axis + 1)).mean(0).ravel() + STEP)
        ends = (np.delete(index, -1, axis), np.delete(index, 0, axis))
        pairs.append(np.stack([end.ravel() for end in ends]))
    graph = csr_array((np.concatenate(lengths), np.concatenate(pairs, axis=1)), shape=(seeds.size, seeds.size))
    found = dijkstra(graph, directed=False, indices=np.flatnonzero(seeds), min_only=True)
    return np.asarray(found).reshape(seeds.shape)


@pytest.mark.parametrize("modalities", [1, 3])
def test_with_enough_rounds_they_are_the_shortest(modalities: int) -> None:
    rng = np.random.default_rng(modalities)
    volume = rng.normal(size=(2, modalities, 9, 7, 10))
    seeds = rng.random((2, 2, 9, 7, 10)) < 0.01
    seeds[..., 4, 4, 4] = True
    found = distances(torch.from_numpy(volume), torch.from_numpy(seeds), rounds=30)
    for row in range(2):
        for each in range(2):
            np.testing.assert_allclose(found[row, each], _by_dijkstra(volume[row], seeds[row, each]), atol=1e-9)


def test_with_few_rounds_they_are_not_shorter_and_seldom_longer() -> None:
    rng = np.random.default_rng(5)
    volume, seeds = rng.normal(scale=0.1, size=(1, 1, 20, 20, 20)), np.zeros((20, 20, 20), bool)
    volume[0, 0, 5:15, 5:15, 5:15] += 4
    seeds[10, 10, 10] = True
    right = _by_dijkstra(volume[0], seeds)
    found = distances(torch.from_numpy(volume).float(), torch.from_numpy(seeds)[None, None]).double().numpy()[0, 0]
    assert (found >= right - 1e-4).all() and np.mean(found <= 1.2 * right + 1e-4) > 0.9


def _walls() -> Tensor:
    """A scan with two walls across it, each open at another end."""
    volume = torch.zeros(1, 1, 1, 9, 9)
    volume[..., 3, :8] = 10.0
    volume[..., 6, 1:] = 10.0
    return volume


def test_ways_lead_around_what_looks_otherwise() -> None:
    volume, seeds = _walls(), torch.zeros(1, 1, 1, 9, 9, dtype=torch.bool)
    seeds[..., 0, 0] = True
    found = distances(volume, seeds)[0, 0, 0]
    assert found[8, 0] == pytest.approx(24 * STEP, abs=1e-4)  # eight steps each: right, back to the left, and down
    assert found[4, 0] == pytest.approx(20 * STEP, abs=1e-4)
    assert found[3, 0] == pytest.approx(10 + 3 * STEP, abs=1e-4)


def test_without_a_seed_everything_is_far() -> None:
    found = distances(torch.zeros(1, 1, 4, 5, 6), torch.zeros(1, 2, 4, 5, 6, dtype=torch.bool))
    assert found.shape == (1, 2, 4, 5, 6)
    torch.testing.assert_close(found, torch.full_like(found, FAR))


def test_a_scan_turned_over_has_the_same_distances() -> None:
    volume = torch.randn(1, 1, 6, 7, 8, generator=torch.Generator().manual_seed(0))
    seeds = torch.zeros(1, 1, 6, 7, 8, dtype=torch.bool)
    seeds[..., 1, 2, 3] = True
    for axis in (2, 3, 4):
        turned = distances(volume.flip(axis), seeds.flip(axis), rounds=20).flip(axis)
        torch.testing.assert_close(turned, distances(volume, seeds, rounds=20), atol=1e-5, rtol=0)


def test_nearer() -> None:
    to, than = torch.tensor([0.0, 1.0, 3.0, 2.0, 0.0]), torch.tensor([5.0, 3.0, 1.0, 2.0, 0.0])
    torch.testing.assert_close(nearer(to, than), torch.tensor([1.0, 0.5, -0.5, 0.0, 0.0]))
