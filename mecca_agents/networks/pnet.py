"""P-Net, the network of every CNN method in the paper (Wang et al., 2019; Fig. 4), with one branch for each output."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mecca_agents.networks.convolution import Mix, RectifiedConvolution, Squeeze


class PNet(nn.Module):
    """Dilated convolutions at full resolution: blocks that all branches share, then each branch's own (Fig. 4).

    Each block is two 3x3x3 convolutions of one dilation, so dilations 1 to 5 see 61 voxels, a little more than the
    grid's 55. In every branch the outputs of all blocks are compressed by 1x1x1 convolutions, concatenated, and
    classified by two 1x1x1 convolutions. The paper gives neither channels nor dilations.

    Args:
        in_channels: Channels of the input.
        branches: Output channels of each branch, by name.
        channels: Channels of the blocks.
        dilations: Dilation of each block.
        shared_blocks: How many of the blocks all branches share; all of them where there are fewer.
        dropout: Probability that a compressed feature is dropped before it is classified, in training mode.

    Raises:
        ValueError: No block, or a number below 1.
    """

    def __init__(
        self,
        in_channels: int,
        branches: Mapping[str, int],
        channels: int = 16,
        dilations: Sequence[int] = (1, 2, 3, 4, 5),
        shared_blocks: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not dilations or min(*dilations, channels, in_channels, shared_blocks, 1) < 1:
            given = f"{channels} channels, dilations {tuple(dilations)}, {shared_blocks} shared blocks"
            raise ValueError(f"expected channels, dilations and shared blocks of at least 1, got {given}")
        self.min_side = max(dilations) + 1
        first, rest = dilations[:shared_blocks], dilations[shared_blocks:]
        self.shared = _Blocks(in_channels, channels, first)
        self.branches = nn.ModuleDict(
            {
                name: _Branch(channels, rest, len(first) * self.shared.squeezed, out, dropout)
                for name, out in branches.items()
            }
        )
        self.apply(_xavier)
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def forward(self, inputs: Tensor, only: str | None = None) -> dict[str, Tensor]:
        """(B, C, D, H, W) float32 to a (B, out, D, H, W) map for every branch, or for `only` one.

        Raises:
            ValueError: A side is below `min_side`.
        """
        if min(inputs.shape[2:]) < self.min_side:
            raise ValueError(f"expected sides of at least {self.min_side} voxels, got {tuple(inputs.shape[2:])}")
        return self.branched(inputs.to(memory_format=torch.channels_last_3d), only)

    def branched(self, inputs: Tensor, only: str | None = None) -> dict[str, Tensor]:
        """The forward pass in the memory format of the inputs."""
        features, seen = self.shared(inputs)
        return {name: branch(features, seen) for name, branch in self.branches.items() if only in (None, name)}


class _Blocks(nn.Module):
    """Blocks one after another.

    Returns:
        What comes out of the last, (B, channels, D, H, W), and of each of them, compressed and rectified, side by side,
        (B, squeezed * blocks, voxels).
    """

    def __init__(self, in_channels: int, channels: int, dilations: Sequence[int]) -> None:
        super().__init__()
        widths = [in_channels, *[channels] * len(dilations)]
        self.blocks = nn.ModuleList(_block(width, channels, d) for width, d in zip(widths, dilations, strict=False))
        self.squeezed = max(channels // 4, 1)
        self.squeeze = nn.ModuleList(Squeeze(channels, self.squeezed) for _ in dilations)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        seen = []
        for block, squeeze in zip(self.blocks, self.squeeze, strict=True):
            features = block(features)
            seen.append(squeeze(features).flatten(2))
        return features, torch.cat(seen, dim=1).relu_()


class _Branch(nn.Module):
    """A branch's own blocks and its classifier on everything seen."""

    def __init__(self, channels: int, dilations: Sequence[int], squeezed: int, out: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.own = _Blocks(channels, channels, dilations)
        width = squeezed + len(dilations) * self.own.squeezed
        self.classify = nn.Sequential(Mix(width, channels), nn.ReLU(inplace=True), Mix(channels, out))

    def forward(self, features: Tensor, seen: Tensor) -> Tensor:
        if self.own.blocks:
            seen = torch.cat((seen, self.own(features)[1]), dim=1)
        if self.dropout:
            seen = torch.nn.functional.dropout(seen, self.dropout, self.training)
        classified: Tensor = self.classify(seen)
        return classified.view(len(features), -1, *features.shape[2:])


def _block(in_channels: int, channels: int, dilation: int) -> nn.Sequential:
    first = RectifiedConvolution(in_channels, channels, dilation)
    second = RectifiedConvolution(channels, channels, dilation)
    return nn.Sequential(OrderedDict({"0": first, "2": second}))  # the names that weights are kept under


def _xavier(module: nn.Module) -> None:
    """Xavier initialisation (Sec. 4.1)."""
    if isinstance(module, nn.Conv3d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
