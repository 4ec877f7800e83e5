"""What users of Gymnasium know from its own envs: time limits, generators, autoreset, rendering, wrappers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import TimeAwareObservation

from tests.support.envs import GRID, SETTINGS, Blobs, make_envs, random_actions
from tests.support.trees import rows, same

MODES = [mode.value for mode in AutoresetMode]


def make(**keywords: Any) -> Any:
    """A single env as Gymnasium makes it."""
    return gym.make("MECCA-Phantom-v0", **{"dataset": Blobs(), **SETTINGS, **keywords})


def make_vec(**keywords: Any) -> Any:
    """Two envs as Gymnasium makes them."""
    return gym.make_vec("MECCA-Phantom-v0", num_envs=2, **{"dataset": Blobs(), **SETTINGS, **keywords})


class TestTimeLimit:
    """`max_episode_steps` of several envs; tests/mecca_env/test_vector_env.py compares it with `gym.make`'s."""

    ACTION = np.zeros((2, *GRID), np.uint8)

    def ends(self, steps: int, **keywords: Any) -> list[tuple[bool, bool]]:
        """Terminated and truncated, the same of both envs, after each step."""
        envs = make_vec(**keywords)
        envs.reset(seed=0)
        found = [envs.step(self.ACTION)[2:4] for _ in range(steps)]
        assert all((flag == flag[0]).all() and flag.dtype == torch.bool for pair in found for flag in pair)
        return [(bool(terminated[0]), bool(truncated[0])) for terminated, truncated in found]

    def test_an_episode_is_cut_short(self) -> None:
        going, cut, both = (False, False), (False, True), (True, True)
        assert self.ends(4, max_episode_steps=2) == [going, cut, going, cut]
        assert self.ends(2, max_episode_steps=1) == [cut, cut]
        assert self.ends(5, max_episode_steps=2, autoreset_mode="NextStep") == [going, cut, going, going, cut]
        assert self.ends(3, max_episode_steps=3) == [going, going, both]  # as Gymnasium's TimeLimit has it

    @pytest.mark.parametrize("limit", [None, -1, 4])
    def test_without_a_limit_or_with_one_that_is_not_reached(self, limit: int | None) -> None:
        assert self.ends(3, max_episode_steps=limit) == [(False, False), (False, False), (True, False)]

    @pytest.mark.parametrize("limit", [0, -2, 1.5, True, "5"])
    def test_limits_that_are_none(self, limit: Any) -> None:
        with pytest.raises(ValueError, match="max_episode_steps: expected an integer of at least 1, got"):
            make_vec(max_episode_steps=limit)

    def test_what_is_cut_short_waits_for_its_reset(self) -> None:
        envs = make_vec(max_episode_steps=2, autoreset_mode="Disabled")
        envs.reset(seed=0)
        envs.step(self.ACTION)
        envs.reset(options={"reset_mask": np.array([False, True])})
        assert [flag.tolist() for flag in envs.step(self.ACTION)[2:4]] == [[False, False], [True, False]]
        with pytest.raises(gym.error.ResetNeeded, match=r"envs \[0\] are over"):
            envs.step(self.ACTION)
        resting = np.array([False, True])
        assert [flag.tolist() for flag in envs.step_some(self.ACTION, resting)[2:4]] == [[False, False], [True, True]]

    def test_who_rests_is_terminated_if_it_has_ended_by_itself(self) -> None:
        envs = make_vec(max_episode_steps=2, autoreset_mode="Disabled", target_dice=0.9)
        envs.reset(seed=0)
        right = torch.where(envs.state.label, 5, 0)
        right[1] = 0
        assert envs.step(right)[2].tolist() == [True, False]
        ends = envs.step_some(right, np.array([False, True]))[2:4]
        assert [flag.tolist() for flag in ends] == [[True, False], [False, True]]

    def test_a_snapshot_goes_on_to_the_same_end(self) -> None:
        envs, twin = (make_envs(2, max_episode_steps=2, autoreset_mode="NextStep") for _ in range(2))
        envs.reset(seed=0)
        envs.step(self.ACTION)
        twin.restore(envs.snapshot())
        for _ in range(4):
            one, two = envs.step(self.ACTION), twin.step(self.ACTION)
            assert torch.equal(one[3], two[3]) and torch.equal(one[2], two[2])
        with pytest.raises(ValueError, match=r"max_episode_steps is None here, 2 there$"):
            make_envs(2, autoreset_mode="NextStep").restore(envs.snapshot())


