"""Advantage actor-critic of every voxel behind Stable-Baselines3's interface; used as `VoxelPPO` is."""

from __future__ import annotations

from mecca_agents.learning.a2c import weighted_losses
from mecca_agents.sb3.algorithm import VoxelAlgorithm


class VoxelA2C(VoxelAlgorithm):
    """A2C of all voxels at once (Eq. 3-5): one optimiser step on the `n_steps` steps that were just played.

    Arguments and errors are those of `VoxelAlgorithm`.
    """

    def train(self) -> None:
        """Learn once from all that was played."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        seen, played = self.rollout_buffer.all()
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
        self._record([losses._asdict()])
