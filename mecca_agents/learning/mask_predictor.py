"""The base of all methods that predict a mask: they play through continuous actions and learn by cross-entropy.

The action is the difference between the probability that the network predicts and the present one, so that after the
step the environment's probability is the network's. Users, clicks, metrics and evaluation are those of every other
method. An update makes as many passes over volumes with gradients as one of an actor-critic: T times B.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from mecca_agents.agent import Learned, Observation, TaskSpec, only_labelled
from mecca_agents.learning.network_agent import NetworkAgent, check_finite
from mecca_agents.learning.proposals import smooth_noise, two_samples
from mecca_agents.learning.rollout import for_env
from mecca_agents.presets import Preset
from mecca_agents.runtime.distributed import total
from mecca_env.infos import Info
from mecca_env.vector_env import MeccaVectorEnv


class MaskPredictor(NetworkAgent):
    """Predicts the probability of foreground of every voxel; subclasses say from what.

    Attributes:
        trained: Names of the networks that are trained at present; None: all that have an optimiser.
    """

    families: ClassVar[tuple[str, ...]] = ("mask",)
    trained: tuple[str, ...] | None = None

    @classmethod
    def env_settings(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Continuous actions; unlabelled cases teach it nothing."""
        return {"action": "continuous", **only_labelled(settings)}

    def check_task(self, task: TaskSpec) -> None:
        """Raise `ValueError` where the method cannot play this."""
        if task.action != "continuous" or (task.guide and not self.sees_hints):
            given = f"action={task.action!r}, guide={task.guide}"
            guide = "" if self.sees_hints else " and no guide"
            raise ValueError(f"{self.name}: expected continuous actions{guide}, got {given}")

    @abstractmethod
    def logits(self, observation: Observation) -> Tensor:
        """Of the probability of foreground, (B, D, H, W) float32, with gradients."""

    @torch.no_grad()
    def act(self, observation: Observation) -> Any:
        """The action that leads to the predicted probability, (B, D, H, W) float32 in [-1, 1].

        With a guide, the confidence in it goes along.
        """
        with torch.inference_mode():
            logits = self.logits(observation)
        return self.for_env(action_to(logits, observation), observation)

    @torch.no_grad()
    def propose(self, observation: Observation, seed: int) -> tuple[Any, Any] | None:
        """Two samples of the mask, whose voxels are foreground as probably as predicted, as actions."""
        with torch.inference_mode():
            logits = self.logits(observation)

        def sample(noise: Tensor) -> tuple[Any, Tensor]:
            moved = logits + noise
            return self.for_env(action_to(moved, observation), observation), moved > 0

        return two_samples(sample, smooth_noise(self.task.shape, seed, self.device))

    @torch.no_grad()
    def confidence(self, observation: Observation, action: Any) -> Tensor | None:
        """How probable it is that the label lies the way that the action goes, (B, D, H, W); None without a guide."""
        if not isinstance(action, Mapping):
            return None
        given: Tensor = action["confidence"]
        return given

    def for_env(self, action: Tensor, observation: Observation) -> Any:
        """An action as the environment takes it: with a guide, with the confidence that it goes the right way.

        The probability that is predicted says how probable either label is: no critic has to learn it.
        """
        if not self.task.guide:
            return action
        predicted = (observation["probability"] + action).clamp(0.0, 1.0)
        return for_env(action, torch.where(action > 0, predicted, 1.0 - predicted), guide=True)

    def loss(self, logits: Tensor, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Tensor:
        """The loss, a scalar; of several processes, each has its summand."""
        label, labelled = envs.state.label, envs.state.labelled
        loss, weight = cross_entropy(logits, label, labelled), self.preset.mask.overlap_weight
        return loss + weight * missed_overlap(logits, label, labelled) if weight else loss

    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        """Play one episode in every env, with an optimiser step after every `n_steps` predictions, or after all."""
        log = UpdateLog()
        steps = self.steps_at_once(envs.config.horizon)
        for first in range(0, envs.config.horizon, steps):
            losses = []
            for step in range(first, first + steps):
                logits = self.logits(observation)
                losses.append(self.loss(logits, envs, observation, progress))
                action = self.for_env(action_to(logits.detach(), observation), observation)
                observation, _, _, _, info = envs.step(action)
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

    @classmethod
    def without_effect(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, str]:
        """What is about prompts, where it sees none."""
        none = super().without_effect(preset, settings)
        return none if cls.sees_hints else none | {"evidence": "it sees no prompts"}

    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        """Look at as many cases as an episode has steps, in every env, with optimiser steps as for an episode."""
        log = UpdateLog()
        steps = self.steps_at_once(envs.config.horizon)
        for _ in range(0, envs.config.horizon, steps):
            losses = []
            for _ in range(steps):
                logits = self.logits(observation)
                losses.append(self.loss(logits, envs, observation, progress))
                action = self.for_env(action_to(logits.detach(), observation), observation)
                _, _, _, _, info = envs.step(action)
                log.played(info, first=True)
                observation, _ = envs.reset()
            self.descend_along(losses, progress, log)
            self.after_descent()
        return Learned(observation, log.numbers())

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


def missed_overlap(logits: Tensor, label: Tensor, labelled: Tensor) -> Tensor:
    """The soft Dice loss (Milletari et al., 2016), mean over the labelled episodes; a scalar, as `cross_entropy`.

    Args:
        logits: (B, D, H, W).
        label: (B, D, H, W) bool.
        labelled: (B,) bool.
    """
    predicted, true = logits.sigmoid().flatten(1), label.flatten(1).to(logits.dtype)
    both = 2 * (predicted * true).sum(1) + 1  # a voxel each way, so that an empty label has a loss, too
    missed = 1 - both / (predicted.sum(1) + true.sum(1) + 1)
    return (missed * labelled).sum() / total(labelled.sum()).clamp_min(1)
