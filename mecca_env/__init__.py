"""Interactive 3-D medical image segmentation as a Gymnasium environment family.

Importing this package registers the ids, each with a single and a vector entry point:

    import gymnasium as gym
    import mecca_env

    env = gym.make("MECCA-Phantom-v0")
    envs = gym.make_vec("MECCA-Phantom-v0", num_envs=8)
"""

from __future__ import annotations

import gymnasium as gym

from mecca_env.data.base import DataError, PreparedCase, Scan, VolumeSource
from mecca_env.process.config import EnvConfig
from mecca_env.process.contracts import Hint, Reward, SimulatedUser
from mecca_env.state import State
from mecca_env.tensors.forked import keep_to_one_thread

__version__ = "0.1.0"

ENV_IDS = {
    f"MECCA-{dataset}-v0": dataset
    for dataset in (
        "BraTS",
        "BraTS2015",
        "LeftAtrium",
        "Spleen",
        "Liver",
        "Hippocampus",
        "Volumes",
        "Phantom",
        "Shapes",
        "Stream",
    )
}
"""Every environment id and the key of its data set."""


def register() -> None:
    """Register every id of `ENV_IDS` with Gymnasium; done on import, harmless when done again.

    No id has `max_episode_steps`: episodes end by themselves after `horizon` steps, and a time limit would mark that
    end as truncated and make learners bootstrap from it. The spec of an env that was made names its horizon, for
    wrappers that ask.
    """
    for env_id, dataset in ENV_IDS.items():
        if env_id not in gym.registry:
            gym.register(
                id=env_id,
                entry_point="mecca_env.env:MeccaEnv",
                vector_entry_point="mecca_env.vector_env:MeccaVectorEnv",
                kwargs={"dataset": dataset},
            )


register()
keep_to_one_thread()  # or an AsyncVectorEnv would hang

__all__ = [
    "ENV_IDS",
    "DataError",
    "EnvConfig",
    "Hint",
    "PreparedCase",
    "Reward",
    "Scan",
    "SimulatedUser",
    "State",
    "VolumeSource",
    "register",
]
