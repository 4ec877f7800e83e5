"""IteR-MRL (Liao et al., 2020): voxel-wise advantage actor-critic on the relative gain of cross-entropy (Eq. 3-5, 9).

One update plays one episode in every env and takes one optimiser step, or one after every `n_steps` of its steps:

    for t in 1..T:                        (rollout.collect)
        a ~ pi(. | s)                     one action for each voxel
        s, gain <- env.step(a)
    R_t = gain_t + gamma R_{t+1}          Eq. 3, for each voxel (partly V_{t+1}, with `gae_lambda` < 1)
    loss = -log pi(a) (R - V)             Eq. 5
         + value_weight (R - V)^2 / 2     Eq. 4
         - entropy_weight H(pi)           PixelRL (Furuta et al., 2020)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mecca_agents.agent import Learned, Observation, only_labelled
from mecca_agents.learning.actor_critic import ActorCritic, merged
from mecca_agents.presets import Preset
from mecca_env.vector_env import MeccaVectorEnv


class IterMRL(ActorCritic):
    """The method; an `Agent`. Where not all cases are labelled, it plays those that are."""

    name = "iter-mrl"

    @classmethod
    def env_settings(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Unlabelled cases teach it nothing."""
        return only_labelled(settings)

    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        """Play one episode in every env, with an optimiser step after every `n_steps` of its steps, or after all."""
        parts = []
        for rollout in self.rollouts(envs, observation):
            losses = self.losses(self.with_rewards(rollout, envs), progress)
            self.backward(losses.total)
            norm = self.descend(progress)["segmentation"]
            parts.append({**self.numbers(rollout, losses), "gradient_norm": norm})
        return Learned(rollout.observation, merged(parts))
