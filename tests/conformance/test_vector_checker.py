"""The vector-env checker: passes every id and Gymnasium's own, and notices where randomness or memory is shared."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from mecca_env.arguments import read_seeds
from mecca_env.episodes.stream import EpisodeStream
from mecca_env.testing import check_vector_env
from mecca_env.vector_env import MeccaVectorEnv
from tests.conformance.sabotage import DISABLED, NEXT, SAME, changing, refuses, sabotaged
from tests.support.envs import SETTINGS, Blobs

MODES = list(AutoresetMode)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_every_id_passes_in_every_mode(env_id: str, mode: AutoresetMode, keywords: Any, device: str) -> None:
    settings = {**keywords(env_id), "device": device, "autoreset_mode": mode}
    check_vector_env(gym.make_vec(env_id, num_envs=3, **settings), steps=8)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
@pytest.mark.parametrize(
    "variant",
    [
        {"guide": True, "supervoxels": (12, 10, 8)},
        {"action": "continuous"},
        {"target_dice": 0.3},
        {"user": "imprecise", "augment": True},
        {"labelled_fraction": 0.5},
        {"hint": "supervoxel", "supervoxels": (12, 10, 8), "reward": "boundary"},
        {"protocol": "mixed", "clicks": ((0, 1), (0, 2), (0, 3)), "augment": True, "time": True},
        {"protocol": "cvpr25", "clicks": (0, 1, 1), "start": {"half": 1, "mask": 1}},
        {"protocol": "first-click", "clicks": (1, (0, 3), 1), "user": {"edge": 1, "scribble": 2}, "augment": True},
    ],
    ids=str,
)
def test_every_kind_of_env_passes(variant: dict[str, Any], mode: AutoresetMode) -> None:
    check_vector_env(sabotaged(MeccaVectorEnv, mode, **variant), steps=8)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_single_envs_in_gymnasiums_vector_env_pass(mode: AutoresetMode) -> None:
    def make() -> gym.Env[Any, Any]:
        return gym.make("MECCA-Phantom-v0", dataset=Blobs(), **SETTINGS)

    check_vector_env(SyncVectorEnv([make] * 3, autoreset_mode=mode), steps=8)


class ClosedCartPole(gym.Wrapper[Any, Any, Any, Any]):
    """CartPole that keeps to what the checker asks of `close`; Gymnasium's goes on working."""

    closed = False

    def reset(self, **keywords: Any) -> Any:
        assert not self.closed
        return super().reset(**keywords)

    def step(self, action: Any) -> Any:
        assert not self.closed
        return super().step(action)

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_cartpole_passes(mode: AutoresetMode) -> None:
    envs = SyncVectorEnv([lambda: ClosedCartPole(gym.make("CartPole-v1"))] * 3, autoreset_mode=mode)
    check_vector_env(envs, steps=80)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
@pytest.mark.parametrize("key", ["volume", "probability", "hint"])
def test_old_observations_overwritten_in_place(mode: AutoresetMode, key: str) -> None:
    class Reusing(MeccaVectorEnv):
        """Writes every observation into the first."""

        buffer: torch.Tensor | None = None

        def _observe(self, state: Any) -> Any:
            observation = super()._observe(state)
            if self.buffer is None:
                self.buffer = observation[key].clone()
            return observation | {key: self.buffer.copy_(observation[key])}

    refuses(Reusing, "changed by a later call", mode)


def test_old_infos_overwritten_in_place() -> None:
    class Reusing(MeccaVectorEnv):
        """Writes every Dice into the first."""

        def reset(self, **keywords: Any) -> Any:
            observation, info = super().reset(**keywords)
            self.buffer = info["dice"]
            return observation, info

        def step(self, actions: Any) -> Any:
            *rest, info = super().step(actions)
            return (*rest, info | {"dice": self.buffer.copy_(info["dice"])})

    refuses(Reusing, "changed by a later call")


