"""The single environment: the vector env with one episode, NumPy in and out."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.arguments import read_autoreset_mode
from mecca_env.data.base import VolumeSource
from mecca_env.process.config import EnvConfig
from mecca_env.vector_env import MeccaVectorEnv

Observation = dict[str, NDArray[np.float32]]


class MeccaEnv(gym.Env[Observation, Any]):
    """Interactive segmentation of one volume, every voxel an agent.

    Observations, actions, rewards and infos are those of `mecca_env.vector_env.MeccaVectorEnv` without the batch axis,
    as NumPy arrays and Python numbers that belong to the caller.

    Args:
        **keywords: Those of `MeccaVectorEnv`. `autoreset_mode` is accepted, so that the same keywords make both kinds,
            and has no effect: a single environment never resets itself.

    Raises:
        ValueError, TypeError, mecca_env.data.base.DataError: As `MeccaVectorEnv`.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        key: value for key, value in MeccaVectorEnv.metadata.items() if key != "autoreset_mode"
    }

    def __init__(self, **keywords: Any) -> None:
        read_autoreset_mode(keywords.pop("autoreset_mode", AutoresetMode.DISABLED))
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

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin a new episode.

        Args:
            seed: Seeds everything the env draws; None goes on with the present generator.
            options: `case` names the case, by name or index; otherwise it is drawn.
        """
        options = dict(options or {})
        if "case" in options:
            options["cases"] = [options.pop("case")]
        observation, info = self.vector.reset(seed=None if seed is None else [seed], options=options)
        self._np_random, self._np_random_seed = self.vector.np_random[0], self.vector.np_random_seed[0]
        return _numpy(observation), _unbatched(info)

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Every voxel acts; `action` is (D, H, W), or a dict of such with `guide=True`. Raises as the vector env."""
        batched = {k: _batched(v) for k, v in action.items()} if isinstance(action, dict) else _batched(action)
        observation, reward, terminated, truncated, info = self.vector.step(batched)
        return _numpy(observation), float(reward[0]), bool(terminated[0]), bool(truncated[0]), _unbatched(info)

    def render(self) -> NDArray[np.uint8] | None:
        """An RGB frame, (height, width, 3) uint8; None in "human" mode."""
        frames = self.vector.render()
        return None if frames is None else frames[0]

    def paste_back(self, grid: Tensor | None = None) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """The current mask, or the one of `grid` (D, H, W), on the scan's own grid, and the scan's affine."""
        return self.vector.paste_back(0, grid)

    def close(self) -> None:
        """Close the window, if any; nothing works after it."""
        if not self.vector.closed:
            self.vector.close()


def _batched(action: Any) -> Any:
    return action[None] if isinstance(action, Tensor) else np.asarray(action)[None]


def _numpy(observation: dict[str, Tensor]) -> Observation:
    return {key: value[0].cpu().numpy().copy() for key, value in observation.items()}


def _unbatched(info: dict[str, Any]) -> dict[str, Any]:
    return {k: v[0].item() if v.ndim == 1 else v[0].cpu().numpy().copy() for k, v in info.items()}
