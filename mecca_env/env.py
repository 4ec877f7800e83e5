"""The single environment: the vector env with one episode, NumPy in and out."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.actions import batch_of_one
from mecca_env.arguments import for_several, read_seed, refuse_keywords_of_several
from mecca_env.data.base import VolumeSource
from mecca_env.process.config import EnvConfig
from mecca_env.vector_env import MeccaVectorEnv

Observation = dict[str, NDArray[np.float32]]


class MeccaEnv(gym.Env[Observation, Any]):
    """Interactive segmentation of one volume, every voxel an agent.

    Observations, actions, rewards and infos are those of `mecca_env.vector_env.MeccaVectorEnv` without the batch axis,
    as NumPy arrays and Python numbers that belong to the caller.

    Its spec says how long an episode can be, `max_episode_steps`, for wrappers that ask for it; `gym.make` adds no
    `TimeLimit` for that, but an env that is made again from the spec has one, so that its last step is also truncated.

    Args:
        **keywords: Those of `MeccaVectorEnv`, but `num_envs` and `autoreset_mode`.

    Raises:
        ValueError, TypeError, mecca_env.data.base.DataError: As `MeccaVectorEnv`.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        key: value for key, value in MeccaVectorEnv.metadata.items() if key != "autoreset_mode"
    }

    def __init__(self, **keywords: Any) -> None:
        refuse_keywords_of_several(keywords)
        self.vector = MeccaVectorEnv(num_envs=1, autoreset_mode=AutoresetMode.DISABLED, **keywords)
        self.render_mode = self.vector.render_mode
        self.observation_space = self.vector.single_observation_space
        self.action_space = self.vector.single_action_space

    @property
    def config(self) -> EnvConfig:
        """Settings of the decision process."""
        return self.vector.config

    @property
    def dataset(self) -> VolumeSource:
        """The source of the cases; `dataset.name` says "phantom" where that stands in for something else."""
        return self.vector.dataset

    @property
    def spec(self) -> EnvSpec | None:
        """What `gym.make` was asked for, with the horizon as `max_episode_steps`."""
        return self.vector.spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        spec = copy.copy(spec)
        if spec is not None and spec.max_episode_steps is None:
            spec.max_episode_steps = self.config.horizon
        self.vector.spec = spec

    @property
    def np_random(self) -> np.random.Generator:
        """The env's generator; one that is set is drawn from by the next reset."""
        return self.vector.np_random[0]

    @np_random.setter
    def np_random(self, value: np.random.Generator) -> None:
        self.vector.np_random = (value,)

    _np_random = np_random  # Gymnasium's checker looks at it

    @property
    def np_random_seed(self) -> int:
        """The env's seed, -1 where its generator was set."""
        return self.vector.np_random_seed[0]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin a new episode.

        Args:
            seed: Seeds everything the env draws; None goes on with the present generator.
            options: `case` names the case, by name or index; otherwise it is drawn. `mask` is what to go on from, on
                the scan's own grid (X, Y, Z).

        Raises:
            ValueError: A seed, option, case or mask does not fit.
        """
        observation, info = self.vector.reset(seed=read_seed(seed), options=for_several(options))
        return _numpy(observation), _unbatched(info)

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Every voxel acts; `action` is (D, H, W), or a dict of such with `guide=True`. Raises as the vector env."""
        given = batch_of_one(action, self.config)
        observation, reward, terminated, truncated, info = self.vector.step(given)
        return _numpy(observation), float(reward[0]), bool(terminated[0]), bool(truncated[0]), _unbatched(info)

    def render(self) -> NDArray[np.uint8] | None:
        """An RGB frame, (height, width, 3) uint8; None in "human" mode, and with a warning without a mode."""
        frames = self.vector.render()
        return None if frames is None else frames[0]

    def paste_back(self, grid: Tensor | None = None) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """The current mask, or the one of `grid` (D, H, W), on the scan's own grid, and the scan's affine."""
        return self.vector.paste_back(0, grid)

    def close(self) -> None:
        """Close the window, if any; nothing works after it."""
        if not self.vector.closed:
            self.vector.close()


def _numpy(observation: dict[str, Tensor]) -> Observation:
    return {key: value[0].cpu().numpy().copy() for key, value in observation.items()}


def _unbatched(info: dict[str, Any]) -> dict[str, Any]:
    return {k: v[0].item() if v.ndim == 1 else v[0].cpu().numpy().copy() for k, v in info.items()}
