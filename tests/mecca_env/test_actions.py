"""Actions: those that are taken, those that are refused, and those whose values nobody waits for.

The latter are read at once, refused late, and replaced by what is in range meanwhile.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from mecca_env.actions import ActionReader
from mecca_env.process.config import EnvConfig
from tests.support.envs import GRID, make_envs, random_actions

SHAPE = (2, *GRID)


def reader(**settings: Any) -> ActionReader:
    return ActionReader(EnvConfig(shape=GRID, **settings), 2, torch.device("cpu"), late=True)


def test_a_bad_index_is_in_range_now_and_refused_at_the_next_step() -> None:
    late, action = reader(), torch.zeros(SHAPE, dtype=torch.int64)
    action[1, 2, 3, 4], action[0, 0, 0, 0] = 7, -1
    read, _ = late.read(action)
    assert int(read.max()) == 5 and int(read.min()) == 0
    with pytest.raises(ValueError, match=r"expected integers from 0 to 5, got -1 \(in an earlier step\)"):
        late.read(torch.zeros(SHAPE, dtype=torch.uint8))
    late.read(torch.zeros(SHAPE, dtype=torch.uint8))  # said once


@pytest.mark.parametrize("value", [1.5, -2.0, float("nan")])
def test_a_bad_value_is_refused_at_the_next_reset(value: float) -> None:
    late, action = reader(action="continuous"), torch.zeros(SHAPE)
    action[0, 1, 1, 1] = value
    late.read(action)
    with pytest.raises(ValueError, match=r"expected values from -1 to 1.*in an earlier step"):
        late.refuse(wait=True)
    late.refuse(wait=True)


def test_a_bad_confidence_is_refused_by_its_name() -> None:
    late = reader(guide=True)
    late.read({"adjustment": np.zeros(SHAPE, np.uint8), "confidence": np.full(SHAPE, 2.0)})
    with pytest.raises(ValueError, match=r"action\['confidence'\]: expected values from 0 to 1"):
        late.refuse(wait=True)


def test_shapes_and_dtypes_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="expected shape"):
        reader().read(torch.zeros(3, dtype=torch.uint8))
    with pytest.raises(TypeError, match="expected an integer dtype"):
        reader().read(torch.zeros(SHAPE))


def test_good_actions_are_never_refused() -> None:
    late = reader()
    for value in range(6):
        read, _ = late.read(torch.full(SHAPE, value))
        assert (read == value).all()
    late.refuse(wait=True)


def test_an_env_says_it_at_the_end_of_the_episode() -> None:
    envs = make_envs(2)
    envs._actions = ActionReader(envs.config, 2, envs.device, late=True)
    envs.reset(seed=0)
    good = torch.full((2, *envs.config.shape), 3)
    for _ in range(envs.config.horizon - 1):
        envs.step(good)
    with pytest.raises(ValueError, match="expected integers from 0 to 5, got 9"):
        envs.step(torch.full((2, *envs.config.shape), 9))
    envs.reset(seed=0)


def test_actions_are_read_and_not_kept() -> None:
    envs, twin = make_envs(2), make_envs(2)
    envs.reset(seed=0), twin.reset(seed=0)
    for action in random_actions(envs, 2):
        mine = torch.from_numpy(action.copy())
        one = envs.step(mine)
        assert torch.equal(mine, torch.from_numpy(action))
        mine.zero_()
        two = twin.step(action)
        assert torch.equal(one[1], two[1]) and torch.equal(one[0]["probability"], two[0]["probability"])


def test_actions_leave_their_gradients_behind() -> None:
    envs = make_envs(2, action="continuous")
    envs.reset(seed=0)
    action = torch.zeros(2, *envs.config.shape, requires_grad=True)
    observation, reward, *_ = envs.step(action)
    assert not observation["probability"].requires_grad and not reward.requires_grad


class TestActions:
    """Actions that are taken, and those that are refused."""

    @pytest.mark.parametrize("kind", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"])
    @pytest.mark.parametrize("library", ["numpy", "torch"])
    def test_every_integer_dtype(self, kind: str, library: str) -> None:
        envs, twin = make_envs(2), make_envs(2)
        envs.reset(seed=0), twin.reset(seed=0)
        action = random_actions(envs, 1)[0]
        typed = action.astype(kind)
        given = typed if library == "numpy" else torch.from_numpy(typed)
        one, two = envs.step(given), twin.step(action)
        assert torch.equal(one[1], two[1]) and torch.equal(one[0]["probability"], two[0]["probability"])

    def test_lists_views_and_sampled_actions(self) -> None:
        envs = make_envs(2)
        envs.reset(seed=0)
        action = random_actions(envs, 1)[0]
        expected = envs.step(action)[1]
        readonly = action.copy()
        readonly.flags.writeable = False
        reversed_twice = np.asfortranarray(action[:, ::-1])[:, ::-1]
        for given in (action.tolist(), readonly, reversed_twice, torch.from_numpy(action).mT.contiguous().mT):
            envs.reset(seed=0)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert torch.equal(envs.step(given)[1], expected)
        envs.reset(seed=0)
        assert envs.action_space.contains(action.astype(np.uint8))
        envs.step(envs.action_space.sample())

    REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
        "one env's": (np.zeros(GRID, int), ValueError, r"expected shape \(2, 16, 14, 12\), got \(16, 14, 12\)"),
        "too many": (np.zeros((3, *GRID), int), ValueError, r"expected shape .*, got \(3, 16, 14, 12\)"),
        "turned": (torch.zeros((2, *GRID[::-1]), dtype=torch.int64), ValueError, r"expected shape .*, got \(2, 12"),
        "float": (np.zeros((2, *GRID)), TypeError, "expected an integer dtype, got torch.float64"),
        "nan": (np.full((2, *GRID), np.nan), TypeError, "expected an integer dtype"),
        "bool": (np.zeros((2, *GRID), bool), TypeError, "expected an integer dtype, got torch.bool"),
        "negative": (np.full((2, *GRID), -1), ValueError, "expected integers from 0 to 5, got -1"),
        "six": (np.full((2, *GRID), 6, np.uint8), ValueError, "expected integers from 0 to 5, got 6"),
        "six of uint64": (np.full((2, *GRID), 2**63 + 6, np.uint64), ValueError, "expected integers from 0 to 5"),
        "text": (np.full((2, *GRID), "up"), TypeError, "expected an array of numbers"),
        "none": (None, TypeError, "expected an array of numbers"),
        "ragged": ([[0, 1], [0]], (TypeError, ValueError), "expected"),
        "dict": ({"adjustment": np.zeros((2, *GRID), int)}, TypeError, "got a dict; a dict is for guide=True"),
    }

    @pytest.mark.parametrize("fault", REFUSED)
    def test_refused(self, fault: str, device: str) -> None:
        action, error, complaint = self.REFUSED[fault]
        envs = make_envs(2, device=device)
        before, _ = envs.reset(seed=0)
        with pytest.raises(error, match=f"^action: .*{complaint}"):
            envs.step(action)
        assert envs.state.step.tolist() == [0, 0]  # as if it had not been asked
        assert torch.equal(envs.state.hint, before["hint"])

    @pytest.mark.parametrize("value", [np.nan, 1.5, -1.5, np.inf])
    def test_continuous_values_out_of_range_are_refused(self, value: float) -> None:
        envs = make_envs(2, action="continuous")
        envs.reset(seed=0)
        action = np.zeros((2, *GRID), np.float32)
        action[1, 3, 4, 5] = value
        with pytest.raises(ValueError, match="action: expected values from -1 to 1"):
            envs.step(action)
        with pytest.raises(TypeError, match="action: expected a floating dtype, got torch.int64"):
            envs.step(np.zeros((2, *GRID), np.int64))

    @pytest.mark.parametrize(
        ("low", "high", "found"),
        [
            (0.0, np.float32(1.0000001), "0 to 1.0000001"),
            (-1.0000000000000002, 1.0, "-1.0000000000000002 to 1"),
            (np.float32(0.1), np.float32(1.2), "0.1 to 1.2"),
            (0.123456789, np.nan, "nan to nan"),
        ],
    )
    def test_numbers_are_told_with_all_their_digits(self, low: float, high: float, found: str) -> None:
        envs = make_envs(2, action="continuous")
        envs.reset(seed=0)
        action = np.full((2, *GRID), low, np.result_type(low, high))
        action[1, 3, 4, 5] = high
        with pytest.raises(ValueError) as raised:
            envs.step(action)
        assert str(raised.value) == f"action: expected values from -1 to 1, got values from {found}"

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_continuous_values_of_any_precision(self, dtype: type) -> None:
        envs = make_envs(2, action="continuous")
        envs.reset(seed=0)
        observation = envs.step(np.full((2, *GRID), 0.25, dtype))[0]
        assert observation["probability"].dtype == torch.float32 and (observation["probability"] == 0.75).all()

    CONFIDENCE = np.full((2, *GRID), 0.5, np.float32)
    GUIDED: dict[str, tuple[Any, type[Exception], str]] = {
        "array": (np.zeros((2, *GRID), int), TypeError, "expected a dict of adjustment and confidence, got ndarray"),
        "no confidence": ({"adjustment": 0}, TypeError, r"expected a dict .*got \['adjustment'\]"),
        "nan": (np.full_like(CONFIDENCE, np.nan), ValueError, r"\['confidence'\]: expected values from 0 to 1"),
        "above": (CONFIDENCE + 1, ValueError, r"\['confidence'\]: expected values from 0 to 1"),
        "below": (CONFIDENCE - 1, ValueError, r"\['confidence'\]: expected values from 0 to 1"),
        "integer": (np.ones((2, *GRID), int), TypeError, r"\['confidence'\]: expected a floating dtype"),
        "shape": (CONFIDENCE[:1], ValueError, r"\['confidence'\]: expected shape"),
    }

    @pytest.mark.parametrize("fault", GUIDED)
    def test_guided_actions_refused(self, fault: str) -> None:
        given, error, complaint = self.GUIDED[fault]
        envs = make_envs(2, guide=True, supervoxels=(12, 10, 8))
        envs.reset(seed=0)
        whole = fault in ("array", "no confidence")
        action = given if whole else {"adjustment": np.zeros((2, *GRID), int), "confidence": given}
        with pytest.raises(error, match=f"^action.*{complaint}"):
            envs.step(action)
