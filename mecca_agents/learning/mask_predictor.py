"""The base of all methods that predict a mask: they play through continuous actions and learn by cross-entropy.

The action is the difference between the probability that the network predicts and the present one, so that after the
step the environment's probability is the network's. Users, clicks, metrics and evaluation are those of every other
method. An update makes as many passes over volumes with gradients as one of an actor-critic: T times B.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from mecca_agents.agent import Learned, Observation, TaskSpec, only_labelled
from mecca_agents.learning.network_agent import NetworkAgent, check_finite
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
        """Play one episode in every env, with an optimiser step after every `n_steps` predictions, or after all."""
        log = UpdateLog()
        steps = self.steps_at_once(envs.config.horizon)
        for first in range(0, envs.config.horizon, steps):
            losses = []
            for step in range(first, first + steps):
                logits = self.logits(observation)
                losses.append(cross_entropy(logits, envs.state.label, envs.state.labelled))
                observation, _, _, _, info = envs.step(action_to(logits.detach(), observation))
                log.played(info, first=step == 0)
            self.descend_along(losses, progress, log)
        return Learned(observation, log.numbers())

    def descend_along(self, losses: Sequence[Tensor], progress: float, log: UpdateLog) -> None:
        """Take an optimiser step along the mean of some losses."""
        loss = torch.stack(list(losses)).mean()
        self.backward(loss)
        log.descended(loss, next(iter(self.descend(progress, self.trained).values())))


class VolumePredictor(MaskPredictor):
    """A mask predictor that looks at the scan alone: its mask is the same at every step.

    Since a second look at the same scan would teach it little, it goes on to the next case after one step. Its log is
    of first steps; `dice` and `dice_first` are the same.
    """

    sees_hints = False

    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        """Look at as many cases as an episode has steps, in every env, with optimiser steps as for an episode."""
        log = UpdateLog()
        steps = self.steps_at_once(envs.config.horizon)
        for _ in range(0, envs.config.horizon, steps):
            losses = []
            for _ in range(steps):
                logits = self.logits(observation)
                losses.append(self.loss(logits, envs, observation, progress))
                _, _, _, _, info = envs.step(action_to(logits.detach(), observation))
                log.played(info, first=True)
                observation, _ = envs.reset()
            self.descend_along(losses, progress, log)
            self.after_descent()
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
        self._begun = 0.0
        self._sums: dict[str, list[Tensor]] = {}

    def descended(self, loss: Tensor, norm: float) -> None:
        """Note an optimiser step: its loss, and the norm of its gradient."""
        self._losses.append(total(loss.detach()))
        self._norms.append(norm)

    def played(self, info: Info, first: bool) -> None:
        """Note a step of the environment: what it said of it, and whether it was the first of its episodes."""
        final = info.get("final_info", info)
        labelled = final["labelled"]
        if first:
            self._begun += float(total(labelled.sum()))
        values = {
            "return": info["voxel_reward"].mean(dim=(1, 2, 3)),
            "dice": final["dice"],
            "misunderstanding": info["misunderstanding"],
        }
        count = total(labelled.sum()).clamp_min(1)
        for key, value in values.items():
            known = torch.where(labelled, value, 0.0)  # of the others Dice and misunderstanding are NaN
            self._sums.setdefault(key, []).append(total(known.sum()) / count)

    def numbers(self) -> dict[str, float]:
        """For `Learned`."""
        dice = self._sums["dice"]
        values = {
            "return": torch.stack(self._sums["return"]).sum(),
            "dice": dice[-1],
            "dice_first": dice[0],
            "misunderstanding": torch.stack(self._sums["misunderstanding"]).mean(),
        }
        if self._losses:
            values["loss"] = torch.stack(self._losses).mean()
            values["gradient_norm"] = torch.tensor(self._norms).mean()
        counts = {"optimizer_steps": float(len(self._losses)), "labelled_episodes": self._begun}
        return {key: float(value) for key, value in values.items()} | counts


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
