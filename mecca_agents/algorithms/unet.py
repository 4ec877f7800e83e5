"""3-D U-Net (Ronneberger et al., 2015), supervised and without hints: the usual baseline, MONAI's plain one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from mecca_agents.agent import Observation, TaskSpec
from mecca_agents.learning.mask_predictor import VolumePredictor
from mecca_agents.learning.rollout import stack_volume
from mecca_agents.presets import Preset


class UNetAgent(VolumePredictor):
    """The method; an `Agent`.

    Args:
        preset: Its settings; `network.channels` is the width of the first level, doubled at each further one.
        task: What it plays; continuous actions.
        device: Where its network lives.
        seed: Fixes its initial weights.
    """

    name = "unet"
    footnote = "MONAI's plain 3-D U-Net; the paper does not say which it takes."

    @classmethod
    def without_effect(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, str]:
        """Those of other networks, too."""
        other = ("network", "levels", "dilations", "shared_blocks")
        return super().without_effect(preset, settings) | dict.fromkeys(other, "it is MONAI's plain U-Net")

    def __init__(self, preset: Preset, task: TaskSpec, *, device: torch.device, seed: int) -> None:
        super().__init__(preset, task, device=device, seed=seed)
        levels = min(3, int(math.log2(min(task.shape) / 2)))
        self.add_network("unet", lambda: PaddedUNet(task.modalities, preset.network.channels, levels))

    def logits(self, observation: Observation) -> Tensor:
        """Of foreground, from the scan alone, (B, D, H, W)."""
        return self.outputs("unet", stack_volume(observation))["mask"].squeeze(1)


class PaddedUNet(nn.Module):
    """MONAI's `UNet`, without residual units, for grids of any size.

    The far ends are filled up with their last voxels and cut off again.

    Args:
        in_channels: Channels of the input.
        channels: Of the first level.
        levels: How often the grid is halved.
    """

    def __init__(self, in_channels: int, channels: int, levels: int) -> None:
        super().__init__()
        from monai.networks.nets import UNet  # takes longer to import than most programs take to need it

        self.multiple = 2**levels
        widths = [channels * 2**level for level in range(levels + 1)]
        self.unet = UNet(spatial_dims=3, in_channels=in_channels, out_channels=1, channels=widths, strides=[2] * levels)

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        """(B, C, D, H, W) float32 to "mask", (B, 1, D, H, W) logits."""
        sides = inputs.shape[2:]
        more = [-side % self.multiple for side in sides]
        filled = pad(inputs, (0, more[2], 0, more[1], 0, more[0]), mode="replicate")
        return {"mask": self.unet(filled)[:, :, : sides[0], : sides[1], : sides[2]]}
