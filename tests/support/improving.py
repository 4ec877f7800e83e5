"""A method that gets better with every update, whatever it is shown, and waits in the middle where it is told to."""

from __future__ import annotations

import time
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mecca_agents.agent import Agent, Learned, Observation, TaskSpec
from mecca_agents.presets import Preset
from mecca_agents.training import train
from mecca_env.vector_env import MeccaVectorEnv

GOOD = 1.0
"""Between target and ground of `tests.support.volumes.intensities`, as the agent sees them."""

HOLD = Path("hold")
"""As long as there is such a file where the process works, no update ends."""


class Improving(Agent):
    """Takes for the target what is brighter than a number: all at first; each update halves how far that is off."""

    def __init__(self, preset: Preset, task: TaskSpec, *, device: torch.device, seed: int) -> None:
        self.level = torch.tensor(-50.0)
        self.highest = len(task.adjustments) - 1

    def act(self, observation: Observation) -> Any:
        return (observation["volume"] > self.level).long() * self.highest

    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        while HOLD.exists():
            time.sleep(0.05)
        self.level = GOOD + (self.level - GOOD) / 2
        observation, reward, _, _, _ = envs.step(self.act(observation))
        return Learned(observation, {"return": float(reward.mean())})

    def weights(self) -> dict[str, Tensor]:
        return {"level": self.level.reshape(1)}

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        self.level = weights["level"].cpu().reshape(())

    def training_state(self) -> dict[str, Tensor]:
        return {}

    def load_training_state(self, state: Mapping[str, Tensor]) -> None:
        pass


def improving_run(folder: Path, updates: int = 1) -> Path:
    """A run of it; with one update it is no good yet."""
    preset = Preset(shape=(12, 12, 10), num_envs=1, updates=updates)
    settings = {"horizon": 2, "clicks": (1, 1)}
    method = "tests.support.improving:Improving"
    train(method, "MECCA-Shapes-v0", folder, preset=preset, settings=settings, device="cpu", stream=StringIO())
    return folder
