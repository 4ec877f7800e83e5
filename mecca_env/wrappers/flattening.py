"""Actions as one row of numbers for each env."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import VectorEnv

from mecca_env.wrappers.base import Result, TorchWrapper


class FlattenAction(TorchWrapper):
    """Actions (B, n), n the number of voxels, where the env takes (B, D, H, W).

    Args:
        env: A vector env whose actions are arrays.

    Raises:
        ValueError: They are something else: the env was made with `guide=True`, say.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        super().__init__(env)
        space = env.single_action_space
        if isinstance(space, spaces.Dict) and "confidence" in space.spaces:
            raise ValueError("guide: expected an env made with guide=False, whose action is one array, got guide=True")
        self._shape = (self.num_envs, *(space.shape or ()))
        self.single_action_space = _flat(space)

    def step(self, actions: Any) -> Result:
        """As the env's; `actions` is (B, n), torch or NumPy. Raises `ValueError` for another shape."""
        given = actions if isinstance(actions, torch.Tensor) else np.asarray(actions)
        expected = (self.num_envs, *(self.single_action_space.shape or ()))
        if tuple(given.shape) != expected:
            raise ValueError(f"action: expected shape {expected}, got {tuple(given.shape)}")
        return self.env.step(given.reshape(self._shape))


def _flat(space: gym.Space[Any]) -> gym.Space[Any]:
    """The space with one axis."""
    if isinstance(space, spaces.MultiDiscrete):
        return spaces.MultiDiscrete(space.nvec.reshape(-1), dtype=space.dtype, start=space.start.reshape(-1))
    if isinstance(space, spaces.Box):
        return spaces.Box(space.low.reshape(-1), space.high.reshape(-1), dtype=space.dtype)
    raise ValueError(f"action space: expected a MultiDiscrete or a Box, got {space}")
