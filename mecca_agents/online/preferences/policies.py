"""What a method would do with every voxel, as probabilities: one form for mask predictors and actor-critics.

Both decide voxel by voxel, so that the expected score of the next mask and the divergence from another policy are sums
over voxels, without any sampling. A mask predictor's policy is whether a voxel is foreground, as probably as predicted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from mecca_agents.agent import Agent
from mecca_agents.learning.actor_critic import ActorCritic
from mecca_agents.learning.mask_predictor import MaskPredictor
from mecca_agents.learning.network_agent import NetworkAgent
from mecca_agents.learning.rollout import stack_observation
from mecca_agents.online.project import ProjectError


@dataclass(frozen=True, eq=False)
class VoxelPolicy:
    """Policies of B states.

    Attributes:
        log_probs: Of A actions at every voxel, (B, A, D, H, W).
        reached: Probability of foreground that each action leads to, likewise, or with one voxel for all.
    """

    log_probs: Tensor
    reached: Tensor

    @property
    def foreground(self) -> Tensor:
        """The probability of foreground that is reached in the mean, (B, D, H, W)."""
        return (self.log_probs.exp() * self.reached).sum(dim=1)

    def divergence(self, earlier: VoxelPolicy) -> Tensor:
        """KL divergence from an earlier policy at every voxel, in nats, (B, D, H, W)."""
        return (self.log_probs.exp() * (self.log_probs - earlier.log_probs)).sum(dim=1)

    def detached(self) -> VoxelPolicy:
        """The same without gradients."""
        return VoxelPolicy(self.log_probs.detach(), self.reached.detach())


def policy_of(agent: Agent, observation: Mapping[str, Tensor]) -> VoxelPolicy:
    """What a method would do in B states, with gradients.

    Raises:
        ProjectError: It is neither a mask predictor nor an actor-critic.
    """
    if isinstance(agent, MaskPredictor):
        logits = agent.logits(dict(observation))
        log_probs = torch.stack((logsigmoid(-logits), logsigmoid(logits)), dim=1)
        return VoxelPolicy(log_probs, torch.tensor([0.0, 1.0], device=logits.device).view(1, 2, 1, 1, 1))
    if isinstance(agent, ActorCritic):
        state = stack_observation(dict(observation))
        policy = agent.policy(agent.outputs("segmentation", state, only="policy")["policy"], state)
        moves = agent.adjustments.view(1, -1, 1, 1, 1)
        return VoxelPolicy(policy.log_probs, (observation["probability"].unsqueeze(1) + moves).clamp(0.0, 1.0))
    raise _refused(agent)


def teachable(agent: Agent) -> NetworkAgent:
    """The method, where it has such a policy. Raises `ProjectError` otherwise."""
    if isinstance(agent, (MaskPredictor, ActorCritic)):
        return agent
    raise _refused(agent)


def _refused(agent: Agent) -> ProjectError:
    return ProjectError(
        "preferences: expected a run of a mask predictor or an actor-critic, whose policy can be led by choices, "
        f"got one of {type(agent).__name__}"
    )
