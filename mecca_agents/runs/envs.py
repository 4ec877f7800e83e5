"""The environments that runs play in."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

import mecca_env
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
