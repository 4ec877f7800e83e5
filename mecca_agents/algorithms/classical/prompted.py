"""What methods from before networks have in common: a mask from the seeds of each episode, made on the host."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from mecca_agents.agent import Observation, TaskSpec
from mecca_agents.algorithms.classical.seeds import Seeds, seeds_of
from mecca_agents.learning.rollout import stack_volume
from mecca_agents.learning.untrained import Untrained
from mecca_agents.presets import Preset


class Prompted(Untrained):
    """Shows a mask that follows from prompts and scan, in one action; an `Agent`.

    Args:
        preset: Its settings; none of them matters.
        task: What it plays; continuous actions, no guide, and signed prompts.
        device: Where its actions are made.
        seed: Changes nothing.

    Raises:
        ValueError: The prompts have no signs, or as `Untrained`.
    """

    kind: ClassVar[str] = "continuous"
    sees_hints = True

    def __init__(self, preset: Preset, task: TaskSpec, *, device: torch.device, seed: int) -> None:
        if task.hints != 2:
            raise ValueError(
                f"{self.name}: expected clicks inside and outside the target (signed=True), got clicks without a side"
            )
        super().__init__(preset, task, device=device, seed=seed)

    @classmethod
    def env_settings(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Continuous actions, too."""
        return {**super().env_settings(preset, settings), "action": "continuous"}

    @abstractmethod
    def mask(self, volume: NDArray[np.float32], seeds: Seeds) -> NDArray[np.bool_]:
        """The target, (D, H, W), of an episode.

        Args:
            volume: The scan, z-scored, (M, D, H, W).
            seeds: What is known; at least one voxel is inside and one outside.
        """

    def act(self, observation: Observation) -> Any:
        """The action that leads to the mask, (B, D, H, W) float32. Without a seed inside there is no target."""
        volumes = stack_volume(observation).cpu().numpy()
        boxes = observation.get("box")
        masks = np.zeros((len(volumes), *self.task.shape), bool)
        for row, (volume, hint) in enumerate(zip(volumes, observation["hint"].cpu().numpy(), strict=True)):
            seeds = seeds_of(hint, None if boxes is None else boxes[row].cpu().numpy())
            if seeds.inside.any():
                masks[row] = self.mask(volume, seeds) if seeds.outside.any() else seeds.inside
        probability = observation["probability"]
        return torch.from_numpy(masks).to(probability) - probability
