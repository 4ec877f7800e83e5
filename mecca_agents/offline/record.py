"""Episodes of an agent, written as a Minari data set."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from mecca_agents.runtime.stopping import Stopped, StopRequest

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec

    from mecca_agents.agent import Agent
    from mecca_env.vector_env import MeccaVectorEnv

_HOW = ("num_envs", "vectorization_mode", "autoreset_mode", "device", "device_cache_bytes", "prefetch", "render_mode")
"""Keywords of an env that say how and not what it plays."""


_DESCRIPTION = (
    "Interactive segmentation of {dataset} by {algorithm}, user {user}; every voxel is an agent. Observations hold the "
    "scan, the probability of foreground and the hint of clicks; infos/voxel_reward is what every voxel has earned. "
    "Labels are not part of it."
)


def record(
    agent: Agent,
    envs: MeccaVectorEnv,
    dataset: str,
    *,
    episodes: int,
    algorithm: str = "",
    seed: int = 0,
    overwrite: bool = False,
) -> Path:
    """Let an agent play, and write its episodes as a Minari data set; stopped before the end, none is left.

    Who clicks is a setting of `envs`: a simulated user by name, or any object with a `click`, a person behind it.

    Args:
        agent: Who acts.
        envs: An environment of one episode that never resets by itself (`autoreset_mode="Disabled"`).
        dataset: Minari id of the data set.
        episodes: How many. The k-th is of the k-th case, from the first again after the last, with seed `seed + k`:
            the single env begins it again with `reset(seed=..., options={"case": ...})`, both kept with the episode.
        algorithm: Name of the agent.
        seed: Of the first episode.
        overwrite: Replace a data set of this id.

    Returns:
        The data set's folder.

    Raises:
        ImportError: Minari is not installed.
        mecca_agents.offline.minari_writer.DatasetError: The id is none, or there is such a data set already.
        mecca_agents.runtime.stopping.Stopped: Ctrl-C or SIGTERM came; a `KeyboardInterrupt`.
        OSError: There is no more space on the disk, for instance.
    """
    from tqdm import tqdm

    from mecca_agents.offline.minari_writer import DatasetWriter
    from mecca_agents.offline.recorder import play_episodes
    from mecca_env.arguments import read_count

    count = read_count("episodes", episodes)
    spec, test_spec = specs_of(envs)
    user = envs.config.user if isinstance(envs.config.user, str) else type(envs.config.user).__name__
    writer = DatasetWriter(
        dataset,
        envs.single_observation_space,
        envs.single_action_space,
        spec=spec,
        test_spec=test_spec,
        algorithm=algorithm or type(agent).__name__,
        description=_DESCRIPTION.format(dataset=envs.dataset.name, algorithm=algorithm, user=user),
        overwrite=overwrite,
    )
    with writer, StopRequest() as request:
        for episode in tqdm(play_episodes(agent, envs, count, seed), total=count, unit="episode", disable=None):
            writer.add(episode)
            if request.signal and writer.episodes < count:
                done = f"stopped by {request.signal.name} after {writer.episodes} of {count} episodes"
                raise Stopped(f"{done}; nothing of them was kept", request.signal)
    return writer.path


def specs_of(envs: MeccaVectorEnv) -> tuple[EnvSpec | None, EnvSpec | None]:
    """The specs that make the single env of the same settings, and that of its test split; None where no text can."""
    if envs.spec is None:
        return None, None
    specs = []
    for changes in ({}, {"split": "test", "cases": None}):
        spec = copy.deepcopy(envs.spec)
        kept = {key: value for key, value in spec.kwargs.items() if key not in _HOW} | changes
        spec.kwargs = {key: os.fspath(v) if isinstance(v, os.PathLike) else v for key, v in kept.items()}
        specs.append(spec)
    try:
        json.dumps([spec.kwargs for spec in specs])
    except TypeError:  # a user of one's own, for instance
        return None, None
    return specs[0], specs[1]
