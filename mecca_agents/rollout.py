"""Collect steps from any torch vector env, keeping the graph, so that learning needs no second forward pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mecca_env.vector_env import MeccaVectorEnv

Observation = dict[str, Tensor]


class Decision(NamedTuple):
    """What a policy did with B observations, each (B, D, H, W); all but the action carry gradients."""

    action: Tensor
    log_prob: Tensor
    entropy: Tensor
    value: Tensor


@dataclass(frozen=True, eq=False)
class Rollout:
    """T steps of B envs.

    Attributes:
        log_prob: Of the actions taken, (T, B, D, H, W), with gradients.
        entropy: (T, B, D, H, W), with gradients.
        value: Of the states acted in, (T, B, D, H, W), with gradients.
        reward: Voxel rewards, (T, B, D, H, W).
        label: Foreground, (T, B, D, H, W) bool.
        done: Whether the episode ended with that step, (T, B) bool.
        labelled: Whether the reward means anything, (T, B) bool.
        bootstrap: Value of the state after the last step, (B, D, H, W); 0 where an episode ended there.
        dice: Dice after each step, (T, B).
        misunderstanding: Share of voxels that moved the wrong way in each step, (T, B).
        actions: How often each action was taken, (A,), as a share.
        observation: The observation to go on from.
    """

    log_prob: Tensor
    entropy: Tensor
    value: Tensor
    reward: Tensor
    label: Tensor
    done: Tensor
    labelled: Tensor
    bootstrap: Tensor
    dice: Tensor
    misunderstanding: Tensor
    actions: Tensor
    observation: Observation


def stack_observation(observation: Observation) -> Tensor:
    """Volume, probability and hint as channels, (B, M + 2, D, H, W) float32."""
    volume, probability, hint = (observation[key] for key in ("volume", "probability", "hint"))
    if volume.ndim == probability.ndim:
        volume = volume.unsqueeze(1)
    return torch.cat((volume, probability.unsqueeze(1), hint.unsqueeze(1)), dim=1)


def collect(
    envs: MeccaVectorEnv,
    observation: Observation,
    policy: Callable[[Observation], Decision],
    steps: int,
    choices: int,
) -> Rollout:
    """Take `steps` steps with `policy` in envs that reset in the same step.

    Args:
        envs: Vector env, same-step autoreset.
        observation: Where it stands.
        policy: Decides on B observations.
        steps: T.
        choices: Number of discrete actions.
    """
    decisions: list[Decision] = []
    rewards, labels, dones, labelled, dice, wrong = [], [], [], [], [], []
    counts = torch.zeros(choices, device=observation["probability"].device)
    final: dict[str, Any] = {}
    for _ in range(steps):
        decision = policy(observation)
        decisions.append(decision)
        labels.append(envs.state.label)
        observation, _, terminated, truncated, info = envs.step(decision.action)
        done = terminated | truncated
        final = info["final_info"] if "final_info" in info else info
        rewards.append(info["voxel_reward"])
        labelled.append(final["labelled"])
        dice.append(final["dice"])
        wrong.append(info["misunderstanding"])
        dones.append(done)
        counts += torch.bincount(decision.action.reshape(-1), minlength=choices)
    bootstrap = torch.zeros_like(rewards[-1])
    if not bool(dones[-1].all()):
        with torch.no_grad():
            bootstrap = policy(observation).value * ~dones[-1][:, None, None, None]
    return Rollout(
        log_prob=torch.stack([d.log_prob for d in decisions]),
        entropy=torch.stack([d.entropy for d in decisions]),
        value=torch.stack([d.value for d in decisions]),
        reward=torch.stack(rewards),
        label=torch.stack(labels),
        done=torch.stack(dones),
        labelled=torch.stack(labelled),
        bootstrap=bootstrap,
        dice=torch.stack(dice),
        misunderstanding=torch.stack(wrong),
        actions=counts / counts.sum(),
        observation=observation,
    )
