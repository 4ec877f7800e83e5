"""The PettingZoo view: its own two tests, the same episodes as the single env, what it refuses."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from tests.support.envs import Blobs

pytest.importorskip("pettingzoo", reason="needs the extra interop")

from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test
from pettingzoo.utils import parallel_to_aec

from mecca_env.adapters.pettingzoo import MeccaParallelEnv

GRID = (10, 9, 8)
SETTINGS: dict[str, Any] = {"shape": GRID, "horizon": 3, "clicks": (4, 2, 2)}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "wide": {"radius": 2},
    "alone": {"radius": 0},
    "modalities": {"dataset": Blobs(modalities=2)},
    "early ends": {"target_dice": 0.1},
    "four actions": {"adjustments": (-0.5, -0.1, 0.1, 0.5)},
    "prompts": {"protocol": "one-click", "clicks": (0, 1, 1), "time": True},
}


def make(**keywords: Any) -> MeccaParallelEnv:
    """A small env over `Blobs`."""
    return MeccaParallelEnv("MECCA-Phantom-v0", **{"dataset": Blobs(), **SETTINGS, **keywords})


def choices(env: MeccaParallelEnv, seed: int) -> dict[str, int]:
    rng = np.random.default_rng(seed)
    return {agent: int(rng.integers(len(env.env.config.adjustments))) for agent in env.agents}


@pytest.mark.parametrize("variant", VARIANTS)
def test_pettingzoos_own_tests(variant: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(make(**VARIANTS[variant]), num_cycles=5)
        parallel_seed_test(lambda: make(**VARIANTS[variant]), num_cycles=5)


@pytest.mark.filterwarnings("ignore:Observation has more than 3 dimensions")
def test_agents_that_take_turns() -> None:
    api_test(parallel_to_aec(make(shape=(8, 8, 8))), num_cycles=20)


@pytest.mark.parametrize("variant", ["plain", "wide", "modalities"])
def test_the_same_episode_as_the_single_env(variant: str) -> None:
    keywords = {"dataset": Blobs(), **SETTINGS, **VARIANTS[variant]}
    radius = keywords.pop("radius", 1)
    env, single = make(**VARIANTS[variant]), gym.make("MECCA-Phantom-v0", **keywords).unwrapped
    seen, _ = env.reset(seed=3)
    whole, _ = single.reset(seed=3)
    for number in range(3):
        state = env.state()
        expected = [whole["volume"].reshape(-1, *GRID), whole["probability"][None], whole["hint"][None]]
        assert np.array_equal(state, np.concatenate(expected)) and env.state_space.contains(state)
        padded = np.pad(state, [(0, 0), *[(radius, radius)] * 3])
        for d, h, w in [(0, 0, 0), (4, 5, 6), (9, 8, 7), (0, 8, 3)]:
            own = seen[f"voxel_{d}_{h}_{w}"]
            side = 2 * radius + 1
            assert np.array_equal(own, padded[:, d : d + side, h : h + side, w : w + side])
            assert env.observation_space(f"voxel_{d}_{h}_{w}").contains(own)
        actions = choices(env, number)
        seen, rewards, ended, cut, infos = env.step(actions)
        asked = np.array([actions[agent] for agent in env.possible_agents]).reshape(GRID)
        whole, _, over, _, info = single.step(asked)
        assert list(rewards.values()) == info["voxel_reward"].ravel().tolist()
        assert set(ended.values()) == {over} == {number == 2} and set(cut.values()) == {False}
        assert infos["voxel_4_5_6"] == {k: v for k, v in info.items() if not isinstance(v, np.ndarray)}
        assert infos["voxel_4_5_6"]["dice"] == info["dice"]
    assert env.agents == [] and len(env.possible_agents) == env.max_num_agents == 720


def test_what_was_handed_out_stays() -> None:
    env = make()
    first, _ = env.reset(seed=0)
    kept = {agent: observation.copy() for agent, observation in first.items()}
    env.state()[:] = 7
    assert env.state().max() < 7
    env.step(choices(env, 0))
    assert all(np.array_equal(first[agent], kept[agent]) for agent in kept)


def test_agents_are_seeded_each_on_its_own() -> None:
    env = make()
    for number, agent in enumerate(env.possible_agents):
        env.action_space(agent).seed(number)
    drawn = [env.action_space(agent).sample() for agent in env.possible_agents]
    assert set(drawn) == set(range(6))
    env.action_space("voxel_0_0_0").seed(0)
    assert env.action_space("voxel_0_0_0").sample() == drawn[0]


def test_a_case_by_name_and_a_picture() -> None:
    env = make(render_mode="rgb_array")
    _, infos = env.reset(options={"case": "blob_4", "somebody_elses": 1})
    assert infos["voxel_0_0_0"]["case_index"] == 4
    frame = env.render()
    assert frame is not None and frame.dtype == np.uint8 and frame.shape[2] == 3
    env.close()


def test_a_volume_that_is_too_large() -> None:
    message = (
        r"shape: expected at most 4096 voxels, since each is an agent \(max_agents\), got \(55, 55, 30\), .* 90750"
    )
    with pytest.raises(ValueError, match=message):
        make(shape=(55, 55, 30))
    with pytest.raises(ValueError, match="at most 719 voxels"):
        make(max_agents=719)
    assert len(make(max_agents=720).possible_agents) == 720


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"guide": True}, "guide: expected False, since an agent's action is one number, got True"),
        ({"action": "continuous"}, "action: expected 'discrete', since PettingZoo's agents choose, got 'continuous'"),
        ({"radius": -1}, "radius: expected an integer of at least 0, got -1"),
        ({"radius": 1.5}, "radius: expected an integer of at least 0, got 1.5"),
        ({"max_agents": 0}, "max_agents: expected an integer of at least 1, got 0"),
    ],
    ids=str,
)
def test_what_it_cannot_take(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**keywords)


def test_an_id_of_something_else() -> None:
    with pytest.raises(ValueError, match="env_id: expected one of MECCA-BraTS-v0, .* got 'CartPole-v1'"):
        MeccaParallelEnv("CartPole-v1")


def test_actions_that_are_none() -> None:
    env = make()
    with pytest.raises(gym.error.ResetNeeded, match=r"call reset\(\) before"):
        env.step({})
    with pytest.raises(gym.error.ResetNeeded, match=r"call reset\(\) before"):
        env.state()
    env.reset()
    actions = choices(env, 0)
    fewer = {agent: action for agent, action in actions.items() if agent != "voxel_2_3_4"}
    for wrong, message in (
        (fewer, "got 719; missing or unknown: voxel_2_3_4"),
        (fewer | {"voxel_9_9_9": 0}, "got 720; missing or unknown: voxel_2_3_4, voxel_9_9_9"),
    ):
        with pytest.raises(ValueError, match=f"actions: expected one for each of 720 agents, {message}"):
            env.step(wrong)
    with pytest.raises(ValueError, match="action: expected integers from 0 to 5, got 6"):
        env.step(actions | {"voxel_1_1_1": 6})
    with pytest.raises(TypeError, match="action: expected an integer dtype"):
        env.step(dict.fromkeys(actions, 0.5))
    for _ in range(3):
        env.step(actions)
    with pytest.raises(gym.error.ResetNeeded, match=r"call reset\(\) before"):
        env.step(actions)
