"""The vector-env checker: passes every id and Gymnasium's own, and notices every promise that is broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from mecca_env.arguments import read_seeds
from mecca_env.episodes.stream import EpisodeStream
from mecca_env.testing import check_vector_env
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.envs import SETTINGS, Blobs

MODES = list(AutoresetMode)
SAME, NEXT, DISABLED = AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED


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


def sabotaged(
    kind: type[MeccaVectorEnv], mode: AutoresetMode = SAME, num_envs: int = 3, **settings: Any
) -> MeccaVectorEnv:
    return kind(num_envs, **{"dataset": Blobs(), **SETTINGS, "autoreset_mode": mode, **settings})


def refuses(kind: type[MeccaVectorEnv], complaint: str, mode: AutoresetMode = SAME, **settings: Any) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_vector_env(sabotaged(kind, mode, **settings), steps=8)


class ChangedStep(MeccaVectorEnv):
    """An env whose steps return something else than they should."""

    change: Callable[[Any, Any, Any, Any, Any, Any], Any]

    def step(self, actions: Any) -> Any:
        return self.change(*super().step(actions))


def changing(function: Callable[[Any, Any, Any, Any, Any, Any], Any]) -> type[MeccaVectorEnv]:
    return type("Sabotaged", (ChangedStep,), {"change": function})


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


class NoMode(MeccaVectorEnv):
    """Has metadata like an env of old."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        del self.metadata["autoreset_mode"]


class TextMode(MeccaVectorEnv):
    """Names the mode by a string."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.metadata["autoreset_mode"] = "SameStep"


class OtherMode(MeccaVectorEnv):
    """Says two things about its mode."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.metadata["autoreset_mode"] = NEXT


def test_wrong_metadata() -> None:
    refuses(NoMode, "expected an AutoresetMode, got None")
    refuses(TextMode, "expected an AutoresetMode, got 'SameStep'")
    refuses(OtherMode, "autoreset_mode is .*SAME_STEP.* but metadata")


@pytest.mark.parametrize("name", ["observation_space", "action_space"])
def test_spaces_that_do_not_fit_together(name: str) -> None:
    class Unbatched(MeccaVectorEnv):
        """Shows the single space as the batched one."""

    setattr(Unbatched, name, property(lambda self: getattr(self, f"single_{name}")))
    refuses(Unbatched, f"{name}: expected the batch of single_{name}")


def test_too_few_envs_to_tell() -> None:
    refuses(MeccaVectorEnv, "num_envs: expected at least 2", num_envs=1)


def test_final_observation_missing() -> None:
    def without(self: Any, *returned: Any) -> Any:
        return (*returned[:4], {k: v for k, v in returned[4].items() if k != "final_obs"})

    refuses(changing(without), "final_obs is there when and only when an episode ended")


def test_final_info_missing() -> None:
    def without(self: Any, *returned: Any) -> Any:
        return (*returned[:4], {k: v for k, v in returned[4].items() if "final_info" not in k})

    refuses(changing(without), "final_info is there when and only when an episode ended")


@pytest.mark.parametrize("key", ["_final_obs", "_final_info"])
def test_masks_of_final_observations_wrong(key: str) -> None:
    def inverted(self: Any, *returned: Any) -> Any:
        info = returned[4]
        return (*returned[:4], info | ({key: ~info[key]} if key in info else {}))

    refuses(changing(inverted), f"{key}: expected")


def test_final_observation_that_is_none() -> None:
    def shifted(self: Any, *returned: Any) -> Any:
        info = returned[4]
        final = {k: v + 9 for k, v in info["final_obs"].items()} if "final_obs" in info else None
        return (*returned[:4], info | ({"final_obs": final} if final else {}))

    refuses(changing(shifted), "final_obs of env 0 is not an observation")


@pytest.mark.parametrize("mode", [NEXT, DISABLED], ids=["next", "disabled"])
def test_final_observation_in_a_mode_that_has_none(mode: AutoresetMode) -> None:
    def added(self: Any, *returned: Any) -> Any:
        return (*returned[:4], returned[4] | {"final_obs": returned[0]})

    refuses(changing(added), "final_obs belongs to same-step", mode)


