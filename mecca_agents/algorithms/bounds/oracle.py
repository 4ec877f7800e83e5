"""The best action for every voxel, with the label at hand: what no method can beat."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mecca_agents.agent import Observation
from mecca_agents.learning.untrained import Untrained
from mecca_env.vector_env import MeccaVectorEnv


class Oracle(Untrained):
    """The method; an `Agent`. It raises foreground and lowers background as far as one action can."""

    name = "oracle"

    def enter(self, envs: MeccaVectorEnv) -> None:
        """Remember whose labels to look at."""
        self._envs = envs

    def mask(self, label: Tensor) -> Tensor:
        """The foreground that it goes for, (B, D, H, W) bool: all of the label, (B, D, H, W) bool."""
        return label

    def act(self, observation: Observation) -> Any:
        """One action for each voxel, (B, D, H, W) int64.

        Raises:
            RuntimeError: It was not told of the environment whose labels it has to look at (`enter`).
        """
        if not hasattr(self, "_envs"):
            raise RuntimeError(f"{self.name}: expected enter(envs) before act(), since it looks at the labels of envs")
        return self.towards(self.mask(self._envs.state.label))

    def towards(self, mask: Tensor) -> Tensor:
        """The action that goes as far towards a mask, (B, D, H, W) bool, as one can."""
        adjustments = torch.tensor(self.task.adjustments)
        highest, lowest = int(adjustments.argmax()), int(adjustments.argmin())
        return torch.where(mask, highest, lowest)
