"""Voxel-wise proximal policy optimisation (Schulman et al., 2017): actor and critic of IteR-MRL, several epochs a play.

One update plays one episode in every env and goes over it `epochs` times:

    for t in 1..T:                        (rollout.collect, without gradients)
        a ~ pi_old(. | s)                 one action for each voxel
        s, gain <- env.step(a)
    R_t = gain_t + gamma R_{t+1}          Eq. 3, for each voxel (partly V_{t+1}, with `gae_lambda` < 1)
    A = R - V_old
    in every epoch, for `n_steps` of the T steps at a time, in a new order:
        r = pi(a) / pi_old(a)             for each voxel; above 3 it counts as 3
        loss = -min(r A, clip(r, 1 - c, 1 + c) A)
             + value_weight (R - V)^2 / 2 - entropy_weight H(pi)

The ratio is each voxel's own. One ratio for all would be the product of theirs: of 90,750 voxels it leaves the range
when each has moved by three millionths, and where one of them is clipped, none learns any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from mecca_agents.agent import Learned, Observation, only_labelled
from mecca_agents.learning.a2c import Losses, class_weights, targets
from mecca_agents.learning.actor_critic import ActorCritic
from mecca_agents.learning.rollout import Rollout, collect
from mecca_agents.presets import Preset
from mecca_agents.runtime.distributed import total
from mecca_env.vector_env import MeccaVectorEnv

MOST_RATIO = 3.0
"""A higher ratio earns and costs as this one and has no gradient (the dual clip of Ye et al., 2020). The clipping does
not bound what an action that has become more probable can cost, and of thousands of voxels some have drawn what hardly
ever happens: one whose ratio is a million would outweigh all others."""

_MOST_LOG_RATIO = 20.0  # no ratio is infinite: times a weight of zero that would be no number


def ratio_of(log_prob: Tensor, behaviour: Tensor) -> Tensor:
    """pi(a) / pi_old(a) of each voxel, from the logarithms; any shape."""
    return (log_prob - behaviour).clamp(max=_MOST_LOG_RATIO).exp()


def clipped_gain(ratio: Tensor, advantage: Tensor, clip_ratio: float) -> Tensor:
    """PPO's objective of each voxel: min(r A, clip(r, 1 - c, 1 + c) A), where r counts as `MOST_RATIO` at most.

    Args:
        ratio: r = pi(a) / pi_old(a) of each voxel, any shape.
        advantage: A of each voxel, of the same shape.
        clip_ratio: c.
    """
    bounded = ratio.clamp(max=MOST_RATIO)
    return torch.minimum(bounded * advantage, ratio.clamp(1.0 - clip_ratio, 1.0 + clip_ratio) * advantage)


class PPOLosses(NamedTuple):
    """The terms of the loss, scalars; `total` is what is minimised. Of several processes, each has its summand.

    `clipped` is the share of voxels whose ratio has left the range.
    """

    total: Tensor
    policy: Tensor
    value: Tensor
    entropy: Tensor
    clipped: Tensor


class Experience(NamedTuple):
    """A play to learn from, without gradients; all tensors have one shape, (N, D, H, W) of N volumes for instance."""

    action: Tensor  # int64
    behaviour: Tensor  # log pi_old of that action
    advantage: Tensor
    target: Tensor  # of the value
    weight: Tensor  # of each voxel in the losses; 0 where it does not count


def ppo_losses(
    experience: Experience,
    log_prob: Tensor,
    entropy: Tensor,
    value: Tensor,
    *,
    clip_ratio: float,
    entropy_weight: float,
    value_weight: float = 0.5,
) -> PPOLosses:
    """The clipped loss, averaged over voxels by their weights, over all processes that train together.

    Args:
        experience: What was played.
        log_prob: log pi of the actions played, with gradients, in the shape of the experience, as are the next two.
        entropy: Of the policy, with gradients.
        value: Of the states, with gradients.
        clip_ratio: How far a ratio may leave 1.
        entropy_weight: Weight of the entropy bonus.
        value_weight: Weight of the critic's loss (V - R)^2 / 2.
    """
    count = total(experience.weight.sum()).clamp_min(1.0)

    def mean(values: Tensor) -> Tensor:
        return (values * experience.weight).sum() / count

    ratio = ratio_of(log_prob, experience.behaviour)
    policy = -mean(clipped_gain(ratio, experience.advantage, clip_ratio))
    critic = 0.5 * mean((experience.target - value).square())
    bonus = mean(entropy)
    clipped = mean(((ratio.detach() - 1.0).abs() > clip_ratio).to(ratio.dtype))
    return PPOLosses(policy + value_weight * critic - entropy_weight * bonus, policy, critic, bonus, clipped)


class PPO(ActorCritic):
    """The method; an `Agent`. Where not all cases are labelled, it plays those that are."""

    name = "ppo"
    families: ClassVar[tuple[str, ...]] = ("actor_critic", "ppo")

    @classmethod
    def without_effect(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, str]:
        """It plays whole episodes, so lambda matters whatever `n_steps` is."""
        none = super().without_effect(preset, settings)
        none.pop("gae_lambda", None)
        return none

    @classmethod
    def env_settings(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Unlabelled cases teach it nothing."""
        return only_labelled(settings)

    @classmethod
    def passes(cls, preset: Preset) -> int:
        """An update passes what it plays through the network in every epoch."""
        return preset.ppo.epochs

    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        """Play one episode in every env, and go over them `epochs` times."""
        batches, found, norms = self.minibatches(envs.config.horizon), list[PPOLosses](), list[float]()
        with torch.no_grad():
            rollout = collect(envs, observation, self.decide, envs.config.horizon)
        experience = self.experience(rollout, progress)
        for steps in batches:
            losses = self.ppo_losses(rollout.states, experience, steps)
            self.backward(losses.total)
            norms.append(self.descend(progress)["segmentation"])
            found.append(PPOLosses(*(term.detach() for term in losses)))
        mean = PPOLosses(*(torch.stack(terms).mean() for terms in zip(*found, strict=True)))
        numbers = self.numbers(rollout, Losses(*mean[:4])) | {"clipped": float(total(mean.clipped))}
        numbers |= {"gradient_norm": sum(norms) / len(norms), "optimizer_steps": float(len(norms))}
        return Learned(rollout.observation, numbers)

    def experience(self, rollout: Rollout, progress: float) -> Experience:
        """The experience in a rollout, (T, B, D, H, W) each."""
        settings, value = self.preset.actor_critic, rollout.value
        assert value is not None
        target = targets(rollout, value, gamma=settings.gamma, gae_lambda=settings.gae_lambda, credit=settings.credit)
        weight = class_weights(rollout.label, rollout.mask, self.balance(progress))
        return Experience(rollout.action, rollout.log_prob, target - value, target, weight)

    def minibatches(self, horizon: int) -> list[list[int]]:
        """The steps that each optimiser step learns from: `n_steps` at a time, all of them in every epoch."""
        size, batches = self.steps_at_once(horizon), list[list[int]]()
        for _ in range(self.preset.ppo.epochs):
            order = torch.randperm(horizon, generator=self.generator, device=self.device).tolist()
            batches += [order[start : start + size] for start in range(0, horizon, size)]
        return batches

    def ppo_losses(self, states: Sequence[Tensor], experience: Experience, steps: Sequence[int]) -> PPOLosses:
        """The loss of those steps of the episodes, with this method's settings."""
        part = Experience(*(values[list(steps)].flatten(0, 1) for values in experience))
        policy, value = self.policy_and_value(torch.cat([states[step] for step in steps]))
        assert value is not None
        return ppo_losses(
            part,
            policy.log_prob(part.action),
            policy.entropy(),
            value,
            clip_ratio=self.preset.ppo.clip_ratio,
            entropy_weight=self.preset.actor_critic.entropy_weight,
            value_weight=self.preset.actor_critic.value_weight,
        )
