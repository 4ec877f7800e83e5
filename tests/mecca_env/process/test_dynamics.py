"""The effect of an action on the probabilities, against plain NumPy in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mecca_env.process.config import EnvConfig
from mecca_env.process.dynamics import ContinuousDynamics, DiscreteDynamics

PAPER = EnvConfig().adjustments
CPU = torch.device("cpu")
INTEGERS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]


def discrete(adjustments: tuple[float, ...] = PAPER) -> DiscreteDynamics:
    return DiscreteDynamics(adjustments, EnvConfig(adjustments=adjustments).lattice, CPU)


def grid(value: float, count: int = 1) -> torch.Tensor:
    return torch.full((1, 1, 1, count), value)


@given(hnp.arrays(np.int64, st.tuples(st.integers(1, 12), st.integers(1, 20)), elements=st.integers(0, 5)))
def test_paths_of_actions_follow_the_oracle(actions: np.ndarray) -> None:
    """(T, N) actions: exact tenths in integers, rounded to float32 once."""
    dynamics = discrete()
    tenths = np.full(actions.shape[1], 5)
    probability = grid(0.5, actions.shape[1])
    for action in actions:
        probability = dynamics(probability, torch.from_numpy(action)[None, None, None])
        tenths = np.clip(tenths + np.array([-4, -2, -1, 1, 2, 4])[action], 0, 10)
        values = probability.numpy().ravel()
        assert values.dtype == np.float32
        assert (values >= 0).all() and (values <= 1).all()
        np.testing.assert_allclose(values, tenths / 10, rtol=1e-7, atol=0)
        assert ((values > 0.5) == (tenths > 5)).all()


@pytest.mark.parametrize("there", range(6))
def test_there_and_back_is_exactly_a_half(there: int) -> None:
    dynamics, action = discrete(), torch.full((1, 1, 1, 1), there)
    assert dynamics(dynamics(grid(0.5), action), 5 - action).item() == 0.5


@pytest.mark.parametrize("lattice", [n for n in range(2, 1001, 2) if 1000 % n == 0])
def test_every_lattice_holds_zero_a_half_and_one_exactly_and_is_never_left(lattice: int) -> None:
    unit = 1 / lattice
    dynamics = DiscreteDynamics((-unit, unit), lattice, CPU)
    up, down = torch.ones((1, 1, 1, 1), dtype=torch.int64), torch.zeros((1, 1, 1, 1), dtype=torch.int64)
    seen = [0.5]
    probability = grid(0.5)
    for action in [up] * (lattice // 2 + 1) + [down] * (lattice + 1) + [up] * (lattice // 2):
        probability = dynamics(probability, action)
        seen.append(probability.item())
    assert len(set(seen)) == lattice + 1
    assert max(seen) == 1.0 and min(seen) == 0.0 and seen[-1] == 0.5


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_every_integer_dtype_means_the_same(dtype: torch.dtype) -> None:
    action = torch.arange(6).view(1, 1, 1, 6)
    after = discrete()(grid(0.5, 6), action.to(dtype)).view(-1)
    assert torch.equal(after, discrete()(grid(0.5, 6), action).view(-1))
    np.testing.assert_allclose(after, [0.1, 0.3, 0.4, 0.6, 0.7, 0.9], rtol=1e-7)


def test_arguments_are_not_written_to() -> None:
    for dynamics, action in ((discrete(), torch.full((1, 1, 1, 4), 5)), (ContinuousDynamics(), grid(0.75, 4))):
        probability, given_action = grid(0.5, 4), action.clone()
        after = dynamics(probability, action)
        assert torch.equal(probability, grid(0.5, 4)) and torch.equal(action, given_action)
        assert after.data_ptr() not in (probability.data_ptr(), action.data_ptr())


@given(
    hnp.arrays(np.float32, (1, 2, 3, 4), elements=st.floats(0, 1, width=32)),
    hnp.arrays(np.float32, (1, 2, 3, 4), elements=st.floats(-1, 1, width=32)),
)
def test_continuous_actions_are_added_and_clipped(probability: np.ndarray, action: np.ndarray) -> None:
    after = ContinuousDynamics()(torch.from_numpy(probability), torch.from_numpy(action)).numpy()
    expected = np.clip(probability.astype(np.float64) + action, 0, 1)
    np.testing.assert_allclose(after, expected, rtol=0, atol=1e-7)
    assert after.dtype == np.float32 and (after >= 0).all() and (after <= 1).all()
