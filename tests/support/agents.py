"""A method that learns in milliseconds and keeps all that a method can keep, and a data set that is as small."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from torch import Tensor, nn

from mecca_agents.agent import Agent, Learned, Observation, TaskSpec
from mecca_agents.learning.optimizer_state import pack, unpack
from mecca_agents.learning.rollout import stack_observation
from mecca_agents.presets import Preset
from mecca_env.vector_env import MeccaVectorEnv

PRESET = Preset(shape=(8, 8, 8), num_envs=2, updates=7, learning_rate=0.05)

ENV = "MECCA-Spleen-v0"


def write_scans(root: Path, count: int = 5) -> Path:
    """A folder of small scans for `ENV`."""
    rng = np.random.default_rng(0)
    entries = []
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        label = np.zeros((14, 13, 12), np.uint8)
        label[4 : 8 + number % 3, 4:9, 3:8] = 1
        image = (label + rng.normal(scale=0.5, size=label.shape)).astype(np.float32)
        name = f"scan_{number}.nii.gz"
        nib.save(nib.Nifti1Image(image, np.eye(4)), root / "imagesTr" / name)
        nib.save(nib.Nifti1Image(label, np.eye(4)), root / "labelsTr" / name)
        entries.append(f'{{"image": "./imagesTr/{name}", "label": "./labelsTr/{name}"}}')
    (root / "dataset.json").write_text(f'{{"modality": {{"0": "CT"}}, "training": [{", ".join(entries)}]}}')
    return root


class Tiny(Agent):
    """Regresses the label with one linear map per voxel; one update is one step of the environment."""

    def __init__(self, preset: Preset, task: TaskSpec, *, device: torch.device, seed: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = nn.Conv3d(task.channels, 1, 1).to(device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=preset.learning_rate)
        self.generator = torch.Generator(device).manual_seed(seed)
        self.highest = len(task.adjustments) - 1

    def act(self, observation: Observation) -> Any:
        return (self.network(stack_observation(observation)).squeeze(1) > 0).long() * self.highest

    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        logits = self.network(stack_observation(observation)).squeeze(1)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, envs.state.label.float())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        chosen = torch.rand(logits.shape, generator=self.generator) < logits.sigmoid()
        observation, reward, _, _, info = envs.step(chosen.long() * self.highest)
        dice = info.get("final_info", info)["dice"].mean()
        return Learned(observation, {"loss": float(loss.detach()), "return": float(reward.mean()), "dice": float(dice)})

    def weights(self) -> dict[str, Tensor]:
        return dict(self.network.state_dict())

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        try:
            self.network.load_state_dict(dict(weights))
        except RuntimeError as error:
            raise ValueError(f"weights do not fit this network: {error}") from error

    def training_state(self) -> dict[str, Tensor]:
        return pack({"network": self.optimizer}, {"actions": self.generator})

    def load_training_state(self, state: Mapping[str, Tensor]) -> None:
        unpack(state, {"network": self.optimizer}, {"actions": self.generator})


class Exploding(Tiny):
    """Its loss becomes NaN in the fourth update."""

    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        observation, numbers = super().learn(envs, observation, progress)
        return Learned(observation, numbers | {"loss": float("nan")} if progress >= 3 / 7 else numbers)


class Raising(Tiny):
    """Finds a NaN itself in the fourth update."""

    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        if progress >= 3 / 7:
            raise FloatingPointError("gradient of the tiny network became inf")
        return super().learn(envs, observation, progress)


class Overflowing(Tiny):
    """Its weights become infinite in the fourth update, and no loss tells."""

    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        learned = super().learn(envs, observation, progress)
        if progress >= 3 / 7:
            self.network.weight.data.fill_(float("inf"))
        return learned


class WrongShape(Tiny):
    """Acts for one voxel too few."""

    def act(self, observation: Observation) -> Any:
        return super().act(observation)[..., 1:]


class NotANumber(Tiny):
    """Acts by numbers that are none."""

    def act(self, observation: Observation) -> Any:
        return torch.full(observation["probability"].shape, float("nan"))


class Unforeseen(Tiny):
    """Logs a number that its first update did not have."""

    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        observation, numbers = super().learn(envs, observation, progress)
        return Learned(observation, numbers | ({"surprise": 1.0} if progress else {}))


class Signalled(Tiny):
    """Gets a signal, its number in TINY_SIGNAL, in the middle of its fourth update, the first time."""

    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        once = Path(os.environ["TINY_ONCE"])
        if progress >= 3 / 7 and not once.exists():
            once.touch()
            os.kill(os.getpid(), int(os.environ["TINY_SIGNAL"]))
        return super().learn(envs, observation, progress)


class Bright(Agent):
    """Takes whatever is brighter than the mean; learns nothing."""

    learns = False

    def __init__(self, preset: Preset, task: TaskSpec, *, device: torch.device, seed: int) -> None:
        self.device = device

    def act(self, observation: Observation) -> Any:
        return (observation["volume"] > 0.3).to(torch.float32) - observation["probability"]

    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        return Learned(observation, {})

    def weights(self) -> dict[str, Tensor]:
        return {"none": torch.zeros(1)}

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        pass
