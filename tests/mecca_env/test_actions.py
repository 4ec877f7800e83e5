"""Actions whose values nobody waits for: read at once, refused late, and replaced by what is in range meanwhile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mecca_env.actions import ActionReader
from mecca_env.process.config import EnvConfig
from tests.support.envs import GRID, make_envs

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
