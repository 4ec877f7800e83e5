"""The rollout of a Stable-Baselines3 algorithm, voxel by voxel, in tensors that stay on the device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from gymnasium import spaces
from torch import Tensor

from mecca_agents.algorithms.ppo import Experience
from mecca_agents.learning.a2c import class_weights, returns


class VoxelStep(NamedTuple):
    """One step of B envs, without gradients."""

    observation: dict[str, Tensor]  # what was acted on, (B, D, H, W) each
    action: Tensor  # (B, D, H, W) int64
    log_prob: Tensor  # of that action, (B, D, H, W)
    value: Tensor  # of the state acted in, (B, D, H, W)
    reward: Tensor  # of every voxel, (B, D, H, W)
    done: Tensor  # whether the episode ended with that step, (B,) bool
    label: Tensor  # foreground, (B, D, H, W) bool; for the weights of the classes alone
    labelled: Tensor  # whether the reward means anything, (B,) bool


class VoxelRolloutBuffer:
    """T steps of B envs: reward, value, advantage and log-probability for every voxel.

    It takes the place of Stable-Baselines3's buffer, whose arrays are NumPy's and hold one number for each volume. What
    `add` is given is kept, not copied: tensors of the env never change.

    Args:
        buffer_size: T.
        observation_space: Not used; the places of arguments are Stable-Baselines3's.
        action_space: Likewise.
        device: Where the minibatches go.
        gae_lambda: Lambda of the returns.
        gamma: Discount.
        n_envs: B.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        device: torch.device | str = "cpu",
        gae_lambda: float = 1.0,
        gamma: float = 0.99,
        n_envs: int = 1,
    ) -> None:
        self.buffer_size, self.n_envs, self.device = buffer_size, n_envs, torch.device(device)
        self.gae_lambda, self.gamma = gae_lambda, gamma
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._steps: list[VoxelStep] = []
        self._played: tuple[dict[str, Tensor], Experience] | None = None

    @property
    def full(self) -> bool:
        """Whether T steps are in it."""
        return len(self._steps) == self.buffer_size

    def add(self, step: VoxelStep) -> None:
        """Keep a step. Raises `ValueError` where it is full."""
        if self.full:
            raise ValueError(f"expected {self.buffer_size} steps, got one more; call reset() first")
        self._steps.append(step)

    def finish(self, bootstrap: Tensor, balance: float = 0.0) -> None:
        """Work out returns, advantages and weights.

        Args:
            bootstrap: Value of the states after the last step, (B, D, H, W); it counts where no episode ended there.
            balance: How far the rarer of foreground and background is weighted up (`learning.a2c.class_weights`).
        """
        columns = zip(*(step[1:] for step in self._steps), strict=True)
        action, log_prob, value, reward, done, label, labelled = (torch.stack(part) for part in columns)
        target = returns(reward, done, value, bootstrap, self.gamma, self.gae_lambda)
        weight = class_weights(label, labelled[:, :, None, None, None], balance)
        seen = {key: torch.cat([step.observation[key] for step in self._steps]) for key in self._steps[0].observation}
        parts = (action, log_prob, target - value, target, weight)
        self._played = seen, Experience(*(part.flatten(0, 1) for part in parts))

    def all(self) -> tuple[dict[str, Tensor], Experience]:
        """Observations of all volumes played, step after step, and what was made of them, (T * B, D, H, W) each."""
        assert self._played is not None, "finish() comes before this"
        return self._played

    def get(self, batch_size: int) -> Iterator[tuple[dict[str, Tensor], Experience]]:
        """Every volume once, in a new order, by torch's generator.

        Args:
            batch_size: Volumes at a time, N.

        Yields:
            Some of `all()`, (N, D, H, W) each.
        """
        seen, experience = self.all()
        order = torch.randperm(len(experience.action))  # on the host, so that it is the same for every device
        for rows in torch.split(order, batch_size):
            chosen = rows.to(self.device)
            yield {k: values[chosen] for k, values in seen.items()}, Experience(*(part[chosen] for part in experience))

    def explained_variance(self) -> float:
        """Share of the returns' variance that the values explain; NaN where the returns are all the same."""
        _, experience = self.all()
        variance = experience.target.var()
        return float(1.0 - experience.advantage.var() / variance) if variance > 0 else float("nan")
