"""Counter-based randomness: a pure function, uniform, independent between streams, without ties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest

from mecca_env.tensors.rng import fold, mix, shuffle_keys, stream

WORDS = st.integers(0, 2**32 - 1)
LEAST_P = 1e-4


def mix_oracle(word: int) -> int:
    for _ in range(2):
        word = ((word >> 16) ^ word) * 0x45D9F3B % 2**32
    return (word >> 16) ^ word


def fold_oracle(key: int, value: int) -> int:
    golden = 0x9E3779B9
    low, high = value % 2**32, value // 2**32
    return mix_oracle(key ^ mix_oracle((low + golden) % 2**32) ^ mix_oracle((high + 2 * golden) % 2**32))


@given(WORDS)
def test_mix_is_the_published_hash(word: int) -> None:
    assert int(mix(torch.tensor(word))) == mix_oracle(word)


@given(WORDS, st.integers(0, 2**63 - 1))
def test_fold_is_a_pure_function_of_its_arguments(key: int, value: int) -> None:
    assert int(fold(torch.tensor(key), value)) == fold_oracle(key, value)
    assert int(fold(torch.tensor([7, key]), torch.tensor([3, value]))[1]) == fold_oracle(key, value)


def test_keys_do_not_depend_on_their_neighbours_or_on_global_generators() -> None:
    index = torch.arange(1000).expand(8, -1)
    keys = torch.tensor([stream(seed, 0) for seed in range(8)])
    together = shuffle_keys(keys, index)
    torch.manual_seed(1)
    np.random.seed(1)
    for row in range(8):
        assert torch.equal(shuffle_keys(keys[row : row + 1], index[:1])[0], together[row])
        assert torch.equal(shuffle_keys(keys[row : row + 1], index[:1, 500:])[0], together[row, 500:])


def test_mix_is_a_bijection() -> None:
    words = torch.randint(2**32, (1 << 18,), generator=torch.Generator().manual_seed(0)).unique()
    assert len(mix(words).unique()) == len(words)


@pytest.mark.parametrize("size", [2, 7, 400])
def test_every_voxel_comes_first_equally_often(size: int) -> None:
    draws = 200 * size
    keys = torch.tensor([stream(seed, 0) for seed in range(1000)])
    keys = torch.cat([fold(keys, step) for step in range(draws // 1000 + 1)])[:draws]
    first = shuffle_keys(keys, torch.arange(size).expand(draws, -1)).argmin(1)
    assert chisquare(np.bincount(first.numpy(), minlength=size)).pvalue > LEAST_P


@pytest.mark.parametrize("shift", [0, 1, 2])
def test_neighbouring_keys_do_not_share_their_draws(shift: int) -> None:
    size = 20_000
    keys = torch.tensor([1234, 1234 + 1])
    one, two = (shuffle_keys(keys, torch.arange(size).expand(2, -1)) >> 32).double().numpy()
    assert abs(np.corrcoef(one[shift:], two[: size - shift])[0, 1]) < 4 / np.sqrt(size)
    assert abs(np.corrcoef(one[shift + 1 :], one[: size - shift - 1])[0, 1]) < 4 / np.sqrt(size)


def test_first_and_second_place_are_independent() -> None:
    size, draws = 6, 60_000
    keys = fold(torch.arange(draws), 3)
    order = shuffle_keys(keys, torch.arange(size).expand(draws, -1)).argsort(1)
    pairs = np.bincount((order[:, 0] * size + order[:, 1]).numpy(), minlength=size * size).reshape(size, size)
    assert (np.diag(pairs) == 0).all()
    assert chisquare(pairs[~np.eye(size, dtype=bool)]).pvalue > LEAST_P


def uniforms(seeds: int, episodes: int, steps: int) -> np.ndarray:
    """(seeds, episodes, steps) in [0, 1)."""
    keys = torch.tensor([[stream(seed, episode) for episode in range(episodes)] for seed in range(seeds)])
    return torch.stack([fold(keys, step) for step in range(steps)], -1).numpy() / 2.0**32


def test_streams_are_uniform_and_uncorrelated_along_seeds_episodes_and_steps() -> None:
    draws = uniforms(40, 20, 10)
    assert kstest(draws.ravel(), "uniform").pvalue > LEAST_P
    centred = draws - 0.5
    for axis in range(3):
        one, two = np.delete(centred, -1, axis).ravel(), np.delete(centred, 0, axis).ravel()
        correlation = (one * two).mean() * 12 * np.sqrt(one.size)  # standard normal if independent
        assert abs(correlation) < 4


@pytest.mark.parametrize("least", [0, 2**31 - 2000, 2**31, 2**32 - 4000])
def test_no_two_sub_streams_of_a_key_are_one(least: int) -> None:
    values = torch.cat([torch.arange(2000), torch.arange(least, least + 4000)]).unique()
    assert len(fold(torch.tensor(5), values).unique()) == len(values)
    assert len(fold(values, 5).unique()) == len(values)


def test_no_two_seeds_share_a_stream() -> None:
    seeds = {*range(300), *(2**power + i for power in (30, 31, 32, 33, 62, 64, 100) for i in range(3))}
    keys = {stream(seed, episode) for seed in seeds for episode in range(5)}
    assert len(keys) >= 5 * len(seeds) - 1  # by chance, a pair in a thousand such tests


@pytest.mark.parametrize("seed", [0, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**64, 2**127])
def test_any_non_negative_seed_has_a_stream(seed: int) -> None:
    assert 0 <= stream(seed, 0) < 2**32
    assert stream(seed, 0) == stream(seed, 0) != stream(seed, 1)
    assert stream(seed, 0) != stream(seed + 1, 0)


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=50, unique=True), WORDS)
def test_no_ties_and_no_negative_keys(voxels: list[int], key: int) -> None:
    keys = shuffle_keys(torch.tensor([key]), torch.tensor([voxels]))
    assert len(keys.unique()) == len(voxels)
    assert int(keys.min()) >= 0
    assert (keys & 0x7FFFFFFF).tolist() == [voxels]
