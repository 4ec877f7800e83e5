"""The last few observations of an episode side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from torch import Tensor

from mecca_env.arguments import read_count
from mecca_env.wrappers.base import Result, TorchWrapper


class StackObservation(TorchWrapper):
    """Observations (B, length, ...), the newest last; at the start of an episode the first one stands for all before.

    Args:
        env: A torch vector env whose observations are a box, or a dict of boxes.
        length: How many observations.
        keys: Which entries of a dict are stacked; None: all. The scan is the same throughout an episode, so
            `("probability", "hint")` saves its memory.

    Raises:
        ValueError: Observations are something else, a key is unknown, or `length` is below 1.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], length: int, keys: Sequence[str] | None = None) -> None:
        super().__init__(env)
        self.length = read_count("length", length)
        space = env.single_observation_space
        parts = dict(space.spaces) if isinstance(space, spaces.Dict) else {"": space}
        self._nested = isinstance(space, spaces.Dict)
        self._keys = tuple(parts) if keys is None else tuple(keys)
        unknown = sorted(set(self._keys) - set(parts))
        if unknown or not self._keys:
            raise ValueError(f"keys: expected some of {sorted(parts)}, got {self._keys}")
        stacked = {key: self._stacked(key, part) if key in self._keys else part for key, part in parts.items()}
        self.single_observation_space = spaces.Dict(stacked) if self._nested else stacked[""]
        self._stacks: dict[str, Tensor] = {}
        self._over: Tensor | None = None  # next-step autoreset: envs whose next step begins an episode

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the env's; stacks of envs outside `options["reset_mask"]` stay."""
        mask = (options or {}).get("reset_mask")
        observations, info = self.env.reset(seed=seed, options=options)
        seen = self._parts(observations)
        begun = None if mask is None else torch.as_tensor(mask, device=next(iter(seen.values())).device)
        self._stacks = self._begin(seen, begun)
        self._over = None
        return self._whole(seen, self._stacks), info

    def step(self, actions: Any) -> Result:
        """As the env's."""
        observations, rewards, terminated, truncated, info = self.env.step(actions)
        seen, before = self._parts(observations), self._stacks
        self._stacks = self._push(before, seen)
        if "final_obs" in info:
            final = self._parts(info["final_obs"])
            info = info | {"final_obs": self._whole(final, self._push(before, final))}
            self._stacks = self._begin(seen, info["_final_obs"])
        if self.autoreset_mode is AutoresetMode.NEXT_STEP:
            if self._over is not None:
                self._stacks = self._begin(seen, self._over)
            self._over = terminated | truncated
        return self._whole(seen, self._stacks), rewards, terminated, truncated, info

    def _stacked(self, key: str, part: gym.Space[Any]) -> spaces.Box:
        if not isinstance(part, spaces.Box):
            raise ValueError(f"observation space: expected a Box, or a Dict of them, got {part} {key}".rstrip())
        low, high = (np.repeat(bound[None], self.length, axis=0) for bound in (part.low, part.high))
        return spaces.Box(low, high, dtype=part.dtype)

    def _push(self, stacks: dict[str, Tensor], seen: dict[str, Tensor]) -> dict[str, Tensor]:
        """The stacks one observation later; those handed out stay what they are."""
        return {key: torch.cat((stacks[key][:, 1:], seen[key].unsqueeze(1)), dim=1) for key in self._keys}

    def _begin(self, seen: dict[str, Tensor], begun: Tensor | None) -> dict[str, Tensor]:
        """The stacks where envs in `begun` (B,) bool have just been reset; None: all of them."""
        filled = {key: torch.stack([seen[key]] * self.length, dim=1) for key in self._keys}
        if begun is None:
            return filled
        rows = {key: begun.view(-1, *[1] * (stack.ndim - 1)) for key, stack in filled.items()}
        return {key: torch.where(rows[key], filled[key], self._stacks[key]) for key in self._keys}

    def _parts(self, observations: Any) -> dict[str, Tensor]:
        return observations if self._nested else {"": observations}

    def _whole(self, seen: dict[str, Tensor], stacks: dict[str, Tensor]) -> Any:
        return seen | stacks if self._nested else stacks[""]
