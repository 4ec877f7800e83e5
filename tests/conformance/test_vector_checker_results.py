"""The vector-env checker notices results of the wrong kind: spaces, observations, rewards, endings, infos, metadata."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from mecca_env.vector_env import MeccaVectorEnv
from tests.conformance.sabotage import DISABLED, NEXT, SAME, changing, refuses


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
