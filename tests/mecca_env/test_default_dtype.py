"""The default dtype of torch, which is somebody else's setting, changes nothing of an env."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from mecca_env.data.phantom.source import phantom_scan
from mecca_env.kernels.backend import plain_torch
from mecca_env.wrappers import SupervoxelActionVectorWrapper
from tests.support.envs import SETTINGS, VARIANTS, default_dtype, full_actions, make_envs
from tests.support.trees import same_tensor

OTHERS = [torch.float64, torch.bfloat16]


def leaves(tree: Any, path: str = "") -> dict[str, torch.Tensor]:
    """Every tensor of nested dicts and tuples, by where it is."""
    if isinstance(tree, torch.Tensor):
        return {path: tree}
    parts = tree.items() if isinstance(tree, dict) else enumerate(tree)
    return {where: leaf for key, part in parts for where, leaf in leaves(part, f"{path}[{key!r}]").items()}


def trajectory(envs: Any, actions: list[Any]) -> dict[str, torch.Tensor]:
    """All that a reset and some steps hand out."""
    return leaves([envs.reset(seed=3), *(envs.step(action) for action in actions)])


def assert_same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> None:
    assert one.keys() == two.keys()
    assert [path for path in one if not same_tensor(one[path], two[path])] == []


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
def test_an_env_plays_the_same(variant: str, compiled: bool) -> None:
    """Observations, rewards and infos, bit for bit and in dtype, past the end of an episode."""

    def play() -> dict[str, torch.Tensor]:
        envs = make_envs(2, **VARIANTS[variant])
        return trajectory(envs, full_actions(envs, 4))

    def both() -> list[dict[str, torch.Tensor]]:
        plain = play()
        with default_dtype(torch.float64):
            return [plain, play()]

    if compiled:
        assert_same(*both())
    else:
        with plain_torch():
            assert_same(*both())


@pytest.mark.parametrize("variant", ["default", "continuous", "half labelled"])
def test_an_env_that_resets_its_envs_apart_plays_the_same(variant: str) -> None:
    """Steps in which some envs begin anew, or stay."""

    def play() -> dict[str, torch.Tensor]:
        envs = make_envs(2, autoreset_mode="NextStep", **VARIANTS[variant])
        later = make_envs(2, autoreset_mode="Disabled", **VARIANTS[variant])
        actions = full_actions(envs, 5)
        later.reset(seed=0)
        some = [later.step_some(action, np.array([True, False])) for action in actions[:2]]
        return trajectory(envs, actions) | leaves(some, "some")

    plain = play()
    with default_dtype(torch.float64):
        assert_same(plain, play())


@pytest.mark.parametrize("dtype", OTHERS)
def test_observations_are_in_their_space(dtype: torch.dtype) -> None:
    with default_dtype(dtype):
        envs = gym.make_vec("MECCA-Phantom-v0", num_envs=2, **SETTINGS)
        env = gym.make("MECCA-Phantom-v0", **SETTINGS)
        for observation, *_ in (envs.reset(seed=0), envs.step(envs.action_space.sample())):
            rows = {key: value.numpy() for key, value in observation.items()}
            assert envs.observation_space.contains(rows)
        for observation, *_ in (env.reset(seed=0), env.step(env.action_space.sample())):
            assert env.observation_space.contains(observation)


@pytest.mark.parametrize("dtype", OTHERS)
def test_a_phantom_is_the_same(dtype: torch.dtype) -> None:
    size = (32, 32, 32)
    image, label = phantom_scan(1, size=size)
    with default_dtype(dtype):
        other, mask = phantom_scan(1, size=size)
    assert same_tensor(image, other) and torch.equal(label, mask)


@pytest.mark.parametrize("action", ["discrete", "continuous"])
def test_decisions_of_supervoxels_are_the_same(action: str) -> None:
    def play() -> dict[str, torch.Tensor]:
        envs = SupervoxelActionVectorWrapper(make_envs(2, supervoxels=(12, 10, 8), action=action))
        return trajectory(envs, [np.tile(np.arange(12) % 2, (2, 1)).astype(envs.action_space.dtype)] * 4)

    plain = play()
    with default_dtype(torch.float64):
        assert_same(plain, play())
