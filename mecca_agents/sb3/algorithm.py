"""The base of `VoxelPPO` and `VoxelA2C`: Stable-Baselines3's interface over rewards and values of every voxel."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
from gymnasium.vector import VectorEnv, VectorRewardWrapper
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.utils import FloatSchedule
from stable_baselines3.common.vec_env import VecCheckNan, VecEnv, VecEnvWrapper, VecMonitor, VecVideoRecorder
from torch import Tensor, nn

from mecca_agents.learning.network_agent import check_finite
from mecca_agents.sb3.buffer import VoxelRolloutBuffer, VoxelStep
from mecca_agents.sb3.policy import VoxelActorCriticPolicy
from mecca_env.adapters.sb3 import VoxelVecEnv
from mecca_env.arguments import read_count

Schedule: TypeAlias = float | Callable[[float], float]
"""A number, or a function of the share of the training that remains, from 1 to 0."""

Policy: TypeAlias = str | type[VoxelActorCriticPolicy]

_NAMES = {"total": "loss", "policy": "policy_loss", "value": "value_loss", "clipped": "clip_fraction"}


class VoxelAlgorithm(OnPolicyAlgorithm):  # type: ignore[misc]
    """An on-policy algorithm in which every voxel has its own reward, value and advantage.

    `learn`, `predict`, `save`, `load`, callbacks and logs are Stable-Baselines3's. What is played stays in tensors on
    the policy's device; only numbers, one for each volume, come to the host. Nothing is expected to come after an
    episode that was cut short (`max_episode_steps`).

    Args:
        policy: "VoxelPolicy" or a subclass of `mecca_agents.sb3.VoxelActorCriticPolicy`.
        env: `gym.make_vec(...)` of this package, or a `mecca_env.adapters.sb3.VoxelVecEnv`, below `VecMonitor`,
            `VecCheckNan` (which wants `numpy=True`) and `VecVideoRecorder` if need be; discrete actions, same-step
            autoreset, no guide.
        learning_rate: Adam's; a number, or a function of the share of the training that remains, like all schedules.
        n_steps: Steps of every env between two updates, T; 5 are an episode.
        gamma: Discount (Sec. 4.1).
        gae_lambda: Lambda of generalised advantage estimation.
        ent_coef: Weight of the entropy bonus.
        vf_coef: Weight of the critic's loss (V - R)^2 / 2.
        max_grad_norm: Gradients are scaled down to this norm at most.
        balance: How far the rarer of foreground and background is weighted up, 0 to 1, a schedule
            (`mecca_agents.learning.a2c.class_weights`).
        policy_kwargs: What the policy is made with, `{"channels": 16}` for one; `adjustments` are the env's.
        **common: `verbose`, `seed`, `device`, `tensorboard_log` and `stats_window_size`, as Stable-Baselines3 has them.

    Attributes:
        rollout_buffer: What was played last.

    Raises:
        TypeError: The env is no vector env of this package, or an argument is unknown.
        ValueError: The env cannot be learned from, or a number is out of range; the message says what to change.
    """

    policy_aliases: ClassVar[dict[str, type[Any]]] = {"VoxelPolicy": VoxelActorCriticPolicy}
    policy: VoxelActorCriticPolicy
    rollout_buffer: VoxelRolloutBuffer
    policy_kwargs: dict[str, Any]

    def __init__(
        self,
        policy: Policy,
        env: Any,
        learning_rate: Schedule = 1e-3,
        *,
        n_steps: int = 5,
        gamma: float = 0.95,
        gae_lambda: float = 0.5,
        ent_coef: float = 1e-3,
        vf_coef: float = 0.5,
        max_grad_norm: float = 10.0,
        balance: Schedule = 0.0,
        policy_kwargs: dict[str, Any] | None = None,
        **common: Any,
    ) -> None:
        for name, value in (("gamma", gamma), ("gae_lambda", gae_lambda)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name}: expected a number from 0 to 1, got {value!r}")
        self.balance = balance
        super().__init__(
            policy,
            env,
            learning_rate,
            n_steps=read_count("n_steps", n_steps),
            gamma=gamma,
            gae_lambda=gae_lambda,
            ent_coef=ent_coef,
            vf_coef=vf_coef,
            max_grad_norm=max_grad_norm,
            policy_kwargs=policy_kwargs,
            use_sde=False,
            sde_sample_freq=-1,
            rollout_buffer_class=VoxelRolloutBuffer,
            **common,
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
        view, ends = voxel_env(env), list[float]()
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        callback.on_rollout_start()
        while not rollout_buffer.full:
            step, rewards, dones, infos = self._play(env, view)
            rollout_buffer.add(step)
            ends += [info["dice"] for info, done in zip(infos, dones, strict=True) if done and info["labelled"]]
            callback.update_locals(locals())
            if not callback.on_step():
                return False
        bootstrap = self.policy.predict_voxels(self._on_device(view.observation))
        rollout_buffer.finish(bootstrap, FloatSchedule(self.balance)(self._current_progress_remaining))
        if ends:
            self.logger.record("rollout/dice", float(np.mean(ends)))
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def _play(self, env: VecEnv, view: VoxelVecEnv) -> tuple[VoxelStep, Any, Any, list[dict[str, Any]]]:
        """One step of every env, with sampled actions; what Stable-Baselines3 says of it besides."""
        state, seen = view.base.state, self._on_device(view.observation)
        with torch.no_grad():
            policy, value = self.policy.policy_and_value(seen)
            action = policy.sample()
        flat = action.flatten(1)
        self._last_obs, rewards, dones, infos = env.step(flat.cpu().numpy() if view.numpy else flat)
        self._last_episode_starts = dones
        self.num_timesteps += env.num_envs
        self._update_info_buffer(infos, dones)
        rest = (view.last_info["voxel_reward"], torch.from_numpy(dones), state.label, state.labelled)
        step = VoxelStep(seen, action, policy.log_prob(action), value, *(part.to(self.device) for part in rest))
        return step, rewards, dones, infos

    def _on_device(self, observation: dict[str, Tensor]) -> dict[str, Tensor]:
        return {key: values.to(self.device) for key, values in observation.items()}

    def _descend(self, loss: Tensor) -> None:
        """One step of the optimiser.

        Raises:
            FloatingPointError: Loss or gradient is not finite; nothing is updated.
        """
        check_finite("loss", float(loss.detach()))
        self.policy.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        check_finite("gradient", float(nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)))
        self.policy.optimizer.step()

    def _record(self, found: Iterable[dict[str, Tensor]]) -> None:
        """Log the means over an update's optimiser steps, under Stable-Baselines3's names where it has one."""
        rows = list(found)
        for key in rows[0]:
            mean = torch.stack([row[key].detach() for row in rows]).mean()
            self.logger.record(f"train/{_NAMES.get(key, key)}", float(mean))
        self._n_updates += 1
        self.logger.record("train/explained_variance", self.rollout_buffer.explained_variance())
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")

    def _setup_model(self) -> None:
        if self.env is not None:
            played = voxel_env(self.env).base.config.adjustments
            wanted = tuple(self.policy_kwargs.get("adjustments", played))
            if wanted != played:
                raise ValueError(f"adjustments: expected those of the env, {played}, got {wanted}")
            self.policy_kwargs = {**self.policy_kwargs, "adjustments": played}
        super()._setup_model()

    def _excluded_save_params(self) -> list[str]:
        """Names that a file need not hold: where the env stands, which `load` begins anew, and what was played."""
        return [*super()._excluded_save_params(), "_last_obs", "_last_episode_starts"]

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
    layers = [env]
    while isinstance(layers[-1], VecEnvWrapper):
        layers.append(layers[-1].venv)
    view = layers.pop()
    if not isinstance(view, VoxelVecEnv):
        raise TypeError(f"env: expected gym.make_vec(...) of mecca_env or its VoxelVecEnv, got {type(view).__name__}")
    for layer in layers:
        if not isinstance(layer, (VecMonitor, VecCheckNan, VecVideoRecorder)):
            raise ValueError(
                "env: expected no wrapper but VecMonitor, VecCheckNan and VecVideoRecorder, since rewards and "
                f"observations are read from the env itself, got {type(layer).__name__}"
            )
        if isinstance(layer, VecCheckNan) and not view.numpy:
            raise ValueError("numpy: expected VoxelVecEnv(..., numpy=True) under VecCheckNan, got numpy=False")
    if view.env_is_wrapped(VectorRewardWrapper)[0]:
        raise ValueError("env: expected no wrapper of rewards, since those of the voxels are read from the env itself")
    return view