def test_seed_ignored() -> None:
    class Deaf(MeccaVectorEnv):
        """Draws what it likes."""

        def reset(self, *, seed: Any = None, options: Any = None) -> Any:
            return super().reset(options=options)

    refuses(Deaf, "same seed and actions differ")


def test_seed_counts_only_once() -> None:
    class Stubborn(MeccaVectorEnv):
        """Every reset with a seed gives another trajectory, as where seeds go to construction alone."""

        times = 0

        def reset(self, *, seed: Any = None, options: Any = None) -> Any:
            self.times += 1
            seeds = read_seeds(seed, self.num_envs)
            return super().reset(seed=[None if s is None else s + 1000 * self.times for s in seeds], options=options)

    refuses(Stubborn, "same seed and actions differ")


def test_a_generator_shared_by_all_envs() -> None:
    class Sharing(MeccaVectorEnv):
        """Takes the first seed for all."""

        def reset(self, *, seed: Any = None, options: Any = None) -> Any:
            if seed is not None:
                self._episodes.streams = [EpisodeStream(read_seeds(seed, self.num_envs)[0])] * self.num_envs
            return super().reset(options=options)

    refuses(Sharing, "place in the batch")


def test_later_episodes_from_a_shared_generator() -> None:
    class Sharing(MeccaVectorEnv):
        """Seeds the first episode of each env, and the later ones from one generator."""

        def reset(self, *, seed: Any = None, options: Any = None) -> Any:
            returned = super().reset(seed=seed, options=options)
            if seed is not None:
                self._episodes.streams = [self._episodes.streams[0]] * self.num_envs
            return returned

    for mode in (SAME, NEXT):
        refuses(Sharing, "place in the batch", mode)


def test_one_seed_for_all_envs() -> None:
    class Same(MeccaVectorEnv):
        """Gives every env the seed itself, and not seed + i."""

        def reset(self, *, seed: Any = None, options: Any = None) -> Any:
            seeds = [seed] * self.num_envs if isinstance(seed, int) else seed
            return super().reset(seed=seeds, options=options)

    refuses(Same, "place in the batch .or seeds are not seed")


def test_an_env_that_depends_on_its_place() -> None:
    def last_is_worse(self: Any, obs: Any, reward: Any, *rest: Any) -> Any:
        return (obs, reward - torch.arange(len(reward)), *rest)

    refuses(changing(last_is_worse), "place in the batch", DISABLED)


def test_an_env_that_depends_on_the_others() -> None:
    def relative(self: Any, obs: Any, reward: Any, *rest: Any) -> Any:
        return (obs, reward - reward.double().mean().float(), *rest)

    refuses(changing(relative), "env 0's trajectory changes with the actions of the other envs", DISABLED)


def test_too_few_envs_to_tell() -> None:
    refuses(MeccaVectorEnv, "num_envs: expected at least 2", num_envs=1)


def test_a_masked_reset_that_resets_all() -> None:
    class Eager(MeccaVectorEnv):
        """Does not read the mask."""

        def reset(self, *, seed: Any = None, options: Any = None) -> Any:
            return super().reset(seed=seed)

    refuses(Eager, "reset with a mask changed envs outside the mask|same seed|place in the batch", DISABLED)


def test_work_after_close() -> None:
    class Undead(MeccaVectorEnv):
        """Closes nothing."""

        def close(self, **_: Any) -> None:
            pass

    refuses(Undead, r"reset\(\) works after close\(\)")


def test_steps_after_close() -> None:
    class Undead(MeccaVectorEnv):
        """Refuses to reset, goes on stepping."""

        over = False

        def close(self, **_: Any) -> None:
            self.over = True

        def reset(self, **keywords: Any) -> Any:
            if self.over:
                raise gym.error.ClosedEnvironmentError("closed")
            return super().reset(**keywords)

    refuses(Undead, r"step\(\) works after close\(\)", NEXT)
