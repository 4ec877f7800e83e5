"""Random actions: what every method has to beat."""

from __future__ import annotations

from typing import Any

import torch

from mecca_agents.agent import Observation
from mecca_agents.learning.untrained import Untrained


class RandomAgent(Untrained):
    """The method; an `Agent`. Every voxel takes each of its actions equally often."""

    name = "random"

    def act(self, observation: Observation) -> Any:
        """One action for each voxel, (B, D, H, W) int64."""
        shape, choices = observation["probability"].shape, len(self.task.adjustments)
        return torch.randint(choices, shape, generator=self.generator, device=self.device)
