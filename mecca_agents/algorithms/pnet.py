"""P-Net (Wang et al., 2019), supervised and without hints: what the trunk of all CNN methods can do alone."""

from __future__ import annotations

import torch
from torch import Tensor

from mecca_agents.agent import Observation, TaskSpec
from mecca_agents.learning.mask_predictor import VolumePredictor
from mecca_agents.learning.rollout import stack_volume
from mecca_agents.presets import Preset


class PNetAgent(VolumePredictor):
    """The method; an `Agent`.

    Args:
        preset: Its settings.
        task: What it plays; continuous actions.
        device: Where its network lives.
        seed: Fixes its initial weights.

    Raises:
        ValueError: The preset asks for another network.
    """

    name = "pnet"
    footnote = "Channels and dilations are the preset's; the paper gives neither."

    def __init__(self, preset: Preset, task: TaskSpec, *, device: torch.device, seed: int) -> None:
        super().__init__(preset, task, device=device, seed=seed)
        if preset.network.network != "pnet":
            raise ValueError(f"network: expected 'pnet' for the method of that name, got {preset.network.network!r}")
        self.add_cnn("proposal", task.modalities, {"mask": 1})

    def logits(self, observation: Observation) -> Tensor:
        """Of foreground, from the scan alone, (B, D, H, W)."""
        return self.outputs("proposal", stack_volume(observation))["mask"].squeeze(1)
