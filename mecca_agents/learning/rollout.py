"""Collect steps from any torch vector env, keeping the graph, so that learning needs no second forward pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mecca_env.vector_env import MeccaVectorEnv, Observation


class Decision(NamedTuple):
    """A policy's action in B states, and what is learned from it; each (B, D, H, W).

    Logarithms and logits have gradients. What a method has no use for is None.
    """

    action: Tensor  # int64
    log_prob: Tensor  # of that action
    entropy: Tensor  # with gradients
    value: Tensor | None = None  # of the state, with gradients
    log_probs: Tensor | None = None  # of all actions, (B, A, D, H, W)
    leans_up: Tensor | None = None  # bool: whether the policy's expected adjustment is positive
    confidence: Tensor | None = None  # logit of C(s, a), of that action
    opposite: Tensor | None = None  # logit of C(s, -a)


@dataclass(frozen=True, eq=False)
class Rollout:
    """T steps of B envs.

    Attributes:
        first: Step of the episode, from 0, that the first of them is.
        states: What was acted on, as channels, T of (B, C, D, H, W) (`stack_observation`).
        action: Indices of the adjustments, (T, B, D, H, W) int64.
        log_prob: Of those actions, (T, B, D, H, W), with gradients.
        entropy: (T, B, D, H, W), with gradients.
        value: Of the states acted in, (T, B, D, H, W), with gradients, or None.
        before: Probability of foreground before the action, (T, B, D, H, W).
        after: The same after it, (T, B, D, H, W).
        reward: Voxel rewards, (T, B, D, H, W).
        label: Foreground, (T, B, D, H, W) bool.
        mask: Voxels that are learned from, bool, broadcastable to (T, B, D, H, W): at first those of labelled episodes.
        done: Whether the episode ended with that step, (T, B) bool.
        labelled: Whether the reward means anything, (T, B) bool.
        bootstrap: Value of the state after the last step, (B, D, H, W), without gradients; 0 where an episode ended
            there.
        dice: Dice after each step, (T, B).
        misunderstanding: Share of voxels that moved the wrong way in each step, (T, B).
        observation: The observation to go on from.
        log_probs: Of all actions, (T, B, A, D, H, W), with gradients, or None.
        leans_up: Whether the policy's expected adjustment was positive, (T, B, D, H, W) bool, or None.
        confidence: Logit of C(s, a) for the actions taken, (T, B, D, H, W), with gradients, or None.
        opposite: Logit of C(s, -a), likewise.
        rewards: What every action would have earned, (T, B, A, D, H, W), or None.
    """

    first: int
    states: tuple[Tensor, ...]
    action: Tensor
    log_prob: Tensor
    entropy: Tensor
    value: Tensor | None
    before: Tensor
    after: Tensor
    reward: Tensor
    label: Tensor
    mask: Tensor
    done: Tensor
    labelled: Tensor
    bootstrap: Tensor
    dice: Tensor
    misunderstanding: Tensor
    observation: Observation
    log_probs: Tensor | None = None
    leans_up: Tensor | None = None
    confidence: Tensor | None = None
    opposite: Tensor | None = None
    rewards: Tensor | None = None

    def held(self, steps: Tensor) -> Tensor:
        """Its own among steps of an episode, (N,) int64 from 0, counted from its first one; in their order."""
        own = steps - self.first
        return own[(own >= 0) & (own < len(self.states))]


def stack_observation(observation: Observation) -> Tensor:
    """An observation as channels, (B, C, D, H, W) float32: volume, probability, hints, and where there are, box, time.

    The probability is channel M of M modalities; C is `TaskSpec.channels`, M + 2 with the settings of the paper.
    """
    probability = observation["probability"].unsqueeze(1)
    parts = [stack_volume(observation), probability]
    for key in ("hint", "box"):
        if key in observation:
            values = observation[key]
            parts.append(values.unsqueeze(1) if values.ndim == 4 else values)
    if "time" in observation:
        parts.append(observation["time"][:, :, None, None, None].expand_as(probability))
    return torch.cat(parts, dim=1)


def stack_volume(observation: Observation) -> Tensor:
    """The scan's modalities as channels, (B, M, D, H, W) float32."""
    volume = observation["volume"]
    return volume.unsqueeze(1) if volume.ndim == 4 else volume


def for_env(action: Tensor, confidence: Tensor | None, guide: bool) -> Any:
    """An action as `env.step` takes it: with a guide, it carries the confidence in [0, 1] (Sec. 3.5)."""
    return {"adjustment": action, "confidence": confidence} if guide else action


def _for_env(decision: Decision, guide: bool) -> Any:
    sure = decision.confidence.detach().sigmoid() if guide and decision.confidence is not None else None
    return for_env(decision.action, sure, guide)


def collect(
    envs: MeccaVectorEnv,
    observation: Observation,
    policy: Callable[[Tensor], Decision],
    steps: int,
    first: int = 0,
    value: Callable[[Tensor], Tensor] | None = None,
) -> Rollout:
    """Take `steps` steps with `policy` in envs that reset in the same step.

    Args:
        envs: Vector env, same-step autoreset.
        observation: Where it stands.
        policy: Decides in B states, (B, C, D, H, W).
        steps: T.
        first: Step of the episode at which the envs stand.
        value: Of B such states, (B, D, H, W), asked where the last step ends no episode; None: 0 everywhere.
    """
    decisions: list[Decision] = []
    states: list[Tensor] = []
    before, after, rewards, labels, dones, labelled, dice, wrong = [], [], [], [], [], [], [], []
    for _ in range(steps):
        states.append(stack_observation(observation))
        before.append(observation["probability"])
        decision = policy(states[-1])
        decisions.append(decision)
        labels.append(envs.state.label)
        observation, _, terminated, truncated, info = envs.step(_for_env(decision, envs.config.guide))
        final = info.get("final_info", info)
        after.append(info.get("final_obs", observation)["probability"])
        rewards.append(info["voxel_reward"])
        labelled.append(final["labelled"])
        dice.append(final["dice"])
        wrong.append(info["misunderstanding"])
        dones.append(terminated | truncated)
    bootstrap = torch.zeros_like(rewards[-1])
    if value is not None and not bool(dones[-1].all()):
        with torch.no_grad():
            bootstrap = value(stack_observation(observation)) * ~dones[-1][:, None, None, None]

    def stacked(name: str) -> Tensor | None:
        values = [getattr(decision, name) for decision in decisions]
        return None if values[0] is None else torch.stack(values)

    return Rollout(
        first=first,
        states=tuple(states),
        action=torch.stack([d.action for d in decisions]),
        log_prob=torch.stack([d.log_prob for d in decisions]),
        entropy=torch.stack([d.entropy for d in decisions]),
        **{name: stacked(name) for name in ("value", "log_probs", "leans_up", "confidence", "opposite")},
        before=torch.stack(before),
        after=torch.stack(after),
        reward=torch.stack(rewards),
        label=torch.stack(labels),
        mask=torch.stack(labelled)[:, :, None, None, None],
        done=torch.stack(dones),
        labelled=torch.stack(labelled),
        bootstrap=bootstrap,
        dice=torch.stack(dice),
        misunderstanding=torch.stack(wrong),
        observation=observation,
    )
