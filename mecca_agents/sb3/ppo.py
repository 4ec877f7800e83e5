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

from stable_baselines3.common.utils import FloatSchedule
from torch import Tensor

from mecca_agents.algorithms.ppo import Experience, ppo_losses, ratio_of
from mecca_agents.sb3.algorithm import Policy, Schedule, VoxelAlgorithm
from mecca_env.arguments import read_count


class VoxelPPO(VoxelAlgorithm):
    """PPO (Schulman et al., 2017) of all voxels at once, by the loss of `mecca_agents.algorithms.ppo`.

    Args:
        policy: As of `VoxelAlgorithm`, like all that is not named here.
        env: Likewise.
        learning_rate: Likewise.
        batch_size: Volumes that an optimiser step learns from, of the T * B that were played.
        n_epochs: How often an update goes over what was played.
        clip_range: How far a voxel's ratio may leave 1, a schedule.
        target_kl: An update ends early when the policy has moved further than one and a half times this, in nats a
            voxel; None: never.
        **others: `n_steps`, `gamma`, `gae_lambda`, `ent_coef`, `vf_coef`, `max_grad_norm`, `balance`, `policy_kwargs`,
            `verbose`, `seed`, `device`, `tensorboard_log`, `stats_window_size`.

    Raises:
        TypeError: The env is no vector env of this package, or an argument is unknown.
        ValueError: The env cannot be learned from, or a number is out of range; the message says what to change.
    """

    def __init__(
        self,
        policy: Policy,
        env: Any,
        learning_rate: Schedule = 1e-3,
        *,
        batch_size: int = 8,
        n_epochs: int = 4,
        clip_range: Schedule = 0.2,
        target_kl: float | None = None,
        **others: Any,
    ) -> None:
        self.batch_size, self.n_epochs = read_count("batch_size", batch_size), read_count("n_epochs", n_epochs)
        self.clip_range, self.target_kl = clip_range, target_kl
        super().__init__(policy, env, learning_rate, **others)

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
            found.append({key: term.detach() for key, term in losses._asdict().items()} | {"approx_kl": moved})
            if self.target_kl is not None and float(moved) > 1.5 * self.target_kl:
                break
            self._descend(losses.total)
        self._record(found)
        self.logger.record("train/clip_range", clip)

    def _minibatches(self) -> Iterator[tuple[dict[str, Tensor], Experience]]:
        for _ in range(self.n_epochs):
            yield from self.rollout_buffer.get(self.batch_size)


def divergence(log_prob: Tensor, behaviour: Tensor) -> Tensor:
    """Distance of a policy from another that it was sampled from, an estimate in nats a voxel, a scalar.

    Args:
        log_prob: log pi of the actions, any shape.
        behaviour: Logarithm of the probability that they were sampled with, of the same shape.
    """
    return (ratio_of(log_prob, behaviour) - 1.0 - (log_prob - behaviour)).mean()
