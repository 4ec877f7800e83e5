"""A U-Net (Ronneberger et al., 2015) with one branch for each output: what is quick where few voxels matter.

Its convolutions begin on a grid half as fine; each branch comes back to the full one. So a volume takes a fraction of
the time that P-Net takes for it, and every voxel sees all others.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from mecca_agents.networks.convolution import quickened


class UNet(nn.Module):
    """MONAI's plain U-Net as a trunk, and for every branch two convolutions of it and of the inputs.

    The far ends of grids of any size are filled up with their last voxels and cut off again.

    Args:
        in_channels: Channels of the input.
        branches: Output channels of each branch, by name.
        channels: Channels on the full grid; twice as many on the next coarser one, then four, six, ... times.
        levels: Coarser grids, each half as fine as the one before.
        dropout: Probability that a feature of the trunk is dropped, in training mode.

    Raises:
        ValueError: A number below 1, or fewer than two levels.
    """

    def __init__(
        self,
        in_channels: int,
        branches: Mapping[str, int],
        channels: int = 16,
        levels: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if min(in_channels, channels) < 1 or levels < 2:
            given = f"{in_channels} inputs, {channels} channels, {levels} levels"
            raise ValueError(f"expected inputs and channels of at least 1, and two levels at least, got {given}")
        from monai.networks.nets import UNet as Plain  # takes longer to import than most programs take to need it

        widths = [2 * channels * (level + 1) for level in range(levels)]
        halved = [2] * (levels - 1)
        self.multiple = 2 ** (levels - 1)
        self.trunk = Plain(3, in_channels, channels, widths, halved, dropout=dropout)
        self.branches = nn.ModuleDict(
            {name: _branch(channels + in_channels, channels, out) for name, out in branches.items()}
        )
        quickened(self)

    def forward(self, inputs: Tensor, only: str | None = None) -> dict[str, Tensor]:
        """(B, C, D, H, W) float32 to a (B, out, D, H, W) map for every branch, or for `only` one."""
        d, h, w = inputs.shape[2:]
        filled = pad(inputs, (0, -w % self.multiple, 0, -h % self.multiple, 0, -d % self.multiple), mode="replicate")
        seen = torch.cat((self.trunk(filled), filled), dim=1)
        return {name: branch(seen)[:, :, :d, :h, :w] for name, branch in self.branches.items() if only in (None, name)}


def _branch(in_channels: int, channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(in_channels, channels, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv3d(channels, channels, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv3d(channels, out, 1),
    )
