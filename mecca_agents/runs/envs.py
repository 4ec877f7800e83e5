"""The environments that runs play in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

import mecca_env
from mecca_agents.presets import Preset
from mecca_env.process.config import EnvConfig
from mecca_env.process.protocols import with_protocol
from mecca_env.process.users import make_user
from mecca_env.vector_env import MeccaVectorEnv

LISTED_CASES = 10_000
"""A data set with more cases than this is procedural; its cases are not listed in the run's settings."""


def make_envs(env: str, num_envs: int, **keywords: Any) -> MeccaVectorEnv:
    """The torch vector env of an id.

    Raises:
        ValueError: The id is not one of this package's.
    """
    if env not in mecca_env.ENV_IDS:
        raise ValueError(f"env: expected one of {', '.join(mecca_env.ENV_IDS)}, got {env!r}")
    envs = gym.make_vec(env, num_envs=num_envs, **keywords).unwrapped
    assert isinstance(envs, MeccaVectorEnv)
    return envs


def with_usual(preset: Preset, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked of a training's environment, and the preset's protocol where none is.

    Args:
        preset: Settings of the training.
        asked: Attributes of `mecca_env.EnvConfig` by name.
    """
    usual = {} if preset.usual_protocol == "paper" else {"protocol": preset.usual_protocol}
    return usual | dict(asked)


def envs_of(preset: Preset, settings: Mapping[str, Any]) -> int:
    """Episodes side by side in a training: with unlabelled ones among them, so many that `num_envs` are labelled.

    Args:
        preset: Settings of the training.
        settings: Of the environment, the method's own among them.
    """
    share = settings.get("labelled_share")
    return preset.num_envs if share is None else round(preset.num_envs / share)


def follows_advice(settings: Mapping[str, Any]) -> bool:
    """Tell whether a guide has a point: somebody among the users of an environment follows its advice.

    Args:
        settings: Of the environment; its protocol may say who the user is. A name that nobody has is not refused here.

    Raises:
        ValueError: There is no such protocol.
    """
    user = with_protocol(settings).get("user", EnvConfig.user)
    return not _is_user(user, guide=False) or _is_user(user, guide=True)


def _is_user(user: Any, guide: bool) -> bool:
    try:
        make_user(user, guide)
    except ValueError:
        return False
    return True


def first_seed(seed: int) -> int:
    """The seed of a training's first env, the next env's being one more: far from that of any other training.

    Numbers that lie next to each other would share most of their envs, and so their episodes.

    Args:
        seed: Of the training.
    """
    return int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> np.uint64(2))
