"""The base of all methods that predict a mask: they play through continuous actions and learn by cross-entropy.

The action is the difference between the probability that the network predicts and the present one, so that after the
step the environment's probability is the network's. Users, clicks, metrics and evaluation are those of every other
method. An update makes as many passes over volumes with gradients as one of an actor-critic: T times B.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from mecca_agents.agent import Learned, Observation, TaskSpec, only_labelled
from mecca_agents.learning.network_agent import NetworkAgent, check_finite
from mecca_agents.learning.rollout import stack_observation
from mecca_agents.presets import Preset
from mecca_agents.runtime.distributed import total
from mecca_env.infos import Info
from mecca_env.vector_env import MeccaVectorEnv


class MaskPredictor(NetworkAgent):
    """Predicts the probability of foreground of every voxel; subclasses say from what.

    Attributes:
        trained: Names of the networks that are trained at present; None: all that have an optimiser.
    """

    trained: tuple[str, ...] | None = None

    @classmethod
    def env_settings(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Continuous actions; unlabelled cases teach it nothing."""
        return {"action": "continuous", **only_labelled(settings)}

    def check_task(self, task: TaskSpec) -> None:
        """Raise `ValueError` where the method cannot play this."""
        if task.action != "continuous" or task.guide:
            given = f"action={task.action!r}, guide={task.guide}"
            raise ValueError(f"{self.name}: expected continuous actions and no guide, got {given}")

    @abstractmethod
    def logits(self, observation: Observation) -> Tensor:
        """Of the probability of foreground, (B, D, H, W) float32, with gradients."""

    @torch.no_grad()
    def act(self, observation: Observation) -> Any:
        """The action that leads to the predicted probability, (B, D, H, W) float32 in [-1, 1]."""
        with torch.inference_mode():
            logits = self.logits(observation)
        return action_to(logits, observation)

    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        """Play one episode in every env and take one optimiser step after each prediction (InterCNN)."""
        log = UpdateLog()
        for _ in range(envs.config.horizon):
            logits = self.logits(observation)
            loss = cross_entropy(logits, envs.state.label, envs.state.labelled)
            self.backward(loss)
            norm = next(iter(self.descend(progress, self.trained).values()))
            observation, _, _, _, info = envs.step(action_to(logits.detach(), observation))
            log.add(loss, norm, info)
        return Learned(observation, log.numbers())


class VolumePredictor(MaskPredictor):
    """A mask predictor that looks at the scan alone: its mask is the same at every step.

    Since a second look at the same scan would teach it little, it goes on to the next case after one step. Its log is
    of first steps; `dice` and `dice_first` are the same.
    """

    sees_hints = False

    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        """Look at as many cases as an episode has steps, in every env, with one optimiser step after each."""
        log = UpdateLog()
        for _ in range(envs.config.horizon):
            logits = self.logits(observation)
            loss = self.loss(logits, envs, observation, progress)
            self.backward(loss)
            norm = next(iter(self.descend(progress, self.trained).values()))
            self.after_descent()
            _, _, _, _, info = envs.step(action_to(logits.detach(), observation))
            log.add(loss, norm, info)
            observation, _ = envs.reset()
        return Learned(observation, log.numbers())

    def loss(self, logits: Tensor, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Tensor:
        """The loss, a scalar; of several processes, each has its summand."""
        return cross_entropy(logits, envs.state.label, envs.state.labelled)

    def after_descent(self) -> None:
        """Do whatever follows an optimiser step: nothing, here."""


class UpdateLog:
    """Numbers of one update's steps for the log; of several processes, of all of them."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._norms: list[float] = []
        self._sums: dict[str, list[Tensor]] = {}

    def add(self, loss: Tensor, norm: float, info: Info) -> None:
        """Note a step: its loss, the norm of its gradient, what the environment said of it."""
        final = info.get("final_info", info)
        labelled = final["labelled"].to(torch.float32)
        self._losses.append(total(loss.detach()))
        self._norms.append(norm)
        values = {
            "return": info["voxel_reward"].mean(dim=(1, 2, 3)),
            "dice": final["dice"],
            "misunderstanding": info["misunderstanding"],
        }
        count = total(labelled.sum()).clamp_min(1.0)
        for key, value in values.items():
            self._sums.setdefault(key, []).append(total((value * labelled).sum()) / count)

    def numbers(self) -> dict[str, float]:
        """For `Learned`."""
        dice = self._sums["dice"]
        values = {
            "loss": torch.stack(self._losses).mean(),
            "return": torch.stack(self._sums["return"]).sum(),
            "dice": dice[-1],
            "dice_first": dice[0],
            "misunderstanding": torch.stack(self._sums["misunderstanding"]).mean(),
        }
        norm = sum(self._norms) / len(self._norms)
        return {**{key: float(value) for key, value in values.items()}, "gradient_norm": norm}


def action_to(logits: Tensor, observation: Observation) -> Tensor:
    """The continuous action that leads to the probability with these logits, (B, D, H, W) float32 in [-1, 1]."""
    check_finite("prediction", float(logits.sum()))
    return (logits.sigmoid() - observation["probability"]).clamp_(-1.0, 1.0)


def cross_entropy(logits: Tensor, label: Tensor, labelled: Tensor) -> Tensor:
    """Mean over all voxels of the labelled episodes, of all processes; a scalar, each process's summand of it.

    Args:
        logits: (B, D, H, W).
        label: (B, D, H, W) bool.
        labelled: (B,) bool.
    """
    losses = binary_cross_entropy_with_logits(logits, label.to(logits.dtype), reduction="none").mean(dim=(1, 2, 3))
    return (losses * labelled).sum() / total(labelled.sum()).clamp_min(1)


def stack_volume(observation: Observation) -> Tensor:
    """The scan's modalities as channels, (B, M, D, H, W) float32."""
    return stack_observation(observation)[:, :-2]
