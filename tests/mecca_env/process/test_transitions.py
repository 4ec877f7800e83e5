"""Steps by table look-up: the same bits as the plain ones, for every lattice and reward."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch

from mecca_env.process.config import EnvConfig
from mecca_env.process.dynamics import DiscreteDynamics
from mecca_env.process.rewards import make_reward
from mecca_env.process.transitions import PlainTransition, TableTransition, Transition, make_transition
from tests.support.envs import make_envs, make_state, random_actions

CPU = torch.device("cpu")
SHAPE = (3, 5, 6, 7)
ADJUSTMENTS = [
    EnvConfig().adjustments,
    (-0.5, 0.5),
    (-0.25, 0.1),
    (0.01, -0.02, 0.5),
    (0.001, -0.003, -1.0),
    tuple(round(0.05 * k, 2) for k in range(-20, 21) if k),
]


def rules(config: EnvConfig) -> tuple[PlainTransition, TableTransition]:
    dynamics = DiscreteDynamics(config.adjustments, config.lattice, CPU)
    plain = PlainTransition(config, dynamics, make_reward(config.reward, config))
    return plain, TableTransition(plain, config, CPU)


def same(one: Transition, two: Transition) -> None:
    for name in (f.name for f in fields(Transition) if f.name != "situation"):
        here, there = getattr(one, name), getattr(two, name)
        assert here.dtype == there.dtype and torch.equal(here, there), name


@pytest.mark.parametrize("reward", ["gain", "focal", "error"])
@pytest.mark.parametrize("adjustments", ADJUSTMENTS, ids=lambda values: f"{len(values)} of {values[0]}")
def test_the_table_gives_the_bits_of_the_plain_rule(adjustments: tuple[float, ...], reward: str) -> None:
    config = EnvConfig(adjustments=adjustments, reward=reward, wrong_way=0.15)
    plain, table = rules(config)
    rng = np.random.default_rng(0)
    label = rng.random(SHAPE) < 0.4
    label[1] = False  # an empty label has its own rule in the Dice score
    state = make_state(label)
    state = replace(state, situation=table.start(state.label))
    for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
        action = torch.from_numpy(rng.integers(len(adjustments), size=SHAPE)).to(dtype)
        kept = [None if x is None else x.clone() for x in (state.situation, state.probability, action)]
        slow, fast = plain(state, action), table(state, action)
        same(slow, fast)
        assert all(torch.equal(a, b) for a, b in zip(kept, (state.situation, state.probability, action), strict=True))
        state = replace(state, probability=fast.probability, situation=fast.situation)


def test_an_episode_by_table_does_not_depend_on_its_batch() -> None:
    config = EnvConfig()
    _, table = rules(config)
    state = make_state(np.random.default_rng(1).random(SHAPE) < 0.5)
    state = replace(state, situation=table.start(state.label))
    action = torch.from_numpy(np.random.default_rng(2).integers(6, size=SHAPE))
    together = table(state, action)
    for row in range(SHAPE[0]):
        alone = make_state(state.label[row : row + 1].numpy())
        made = table(replace(alone, situation=table.start(alone.label)), action[row : row + 1])
        same(made, Transition(**{k: v[row : row + 1] for k, v in vars(together).items() if v is not None}))


def own(before: torch.Tensor, after: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """A reward that looks at the whole volume."""
    return (after - before) * label.float().mean()


@pytest.mark.parametrize(
    ("settings", "tabulated"),
    [({}, True), ({"action": "continuous"}, False), ({"reward": own}, False)],
    ids=["default", "continuous", "own reward"],
)
def test_only_what_can_be_tabulated_is(settings: dict[str, Any], tabulated: bool) -> None:
    assert isinstance(make_transition(EnvConfig(**settings), CPU), TableTransition) == tabulated


def test_a_reward_of_ones_own_earns_in_an_env() -> None:
    envs = make_envs(2, reward=own)
    envs.reset(seed=0)
    share = envs.state.label.float().mean()
    _, reward, *_, info = envs.step(np.full((2, *envs.config.shape), 5))
    np.testing.assert_allclose(reward, 0.4 * share, rtol=1e-5)
    assert info["voxel_reward"].dtype == torch.float32


def test_an_env_by_table_is_the_env_by_the_plain_rule() -> None:
    fast, slow = make_envs(3), make_envs(3)
    slow._episodes.simulator._transition = rules(slow.config)[0]  # type: ignore[assignment]
    fast.reset(seed=0), slow.reset(seed=0)
    slow._episodes._state = replace(slow.state, situation=None)
    for action in random_actions(fast, 2):
        one, two = fast.step(action), slow.step(action)
        assert torch.equal(one[1], two[1])
        assert all(torch.equal(one[4][key], two[4][key]) for key in one[4])
        assert all(torch.equal(one[0][key], two[0][key]) for key in one[0])
