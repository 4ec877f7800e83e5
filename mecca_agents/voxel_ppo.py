"""Proximal policy optimisation with a ratio for every voxel, behind Stable-Baselines3's interface.

import gymnasium as gym
from mecca_agents.sb3 import VoxelPPO

envs = gym.make_vec("MECCA-Phantom-v0", num_envs=8, shape=(24, 24, 16))
model = VoxelPPO("VoxelPolicy", envs).learn(10_000)
model.save("voxels")
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from stable_baselines3.common.utils import FloatSchedule
from torch import Tensor

from mecca_agents.ppo import Experience, ppo_losses, ratio_of
from mecca_agents.voxel_algorithm import Policy, Schedule, VoxelAlgorithm, averages
from mecca_env.arguments import read_count


class VoxelPPO(VoxelAlgorithm):
    """PPO (Schulman et al., 2017) of all voxels at once (`mecca_agents.ppo`).

    Args:
        policy: "VoxelPolicy" or a subclass of `mecca_agents.sb3.VoxelActorCriticPolicy`.
        env: `gym.make_vec(...)` of this package, or a `mecca_env.adapters.sb3.VoxelVecEnv`, below `VecMonitor`,
            `VecCheckNan` and `VecVideoRecorder` if need be; discrete actions, same-step autoreset, no guide.
        learning_rate: Adam's; a number, or a function of the share of the training that remains, like all schedules.
        n_steps: Steps of every env between two updates, T; 5 are an episode.
        batch_size: Volumes that an optimiser step learns from, of the T * B that were played.
        n_epochs: How often an update goes over what was played.
        gamma: Discount (Sec. 4.1).
        gae_lambda: Lambda of generalised advantage estimation.
        clip_range: How far a voxel's ratio may leave 1, a schedule.
        ent_coef: Weight of the entropy bonus.
        vf_coef: Weight of the critic's loss (V - R)^2 / 2.
        max_grad_norm: Gradients are scaled down to this norm at most.
        target_kl: An update ends early when the policy has moved further than one and a half times this, in nats a
            voxel; None: never.
        balance: How far the rarer of foreground and background is weighted up, 0 to 1, a schedule
            (`mecca_agents.a2c.class_weights`).
        stats_window_size: Episodes that the logged means are over.
        tensorboard_log: Folder of TensorBoard's logs, or None.
        policy_kwargs: What the policy is made with, `{"channels": 16}` for one; `adjustments` are the env's.
        verbose: 0 prints nothing, 1 the logs.
        seed: Of the env, the weights and the sampling.
        device: Where the policy computes, "auto", "cpu" or "cuda". The env has its own.

    Raises:
        TypeError: The env is no vector env of this package.
        ValueError: The env cannot be learned from, or a number is out of range; the message says what to change.
    """

    def __init__(
        self,
        policy: Policy,
        env: Any,
        learning_rate: Schedule = 1e-3,
        n_steps: int = 5,
        batch_size: int = 8,
        n_epochs: int = 4,
        gamma: float = 0.95,
        gae_lambda: float = 0.5,
        clip_range: Schedule = 0.2,
        ent_coef: float = 1e-3,
        vf_coef: float = 0.5,
        max_grad_norm: float = 10.0,
        target_kl: float | None = None,
        balance: Schedule = 0.0,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "auto",
        _init_setup_model: bool = True,
    ) -> None:
        self.batch_size, self.n_epochs = read_count("batch_size", batch_size), read_count("n_epochs", n_epochs)
        self.clip_range, self.target_kl = clip_range, target_kl
        super().__init__(
            policy,
            env,
            n_steps=n_steps,
            balance=balance,
            learning_rate=learning_rate,
            gamma=gamma,
            gae_lambda=gae_lambda,
            ent_coef=ent_coef,
            vf_coef=vf_coef,
            max_grad_norm=max_grad_norm,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=policy_kwargs,
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=_init_setup_model,
        )

    def train(self) -> None:
        """Go over what was played `n_epochs` times."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        clip = FloatSchedule(self.clip_range)(self._current_progress_remaining)
        found = []
        for seen, experience in self._minibatches():
            policy, value = self.policy.policy_and_value(seen)
            log_prob = policy.log_prob(experience.action)
            weights = {"entropy_weight": self.ent_coef, "value_weight": self.vf_coef}
            losses = ppo_losses(experience, log_prob, policy.entropy(), value, clip_ratio=clip, **weights)
            moved = divergence(log_prob.detach(), experience.behaviour)
            found.append({**{key: term.detach() for key, term in losses._asdict().items()}, "approx_kl": moved})
            if self.target_kl is not None and float(moved) > 1.5 * self.target_kl:
                break
            self._descend(losses.total)
        self._record(averages(found) | {"clip_range": clip})

    def _minibatches(self) -> Iterator[tuple[dict[str, Tensor], Experience]]:
        for _ in range(self.n_epochs):
            yield from self.rollout_buffer.get(self.batch_size)


def divergence(log_prob: Tensor, behaviour: Tensor) -> Tensor:
    """How far a policy has moved from another that it was sampled from, an estimate in nats a voxel, a scalar.

    Args:
        log_prob: log pi of the actions, any shape.
        behaviour: Logarithm of the probability that they were sampled with, of the same shape.
    """
    return (ratio_of(log_prob, behaviour) - 1.0 - (log_prob - behaviour)).mean()
