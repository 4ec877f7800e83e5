"""One decision for each supervoxel: which voxels obey it, what it sees, and that both wrappers agree."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mecca_env.testing import check_vector_env
from mecca_env.wrappers.supervoxel_actions import (
    SupervoxelActionVectorWrapper,
    SupervoxelActionWrapper,
    number_by_intensity,
)
from tests.support.envs import SETTINGS, Blobs, make_envs

COUNTS = {"supervoxels": (20, 15, 10)}


def single(decisions: int | None = None, **keywords: Any) -> SupervoxelActionWrapper:
    env = gym.make("MECCA-Phantom-v0", **{"dataset": Blobs(), **SETTINGS, **COUNTS, **keywords})
    return SupervoxelActionWrapper(env, decisions)


def vector(num_envs: int = 3, decisions: int | None = None, **keywords: Any) -> SupervoxelActionVectorWrapper:
    return SupervoxelActionVectorWrapper(make_envs(num_envs, **{**COUNTS, **keywords}), decisions)


@given(
    hnp.arrays(np.int16, (2, 3, 4, 5), elements=st.integers(0, 12)),
    hnp.arrays(np.int64, (2, 3, 4, 5), elements=st.integers(-9, 9)),
    st.integers(1, 30),
)
def test_decisions_are_ordered_by_mean_intensity(regions: np.ndarray, quarters: np.ndarray, count: int) -> None:
    volume = (quarters / 4).astype(np.float32)
    numbers = number_by_intensity(torch.from_numpy(regions), torch.from_numpy(volume), count).numpy()
    for row in range(2):
        own = {r: set(numbers[row][regions[row] == r].tolist()) for r in np.unique(regions[row])}
        assert all(len(found) == 1 for found in own.values())  # a region obeys one decision
        means = {r: volume[row][regions[row] == r].astype(np.float64).mean() for r in own}
        ordered = [own[r].pop() for r in sorted(own, key=lambda r: (means[r], r))]
        expected = [int((rank + 0.5) * count / len(ordered)) for rank in range(len(ordered))]
        assert ordered == expected
        assert 0 <= ordered[0] and ordered[-1] < count
        if len(ordered) <= count:
            assert len(set(ordered)) == len(ordered)


@pytest.mark.parametrize("action", ["discrete", "continuous"])
def test_all_voxels_of_a_supervoxel_do_what_was_decided(action: str) -> None:
    envs = vector(action=action)
    envs.reset(seed=0)
    bare = make_envs(3, action=action, **COUNTS)
    bare.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(7):  # over the end of an episode
        draw = rng.integers(6, size=(3, 20)) if action == "discrete" else rng.uniform(-1, 1, (3, 20)).astype(np.float32)
        where = envs.decision_map.numpy()
        voxels = np.stack([row[places] for row, places in zip(draw, where, strict=True)])
        _, reward, _, _, info = envs.step(draw)
        _, expected, _, _, plain = bare.step(voxels)
        assert torch.equal(reward, expected) and torch.equal(info["voxel_reward"], plain["voxel_reward"])
        assert torch.equal(envs.env.unwrapped.state.probability, bare.state.probability)


def test_supervoxels_are_those_of_the_step_and_of_the_guide() -> None:
    envs, guided = vector(), make_envs(3, guide=True, **COUNTS)
    envs.reset(seed=0)
    guided.reset(seed=0)
    assert guided.state.regions is not None
    for step in range(3):
        regions = guided.state.regions[:, step]
        numbers = number_by_intensity(regions, guided.state.volume[:, 0], 20)
        assert torch.equal(envs.decision_map, numbers)
        assert torch.equal(envs.env.unwrapped.supervoxels()[:, step], regions)
        envs.step(np.zeros((3, 20), np.int64))
    assert torch.equal(envs.env.unwrapped.supervoxels([1])[0], envs.env.unwrapped.supervoxels()[1])


def test_what_a_decision_sees() -> None:
    envs = vector(decisions=40, dataset=Blobs(modalities=2))
    observation, _ = envs.reset(seed=0)
    for _ in range(2):
        observation, *_ = envs.step(np.random.default_rng(1).integers(6, size=(3, 40)))
    state, where = envs.env.unwrapped.state, envs.decision_map
    assert observation["volume"].shape == (3, 80) and observation["hint"].shape == (3, 40)
    idle = 0
    for row in range(3):
        for decision in range(40):
            inside = where[row] == decision
            idle += not inside.any()
            for key, grid in {"probability": state.probability[row], **dict(enumerate(state.volume[row]))}.items():
                seen = observation["volume"][row].view(2, 40)[key] if isinstance(key, int) else observation[key][row]
                mean = grid[inside].double().mean().item() if inside.any() else 0.0
                assert seen[decision].item() == pytest.approx(mean, abs=1e-6)
            largest = state.hint[row][inside].max().item() if inside.any() else 0.0
            assert observation["hint"][row, decision].item() == largest
    assert idle > 0  # 20 supervoxels at most, 40 decisions


def test_fewer_decisions_than_supervoxels_share() -> None:
    env = single(decisions=4)
    env.reset(seed=0)
    assert set(np.unique(env.decision_map)) == {0, 1, 2, 3}
    assert env.action_space.shape == (4,)
    env.step(env.action_space.sample())


def test_a_final_observation_is_that_of_the_episode_that_ended() -> None:
    envs, rows = vector(), [single(), single(), single()]
    envs.reset(seed=5)
    for i, env in enumerate(rows):
        env.reset(seed=5 + i)
    for _ in range(3):
        action = np.random.default_rng(2).integers(6, size=(3, 20))
        _, _, terminated, _, info = envs.step(action)
        last = [env.step(action[i])[0] for i, env in enumerate(rows)]
    assert terminated.all()
    for i, observation in enumerate(last):
        for key, value in observation.items():
            assert np.array_equal(info["final_obs"][key][i].numpy(), value), key


@pytest.mark.parametrize("below", [False, True])
@pytest.mark.parametrize("augment", [False, True])
def test_a_restored_episode_goes_on_with_its_own_supervoxels(below: bool, augment: bool) -> None:
    envs = vector(augment=augment)
    envs.reset(seed=0)
    draws = torch.randint(6, (4, 3, 20), generator=torch.Generator().manual_seed(0))
    seen, *_ = envs.step(draws[0])
    kept, where = envs.env.unwrapped.snapshot(), envs.decision_map.clone()
    first = [envs.step(draw) for draw in draws]
    envs.reset(seed=9)
    if below:
        envs.env.unwrapped.restore(kept)
    else:
        again, _ = envs.restore(kept)
        assert all(torch.equal(again[key], value) for key, value in seen.items())
    assert below or torch.equal(envs.decision_map, where)
    for (expected, reward, *_), draw in zip(first, draws, strict=True):
        found, earned, *_ = envs.step(draw)
        assert torch.equal(earned, reward) and all(torch.equal(found[key], expected[key]) for key in found)


def test_of_one_env_too_and_of_a_reset_of_some_envs() -> None:
    env = single()
    env.reset(seed=0)
    kept, where = env.unwrapped.vector.snapshot(), env.decision_map
    env.reset(seed=9)
    env.unwrapped.vector.restore(kept)
    assert np.array_equal(env.decision_map, where)
    envs = vector()
    envs.reset(seed=0)
    begun = envs.env.unwrapped.snapshot()
    envs.reset(seed=9)
    envs.env.unwrapped.restore(begun)
    envs.reset(seed=4, options={"reset_mask": np.array([True, False, False])})
    assert torch.equal(envs.decision_map, SupervoxelActionVectorWrapper(envs.env).decision_map)


@pytest.mark.parametrize("mode", ["SameStep", "NextStep", "Disabled"])
@pytest.mark.parametrize("settings", [{}, {"action": "continuous"}, {"augment": True, "target_dice": 0.3}], ids=str)
def test_the_vector_env_keeps_its_promises(mode: str, settings: dict[str, Any], device: str) -> None:
    envs = vector(autoreset_mode=mode, device=device, **settings)

    def sample() -> Any:
        if envs.env.unwrapped.config.action == "discrete":
            return np.random.default_rng(next(seeds)).integers(6, size=(3, 20))
        return np.random.default_rng(next(seeds)).uniform(-1, 1, (3, 20)).astype(np.float32)

    seeds = iter(range(1000))
    check_vector_env(envs, steps=8, sample=sample)


@pytest.mark.parametrize("action", ["discrete", "continuous"])
def test_gymnasiums_checker(action: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*is different from the unwrapped version")  # it is a wrapper
        check_env(SupervoxelActionWrapper(single(action=action).unwrapped), skip_render_check=True)


def test_a_single_env_can_be_made_again_from_its_spec() -> None:
    env = single(decisions=7)
    again = gym.make(env.spec)
    assert again.action_space == env.action_space and isinstance(again, SupervoxelActionWrapper)


def test_defaults() -> None:
    env = SupervoxelActionWrapper(gym.make("MECCA-Phantom-v0", **{**SETTINGS, "cases": 1}))
    assert env.action_space == gym.spaces.MultiDiscrete(np.full(100, 6))
    assert all(space.shape == (100,) for space in env.observation_space.values())


@pytest.mark.parametrize("wrap", [single, vector])
def test_a_guided_env_is_refused(wrap: Any) -> None:
    with pytest.raises(
        ValueError, match=r"guide: expected an env without one, got guide=True; make it with guide=False"
    ):
        wrap(guide=True)


@pytest.mark.parametrize("decisions", [0, -1, 2.5, True])
def test_no_number_of_decisions(decisions: Any) -> None:
    with pytest.raises(ValueError, match=rf"decisions: expected an integer of at least 1, got {decisions!r}"):
        single(decisions=decisions)


def test_other_envs_are_refused() -> None:
    with pytest.raises(TypeError, match="env: expected a single env of mecca_env, got CartPoleEnv"):
        SupervoxelActionWrapper(gym.make("CartPole-v1"))
    with pytest.raises(TypeError, match="env: expected a vector env of mecca_env, got CartPoleVectorEnv"):
        SupervoxelActionVectorWrapper(gym.make_vec("CartPole-v1", num_envs=2))


@pytest.mark.parametrize(
    ("given", "error", "complaint"),
    [
        (np.zeros((3, 19), int), ValueError, r"action: expected shape \(3, 20\), got \(3, 19\)"),
        (np.full((3, 20), 6), ValueError, "action: expected integers from 0 to 5, got 6"),
        (np.zeros((3, 20)), TypeError, "action: expected an integer dtype, got torch.float64"),
        ({"adjustment": 0}, TypeError, "action: expected an array, got a dict"),
    ],
)
def test_actions_that_are_none(given: Any, error: type[Exception], complaint: str) -> None:
    envs = vector()
    envs.reset(seed=0)
    with pytest.raises(error, match=complaint):
        envs.step(given)
