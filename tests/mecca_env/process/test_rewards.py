"""Rewards of voxels, against the formulas in plain NumPy in double precision."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mecca_env.process.config import EnvConfig
from mecca_env.process.rewards import make_reward
from mecca_env.tensors.exact import exact_mean
from tests.support.envs import make_envs

EPSILON = 0.01
SHAPE = (2, 3, 4, 5)
PROBABILITIES = hnp.arrays(np.float32, SHAPE, elements=st.floats(0, 1, width=32))
TENTHS = hnp.arrays(np.int64, (4, *SHAPE), elements=st.integers(0, 10))
LABELS = hnp.arrays(np.bool_, SHAPE)


def cross_entropy(p: np.ndarray, y: np.ndarray, epsilon: float = EPSILON) -> np.ndarray:
    p = np.clip(p.astype(np.float64), epsilon, 1 - epsilon)
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


def gain(before: np.ndarray, after: np.ndarray, y: np.ndarray) -> np.ndarray:
    return cross_entropy(before, y) - cross_entropy(after, y)


def focal(before: np.ndarray, after: np.ndarray, y: np.ndarray) -> np.ndarray:
    def wrong(p: np.ndarray) -> np.ndarray:
        return np.abs(y - p.astype(np.float64))

    return wrong(before) * cross_entropy(before, y) - wrong(after) * cross_entropy(after, y)


def error(before: np.ndarray, after: np.ndarray, y: np.ndarray, weight: float = 2.0) -> np.ndarray:
    return gain(before, after, y) * (1 + weight * ((before > 0.5) != y))


ORACLES: dict[str, Callable[..., np.ndarray]] = {"gain": gain, "focal": focal, "error": error}


def reward(name: Any, before: np.ndarray, after: np.ndarray, label: np.ndarray) -> np.ndarray:
    function = make_reward(name, EnvConfig(epsilon=EPSILON, error_weight=2.0))
    return function(*(torch.from_numpy(x) for x in (before, after, label))).numpy()


@pytest.mark.parametrize("name", ORACLES)
@given(before=PROBABILITIES, after=PROBABILITIES, label=LABELS)
def test_rewards_follow_their_formula(name: str, before: np.ndarray, after: np.ndarray, label: np.ndarray) -> None:
    copies = before.copy(), after.copy(), label.copy()
    values = reward(name, before, after, label)
    assert values.dtype == np.float32 and values.shape == SHAPE
    # 1 - p is rounded to float32, and its logarithm can be as steep as 1 / epsilon.
    np.testing.assert_allclose(values, ORACLES[name](before, after, label), rtol=0, atol=3e-5)
    assert all(np.array_equal(a, b) for a, b in zip(copies, (before, after, label), strict=True))


@pytest.mark.parametrize("name", ORACLES)
@given(tenths=TENTHS, label=LABELS)
def test_moving_towards_the_label_pays_and_standing_still_pays_nothing(
    name: str, tenths: np.ndarray, label: np.ndarray
) -> None:
    before, after = (np.clip(t / 10, 0, 1).astype(np.float32) for t in tenths[:2])
    values = reward(name, before, after, label)
    assert np.array_equal(np.sign(values), np.sign(np.where(label, after - before, before - after)))


@given(tenths=TENTHS, label=LABELS)
def test_gains_telescope(tenths: np.ndarray, label: np.ndarray) -> None:
    path = (tenths / 10).astype(np.float32)
    total = sum(reward("gain", a, b, label).astype(np.float64) for a, b in zip(path, path[1:], strict=False))
    expected = cross_entropy(path[0], label) - cross_entropy(path[-1], label)
    np.testing.assert_allclose(total, expected, rtol=0, atol=1e-5)


def test_gain_by_hand() -> None:
    """From a half to 0.9 and to 1 on foreground, from a half to 0.9 on background."""
    before = np.full((1, 1, 1, 3), 0.5, np.float32)
    after = np.array([0.9, 1.0, 0.9], np.float32).reshape(1, 1, 1, 3)
    label = np.array([True, True, False]).reshape(1, 1, 1, 3)
    expected = [np.log(0.9 / 0.5), np.log(0.99 / 0.5), np.log(0.1 / 0.5)]
    np.testing.assert_allclose(reward("gain", before, after, label).ravel(), expected, rtol=1e-6)


def test_the_error_weight_falls_on_voxels_wrong_before_the_action() -> None:
    before = np.array([0.4, 0.6, 0.5], np.float32).reshape(1, 1, 1, 3)
    after = np.full((1, 1, 1, 3), 0.8, np.float32)
    label = np.ones((1, 1, 1, 3), bool)
    ratio = reward("error", before, after, label) / reward("gain", before, after, label)
    np.testing.assert_allclose(ratio.ravel(), [3, 1, 3], rtol=1e-6)


def own(before: torch.Tensor, after: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    return (after - before).double()


def test_a_function_of_ones_own_is_a_reward() -> None:
    zero, one = np.zeros(SHAPE, np.float32), np.ones(SHAPE, np.float32)
    values = reward(own, zero, one, one.astype(bool))
    assert values.dtype == np.float32 and (values == 1).all()


def returning(result: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
    return result


@pytest.mark.parametrize(
    "result",
    [
        torch.full(SHAPE, float("nan")),
        torch.full(SHAPE, float("inf")),
        torch.zeros(SHAPE[1:]),
        torch.zeros(SHAPE[0]),
        torch.tensor(0.0),
    ],
    ids=["nan", "inf", "unbatched", "per episode", "scalar"],
)
def test_a_bad_reward_of_ones_own_is_refused(result: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"(?s)reward .*expected finite values of shape \(2, 3, 4, 5\)"):
        reward(partial(returning, result), *np.zeros((2, *SHAPE), np.float32), np.ones(SHAPE, bool))


def test_unknown_names_and_things_that_are_no_reward_are_refused() -> None:
    with pytest.raises(ValueError, match=r"reward: expected one of .*'error', 'focal', 'gain'.* got 'bonus'"):
        make_reward("bonus", EnvConfig())
    with pytest.raises(TypeError, match="reward: expected a name or a function"):
        make_reward(3, EnvConfig())  # type: ignore[arg-type]


@given(hnp.arrays(np.float32, (3, 4, 5, 6), elements=st.floats(-10, 10, width=32)), st.integers(0, 2**32 - 1))
def test_exact_mean_depends_on_nothing_but_the_values(values: np.ndarray, seed: int) -> None:
    mean = exact_mean(torch.from_numpy(values))
    np.testing.assert_allclose(mean, values.astype(np.float64).mean((1, 2, 3)), rtol=2e-7, atol=2**-24)
    order = np.random.default_rng(seed).permutation(values[0].size)
    shuffled = values.reshape(3, -1)[:, order].reshape(values.shape).copy()
    assert torch.equal(exact_mean(torch.from_numpy(shuffled)), mean)
    assert torch.equal(exact_mean(torch.from_numpy(values[1:2].copy())), mean[1:2])


def test_exact_mean_of_a_whole_grid_of_the_largest_gains() -> None:
    largest = float(np.log(0.99 / 0.01))
    mean = exact_mean(torch.full((1, 128, 128, 128), largest))
    assert mean.item() == pytest.approx(largest, rel=1e-6)


def test_an_empty_mask_earns_most_of_the_return_where_little_is_foreground() -> None:
    """docs/environment.md gives the closed form, 1 - 6.73 f of the oracle's."""
    returns = {}
    for oracle in (True, False):
        envs = make_envs(3, augment=False, autoreset_mode="Disabled")
        envs.reset(seed=0)
        label = envs.state.label
        action = torch.where(label, 5, 0) if oracle else torch.zeros_like(label, dtype=torch.int64)
        returns[oracle] = torch.stack([envs.step(action)[1] for _ in range(envs.config.horizon)]).sum(0)
    share = label.float().mean(dim=(1, 2, 3))
    assert returns[True].tolist() == pytest.approx([0.683] * 3, abs=1e-3)
    torch.testing.assert_close(returns[False] / returns[True], 1 - 6.73 * share, atol=2e-3, rtol=0)
    assert not envs.state.dice.any()
