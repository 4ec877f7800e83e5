"""Base classes of the wrappers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypeAlias

import gymnasium as gym
import torch
from gymnasium import spaces
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


class ObservationWrapper(TorchWrapper, ABC):
    """A wrapper that makes something else of every observation, of the last one of an episode too."""

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the env's, with other observations."""
        observations, info = self.env.reset(seed=seed, options=options)
        return self.observations(observations), info

    def step(self, actions: Any) -> Result:
        """As the env's, with other observations."""
        observations, rewards, terminated, truncated, info = self.env.step(actions)
        if "final_obs" in info:
            info = info | {"final_obs": self.observations(info["final_obs"])}
        return self.observations(observations), rewards, terminated, truncated, info

    @abstractmethod
    def observations(self, observations: Any) -> Any:
        """The observations that are made of a batch of them."""


def leaves(space: gym.Space[Any], name: str) -> list[tuple[tuple[str, ...], spaces.Box]]:
    """The boxes of a space with the keys that lead to them, in the order of Gymnasium's `flatten`.

    Args:
        space: A box, or dicts of boxes.
        name: What the space is of, for the message.

    Raises:
        ValueError: There is something else in it.
    """
    if isinstance(space, spaces.Box):
        return [((), space)]
    if not isinstance(space, spaces.Dict):
        raise ValueError(f"{name} space: expected a Box, or a Dict of them, got {space}")
    return [((key, *path), box) for key, part in space.items() for path, box in leaves(part, name)]


def at(tree: Any, path: tuple[str, ...]) -> torch.Tensor:
    """The tensor that those keys lead to."""
    for key in path:
        tree = tree[key]
    assert isinstance(tree, torch.Tensor)
    return tree