class TestGenerator:
    """`np_random`, which may be set."""

    def test_it_is_the_one_that_is_drawn_from(self) -> None:
        env = make(augment=True).unwrapped
        assert env.np_random is env.vector.np_random[0]  # before the first reset too
        rng = np.random.default_rng(5)
        env.np_random = rng
        assert env.np_random is rng and env.np_random_seed == -1
        before = rng.bit_generator.state
        env.reset()
        assert rng.bit_generator.state != before
        env.reset(seed=3)
        assert env.np_random is not rng and env.np_random_seed == 3

    @pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
    def test_equal_generators_equal_episodes(self, kind: str) -> None:
        def play(seed: int) -> list[Any]:
            env = make(augment=True, user="imprecise")  # a wrapper passes it on
            env.reset(seed=0)
            env.np_random = np.random.Generator(getattr(np.random, kind)(seed))
            returned = []
            for number in range(3):
                observation, info = env.reset()
                returned.append(dict(observation) | info)
                observation, *_, info = env.step(np.full(GRID, number))
                returned.append(dict(observation) | info)
            return returned

        one, two, other = play(1), play(1), play(2)
        for number, (here, there) in enumerate(zip(one, two, strict=True)):
            same(here, there, str(number))
        assert not np.array_equal(one[0]["volume"], other[0]["volume"])
        assert not np.array_equal(one[0]["clicks"], other[0]["clicks"])

    def test_each_of_several_envs_has_its_own(self) -> None:
        envs, twin = make_envs(2, augment=True), make_envs(2, augment=True)
        envs.np_random = [np.random.default_rng(seed) for seed in (1, 2)]
        twin.np_random = [np.random.default_rng(seed) for seed in (2, 1)]
        here, there = envs.reset()[0], twin.reset()[0]
        same(rows(here, 0), rows(there, 1))
        same(rows(here, 1), rows(there, 0))
        assert envs.np_random_seed == (-1, -1)
        envs.reset(seed=[7, None])
        assert envs.np_random_seed == (7, -1)

    def test_a_snapshot_goes_on_with_it(self) -> None:
        envs, twin = make_envs(1, augment=True), make_envs(1, augment=True)
        envs.np_random = [np.random.default_rng(1)]
        envs.reset()
        twin.restore(envs.snapshot())
        assert twin.np_random_seed == (-1,)
        for _ in range(3):
            same(envs.reset()[0], twin.reset()[0])
        envs.np_random = [np.random.Generator(np.random.MT19937(1))]
        envs.reset()
        with pytest.raises(ValueError, match=r"np_random: expected PCG64, .* for a snapshot, got \['MT19937'\]"):
            envs.snapshot()

    def test_what_is_none_is_refused(self) -> None:
        with pytest.raises(TypeError, match=r"np_random: expected a numpy.random.Generator, got RandomState"):
            make().unwrapped.np_random = np.random.RandomState(0)
        with pytest.raises(ValueError, match="np_random: expected 2 generators, got 1"):
            make_envs(2).np_random = [np.random.default_rng(0)]


class TestAutoreset:
    """The mode of envs that Gymnasium makes one by one is for Gymnasium."""

    @pytest.mark.parametrize("mode", MODES)
    def test_one_env_refuses_it_and_says_where_it_belongs(self, mode: str) -> None:
        advice = rf"autoreset_mode: a single env never resets itself, got '{mode}'; .*vector_kwargs=.*'{mode}'"
        with pytest.raises(ValueError, match=advice):
            make(autoreset_mode=mode)
        with pytest.raises(ValueError, match=advice):
            make_vec(vectorization_mode="sync", autoreset_mode=AutoresetMode(mode))

    @pytest.mark.parametrize("mode", MODES)
    def test_the_advice_is_right(self, mode: str) -> None:
        envs = make_vec(vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode})
        assert envs.metadata["autoreset_mode"] is AutoresetMode(mode)
        envs.reset(seed=0)
        infos = [envs.step(action)[4] for action in random_actions(make_envs(2), 3)]
        assert ("final_info" in infos[-1]) == (mode == "SameStep")


@pytest.mark.parametrize("made", [make, make_vec])
def test_rendering_without_a_mode_warns(made: Callable[[], Any]) -> None:
    env = made()
    env.reset(seed=0)
    words = (
        r"You are calling render method without specifying any render mode.*gym.make\(.MECCA-Phantom-v0., render_mode"
    )
    with pytest.warns(UserWarning, match=words):
        assert env.unwrapped.render() is None


class TestTimeAware:
    """`TimeAwareObservation`, which asks the spec for the length of an episode."""

    @pytest.mark.parametrize("normalize", [False, True])
    def test_the_time_goes_from_nought_to_the_horizon(self, normalize: bool) -> None:
        env = TimeAwareObservation(make(), flatten=False, normalize_time=normalize)
        seen, ends = [env.reset(seed=0)[0]], []
        for _ in range(3):
            observation, _, *end, _ = env.step(env.action_space.sample())
            seen.append(observation)
            ends.append(end)
        expected = np.arange(4, dtype=np.int32) if not normalize else np.arange(4, dtype=np.float32) / np.float32(3)
        assert np.array_equal(np.concatenate([observation["time"] for observation in seen]), expected)
        assert all(env.observation_space.contains(observation) for observation in seen)
        assert ends == [[False, False], [False, False], [True, False]]
        assert env.reset()[0]["time"] == [0]

    def test_flat(self) -> None:
        env = TimeAwareObservation(make(horizon=4, clicks=None))
        observation, _ = env.reset(seed=0)
        assert env.observation_space.contains(observation) and observation.shape == (3 * np.prod(GRID) + 1,)
        env.step(env.action_space.sample())
        assert env.max_timesteps == 4

    def test_an_env_from_the_spec_of_another_plays_the_same(self) -> None:
        env = make()
        assert env.spec.max_episode_steps == 3 and gym.spec("MECCA-Phantom-v0").max_episode_steps is None
        again = gym.make(env.spec, max_episode_steps=-1)
        same(env.reset(seed=0)[0], again.reset(seed=0)[0])
        action = env.action_space.sample()
        for _ in range(3):
            one, two = env.step(action), again.step(action)
            same(one[0], two[0])
            assert one[1:4] == two[1:4]