def test_reward_for_the_step_that_resets() -> None:
    def paid(self: Any, obs: Any, reward: Any, *rest: Any) -> Any:
        return (obs, torch.where(rest[2]["step"] == 0, 0.5, reward), *rest)

    refuses(changing(paid), "expected no reward in the step that resets", NEXT)


def test_same_step_reset_that_calls_itself_next_step() -> None:
    class Liar(MeccaVectorEnv):
        """Resets in the same step and says otherwise."""

        def step(self, actions: Any) -> Any:
            self.autoreset_mode = SAME
            *rest, info = super().step(actions)
            self.autoreset_mode = NEXT
            return (*rest, {k: v for k, v in info.items() if "final" not in k})

    refuses(Liar, "expected no reward in the step that resets", NEXT)


def test_episodes_that_never_end() -> None:
    def endless(self: Any, obs: Any, reward: Any, terminated: Any, truncated: Any, info: Any) -> Any:
        return obs, reward, torch.zeros_like(terminated), truncated, {k: v for k, v in info.items() if "final" not in k}

    refuses(changing(endless), "no episode ended within 8 steps")


@pytest.mark.parametrize("key", ["volume", "probability", "hint"])
def test_observations_of_another_dtype(key: str) -> None:
    class Double(MeccaVectorEnv):
        """Hands out double precision."""

        def _observe(self, state: Any) -> Any:
            observation = super()._observe(state)
            return observation | {key: observation[key].double()}

    refuses(Double, r"reset\(\): observation of env 0 is not in the observation space")


def test_observations_out_of_range_shape_or_keys() -> None:
    def shifted(self: Any, obs: Any, *rest: Any) -> Any:
        return (obs | {"hint": obs["hint"] + 1}, *rest)

    def cut(self: Any, obs: Any, *rest: Any) -> Any:
        return (obs | {"hint": obs["hint"][..., 1:]}, *rest)

    def extended(self: Any, obs: Any, *rest: Any) -> Any:
        return (obs | {"extra": obs["hint"]}, *rest)

    for sabotage in (shifted, cut, extended):
        refuses(changing(sabotage), r"step\(\) number 0: observation of env 0 is not in")


@pytest.mark.parametrize(
    ("place", "convert", "complaint"),
    [
        (1, lambda x: x.long(), "reward: unexpected dtype int64"),
        (1, lambda x: x[:, None], r"reward: expected \(3,\), got \(3, 1\)"),
        (1, lambda x: x.mean(), r"reward: expected \(3,\), got \(\)"),
        (1, lambda x: x * float("nan"), "reward is not finite"),
        (2, lambda x: x.int(), "terminated: unexpected dtype int32"),
        (3, lambda x: x.float(), "truncated: unexpected dtype float32"),
        (3, lambda x: x[:1], r"truncated: expected \(3,\), got \(1,\)"),
    ],
)
def test_rewards_and_endings_of_the_wrong_kind(place: int, convert: Any, complaint: str) -> None:
    def converted(self: Any, *returned: Any) -> Any:
        return tuple(convert(part) if i == place else part for i, part in enumerate(returned))

    refuses(changing(converted), complaint)


@pytest.mark.parametrize(
    "value", [torch.zeros(4), torch.zeros(()), np.zeros(1), "text", 3, [0, 0, 0], None], ids=lambda value: repr(value)
)
def test_infos_that_are_no_batch(value: Any) -> None:
    def added(self: Any, *returned: Any) -> Any:
        return (*returned[:4], returned[4] | {"extra": value})

    refuses(changing(added), r"info\['extra'\]: expected an array with one row for each of 3 envs")


def test_info_that_is_no_dict() -> None:
    def listed(self: Any, *returned: Any) -> Any:
        return (*returned[:4], [{}] * 3)

    refuses(changing(listed), "expected info to be a dict, got list")


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
