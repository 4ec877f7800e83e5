"""Advantage actor-critic of every voxel behind Stable-Baselines3's interface; used as `VoxelPPO` is."""

from __future__ import annotations

from typing import Any

import torch

from mecca_agents.a2c import weighted_losses
from mecca_agents.voxel_algorithm import Policy, Schedule, VoxelAlgorithm, averages


class VoxelA2C(VoxelAlgorithm):
    """A2C of all voxels at once (Eq. 3-5): one optimiser step on the `n_steps` steps that were just played.

    Args:
        policy: As for `mecca_agents.sb3.VoxelPPO`, like all that follows but the defaults.
        env: A vector env of this package.
        learning_rate: Adam's, a schedule.
        n_steps: Steps of every env between two updates, T.
        gamma: Discount (Sec. 4.1).
        gae_lambda: Lambda of generalised advantage estimation.
        ent_coef: Weight of the entropy bonus.
        vf_coef: Weight of the critic's loss.
        max_grad_norm: Gradients are scaled down to this norm at most.
        balance: How far the rarer of foreground and background is weighted up, a schedule.
        stats_window_size: Episodes that the logged means are over.
        tensorboard_log: Folder of TensorBoard's logs, or None.
        policy_kwargs: What the policy is made with.
        verbose: 0 prints nothing, 1 the logs.
        seed: Of the env, the weights and the sampling.
        device: Where the policy computes.

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
        gamma: float = 0.95,
        gae_lambda: float = 0.5,
        ent_coef: float = 1e-3,
        vf_coef: float = 0.5,
        max_grad_norm: float = 10.0,
        balance: Schedule = 0.0,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "auto",
        _init_setup_model: bool = True,
    ) -> None:
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
        """Learn once from all that was played."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        for seen, played in self.rollout_buffer.get():
            policy, value = self.policy.policy_and_value(seen)
            losses = weighted_losses(
                policy.log_prob(played.action) * played.advantage,
                policy.entropy(),
                value,
                played.target,
                played.weight,
                entropy_weight=self.ent_coef,
                value_weight=self.vf_coef,
            )
            self._descend(losses.total)
            self._record(averages([{key: term.detach() for key, term in losses._asdict().items()}]))
