"""The base of the wrappers: autoreset modes, and spaces batched when asked for."""

from __future__ import annotations

from typing import Any, TypeAlias

import gymnasium as gym
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

Result: TypeAlias = tuple[Any, Any, Any, Any, dict[str, Any]]
"""Observations, rewards, terminations, truncations, info."""


class TorchWrapper(VectorWrapper):
    """A wrapper that says which autoreset mode it is in, as libraries ask, and batches spaces when asked for them.

    Args:
        env: A vector env whose arrays are torch tensors, its `final_obs` batched like its observations.

    Raises:
        TypeError: `env` is no vector env.
        ValueError: It does not say its autoreset mode.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        super().__init__(env)
        mode = env.metadata.get("autoreset_mode")
        if not isinstance(mode, AutoresetMode):
            raise ValueError(f"metadata['autoreset_mode']: expected an AutoresetMode, got {mode!r}")
        self.autoreset_mode = mode

    @property  # type: ignore[misc]
    def observation_space(self) -> gym.Space[Any]:  # type: ignore[override]
        """The batched observation space; made when asked for, since it takes ten bytes for every number in it."""
        if self._single_observation_space is None:
            return self.env.observation_space
        if self._observation_space is None:
            self._observation_space = batch_space(self._single_observation_space, self.num_envs)
        return self._observation_space

    @property  # type: ignore[misc]
    def action_space(self) -> gym.Space[Any]:  # type: ignore[override]
        """The batched action space; likewise."""
        if self._single_action_space is None:
            return self.env.action_space
        if self._action_space is None:
            self._action_space = batch_space(self._single_action_space, self.num_envs)
        return self._action_space
