"""P-Net, the network of every CNN method in the paper (Wang et al., 2019; Fig. 4), with one head for each output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


class PNet(nn.Module):
    """A trunk of dilated convolutions at full resolution, and 1x1x1 heads on everything it has seen.

    Each block is two 3x3x3 convolutions of one dilation, so dilations 1 to 5 see 61 voxels, a little more than the
    grid's 55. The outputs of all blocks are compressed by 1x1x1 convolutions and concatenated. The paper gives neither
    channels nor dilations.

    Args:
        in_channels: Channels of the input.
        heads: Output channels of each head, by name.
        channels: Channels of the trunk.
        dilations: Dilation of each block.

    Raises:
        ValueError: No block, or a number below 1.
    """

    def __init__(
        self,
        in_channels: int,
        heads: Mapping[str, int],
        channels: int = 16,
        dilations: Sequence[int] = (1, 2, 3, 4, 5),
    ) -> None:
        super().__init__()
        if not dilations or min(*dilations, channels, in_channels, 1) < 1:
            raise ValueError(f"expected channels and dilations of at least 1, got {channels} and {tuple(dilations)}")
        self.min_side = max(dilations) + 1
        widths = [in_channels] + [channels] * (len(dilations) - 1)
        self.blocks = nn.ModuleList(_block(width, channels, d) for width, d in zip(widths, dilations, strict=True))
        squeezed = max(channels // 4, 1)
        self.squeeze = nn.ModuleList(nn.Conv3d(channels, squeezed, 1) for _ in dilations)
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Conv3d(squeezed * len(dilations), channels, 1), nn.ReLU(), nn.Conv3d(channels, out, 1)
                )
                for name, out in heads.items()
            }
        )
        self.apply(_xavier)

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        """(B, C, D, H, W) float32 to a (B, out, D, H, W) map for every head. A side below `min_side` is refused."""
        if min(inputs.shape[2:]) < self.min_side:
            raise ValueError(f"expected sides of at least {self.min_side} voxels, got {tuple(inputs.shape[2:])}")
        seen, features = [], inputs
        for block, squeeze in zip(self.blocks, self.squeeze, strict=True):
            features = block(features)
            seen.append(squeeze(features))
        trunk = torch.cat(seen, dim=1).relu()
        return {name: head(trunk) for name, head in self.heads.items()}


def _block(in_channels: int, channels: int, dilation: int) -> nn.Sequential:
    def convolution(width: int) -> nn.Conv3d:
        return nn.Conv3d(width, channels, 3, padding=dilation, dilation=dilation)

    return nn.Sequential(convolution(in_channels), nn.ReLU(), convolution(channels), nn.ReLU())


def _xavier(module: nn.Module) -> None:
    """Xavier initialisation (Sec. 4.1)."""
    if isinstance(module, nn.Conv3d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
