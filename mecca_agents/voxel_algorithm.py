"""What `VoxelPPO` and `VoxelA2C` share: Stable-Baselines3's interface over rewards and values of every voxel."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.utils import FloatSchedule
from stable_baselines3.common.vec_env import VecCheckNan, VecEnv, VecEnvWrapper, VecMonitor, VecVideoRecorder
from torch import Tensor, nn

from mecca_agents.network_agent import check_finite
from mecca_agents.voxel_buffer import VoxelRolloutBuffer, VoxelStep
from mecca_agents.voxel_policy import VoxelActorCriticPolicy
from mecca_env.adapters.sb3 import VoxelVecEnv
from mecca_env.arguments import read_count

Schedule: TypeAlias = float | Callable[[float], float]
"""A number, or a function of the share of the training that remains, from 1 to 0."""

_NAMES = {"total": "loss", "policy": "policy_loss", "value": "value_loss", "clipped": "clip_fraction"}
Policy: TypeAlias = str | type[VoxelActorCriticPolicy]


class VoxelAlgorithm(OnPolicyAlgorithm):  # type: ignore[misc]
    """An on-policy algorithm in which every voxel has its own reward, value and advantage.

    `learn`, `predict`, `save`, `load`, callbacks and logs are Stable-Baselines3's. What is played stays in tensors on
    the env's device. See `VoxelPPO` for the arguments.

    Attributes:
        rollout_buffer: What was played last.

    Raises:
        TypeError: The env is no vector env of this package.
        ValueError: The env cannot be learned from, or a number is out of range; the message says what to change.
    """

    policy_aliases: ClassVar[dict[str, type[Any]]] = {"VoxelPolicy": VoxelActorCriticPolicy}
    policy: VoxelActorCriticPolicy
    rollout_buffer: VoxelRolloutBuffer
    policy_kwargs: dict[str, Any]

    def __init__(self, policy: Policy, env: Any, *, n_steps: int, balance: Schedule, **keywords: Any) -> None:
        for name in ("gamma", "gae_lambda"):
            if not 0 <= keywords[name] <= 1:
                raise ValueError(f"{name}: expected a number from 0 to 1, got {keywords[name]!r}")
        self.balance = balance
        super().__init__(
            policy,
            env,
            n_steps=read_count("n_steps", n_steps),
            use_sde=False,
            sde_sample_freq=-1,
            rollout_buffer_class=VoxelRolloutBuffer,
            **keywords,
        )

    @abstractmethod
    def train(self) -> None:
        """Learn from what was played."""

    def collect_rollouts(
        self, env: VecEnv, callback: Any, rollout_buffer: VoxelRolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """Play `n_rollout_steps` steps in every env and work out what is learned from them.

        Returns:
            False where a callback wants the training to end.
        """
        view = voxel_env(env)
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        self._dice: list[float] = []
        callback.on_rollout_start()
        while not rollout_buffer.full:
            rollout_buffer.add(self._play(env, view))
            callback.update_locals({**locals(), "infos": self._infos, "dones": self._last_episode_starts})
            if not callback.on_step():
                return False
        rollout_buffer.finish(
            self._values(view.observation), FloatSchedule(self.balance)(self._current_progress_remaining)
        )
        if self._dice:
            self.logger.record("rollout/dice", float(np.mean(self._dice)))
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def _play(self, env: VecEnv, view: VoxelVecEnv) -> VoxelStep:
        """One step of every env, with sampled actions."""
        state, seen = view.base.state, view.observation
        with torch.no_grad():
            policy, value = self.policy.policy_and_value(self._on_device(seen))
            action = self.policy.choose(policy, deterministic=False)
        flat = action.flatten(1)
        self._last_obs, _, done, self._infos = env.step(flat.cpu().numpy() if view.numpy else flat)
        self.num_timesteps += env.num_envs
        self._last_episode_starts = done
        self._update_info_buffer(self._infos, done)
        self._dice += [info["dice"] for info, over in zip(self._infos, done, strict=True) if over]
        over = torch.from_numpy(done)
        played = (action, policy.log_prob(action), value, view.last_info["voxel_reward"], over)
        return VoxelStep(self._on_device(seen), *(t.to(self.device) for t in (*played, state.label, state.labelled)))

    def _values(self, observation: dict[str, Tensor]) -> Tensor:
        with torch.no_grad():
            return self.policy.policy_and_value(self._on_device(observation))[1]

    def _on_device(self, observation: dict[str, Tensor]) -> dict[str, Tensor]:
        return {key: values.to(self.device) for key, values in observation.items()}

    def _descend(self, loss: Tensor) -> float:
        """One step of the optimiser; the gradient's norm before it was clipped.

        Raises:
            FloatingPointError: Loss or gradient is not finite; nothing is updated.
        """
        check_finite("loss", float(loss.detach()))
        self.policy.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = float(nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm))
        check_finite("gradient", norm)
        self.policy.optimizer.step()
        return norm

    def _record(self, numbers: dict[str, float]) -> None:
        """Log an update, under Stable-Baselines3's names where it has one."""
        self._n_updates += 1
        for key, value in numbers.items():
            self.logger.record(f"train/{_NAMES.get(key, key)}", value)
        self.logger.record("train/explained_variance", self.rollout_buffer.explained_variance())
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")

    def _setup_model(self) -> None:
        if self.env is not None:
            self.policy_kwargs = {"adjustments": voxel_env(self.env).base.config.adjustments, **self.policy_kwargs}
        super()._setup_model()

    def _excluded_save_params(self) -> list[str]:
        """What a file need not hold: where the env stands, which `load` begins anew."""
        playing = ["_last_obs", "_last_episode_starts", "_infos", "_dice"]
        return [*super()._excluded_save_params(), *playing]

    @staticmethod
    def _wrap_env(env: Any, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        """A vector env as Stable-Baselines3 wants it, with its observations left on the device."""
        if isinstance(env, VectorEnv):
            env = VoxelVecEnv(env, numpy=False)
            env = VecMonitor(env) if monitor_wrapper else env
        voxel_env(env)
        return env


def voxel_env(env: Any) -> VoxelVecEnv:
    """The `VoxelVecEnv` under wrappers that change nothing.

    Raises:
        TypeError: There is none.
        ValueError: A wrapper might change observations or rewards, which are read from the env itself.
    """
    layer = env
    while isinstance(layer, VecEnvWrapper):
        if not isinstance(layer, (VecMonitor, VecCheckNan, VecVideoRecorder)):
            raise ValueError(
                "env: expected no wrapper but VecMonitor, VecCheckNan and VecVideoRecorder, since rewards and "
                f"observations are read from the env itself, got {type(layer).__name__}"
            )
        layer = layer.venv
    if not isinstance(layer, VoxelVecEnv):
        raise TypeError(f"env: expected gym.make_vec(...) of mecca_env or its VoxelVecEnv, got {type(layer).__name__}")
    return layer


def averages(found: Iterable[dict[str, Tensor]]) -> dict[str, float]:
    """The mean of each number over all optimiser steps; fetched from the device at the end."""
    rows = list(found)
    return {key: float(torch.stack([row[key] for row in rows]).mean()) for key in rows[0]}
