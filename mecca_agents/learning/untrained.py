"""Agents that learn nothing and play one episode as an update: what the bounds of a table have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from mecca_agents.agent import Agent, Learned, Observation, TaskSpec, only_labelled
from mecca_agents.learning.mask_predictor import UpdateLog
from mecca_agents.presets import FAMILIES, Preset
from mecca_env.vector_env import MeccaVectorEnv


class Untrained(Agent):
    """Plays, and learns nothing.

    Args:
        preset: Its settings; none of them matters.
        task: What it plays; actions of its kind and no guide.
        device: Where its actions are made.
        seed: Fixes what it draws.

    Raises:
        ValueError: The actions are of another kind, or there is a guide.
    """

    name: str
    kind: ClassVar[str] = "discrete"
    learns = False
    sees_hints = False

    def __init__(self, preset: Preset, task: TaskSpec, *, device: torch.device, seed: int) -> None:
        if task.action != self.kind or task.guide:
            given = f"action={task.action!r}, guide={task.guide}"
            raise ValueError(f"{self.name}: expected {self.kind} actions and no guide, got {given}")
        self.task, self.device = task, device
        self.generator = torch.Generator(device).manual_seed(seed)

    @classmethod
    def without_effect(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, str]:
        """All but those that say how much is played."""
        return {name: "it learns nothing" for name in FAMILIES if name not in ("shape", "num_envs", "updates")}

    @classmethod
    def env_settings(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Labelled cases only, so that its log means something."""
        return only_labelled(settings)

    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        """Play one episode in every env."""
        log = UpdateLog()
        self.enter(envs)
        for step in range(envs.config.horizon):
            observation, _, _, _, info = envs.step(self.act(observation))
            log.played(info, first=step == 0)
        return Learned(observation, log.numbers())

    def weights(self) -> dict[str, Tensor]:
        """None."""
        return {}

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take over nothing. Raises `ValueError` where there is something."""
        if weights:
            raise ValueError(f"{self.name}: expected no weights, got {sorted(weights)}")

    def training_state(self) -> dict[str, Tensor]:
        """The state of its random generator."""
        return {"generator": self.generator.get_state()}

    def load_training_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `training_state` returned. Raises `ValueError` where it does not fit."""
        if set(state) != {"generator"}:
            raise ValueError(f"{self.name}: expected the state of a generator, got {sorted(state)}")
        self.generator.set_state(state["generator"].cpu())
