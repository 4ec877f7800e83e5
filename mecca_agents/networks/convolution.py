"""P-Net's 3x3x3 convolution with its rectifier, 1x1x1 convolutions as matrix products, and what quickens others."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv3d, linear


class RectifiedConvolution(nn.Conv3d):
    """max(0, 3x3x3 convolution) that keeps the grid.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        dilation: Distance of the voxels that it looks at.
    """

    def __init__(self, in_channels: int, out_channels: int, dilation: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=dilation, dilation=dilation)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, in, D, H, W) to (B, out, D, H, W), in the memory format of the inputs."""
        apart, ones = list(self.dilation), [1, 1, 1]
        if _detours(inputs):
            result: Tensor = torch.ops.mkldnn._convolution_pointwise(
                inputs, self.weight, self.bias, apart, ones, apart, 1, "relu", [], ""
            )
            return result
        return conv3d(inputs, self.weight, self.bias, padding=apart, dilation=apart).relu_()


class QuickConvolution(nn.Conv3d):
    """A convolution like any other that answers a single small volume as quickly as several."""

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, in, D, H, W) to (B, out, D', H', W')."""
        if not _detours(inputs):
            return super().forward(inputs)
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(
            *(inputs, self.weight, self.bias, list(self.padding), list(self.stride), list(self.dilation)),
            *(self.groups, "none", [], ""),
        )
        return result


def quickened(network: nn.Module) -> nn.Module:
    """The network, all its plain 3-D convolutions `QuickConvolution`."""
    for module in network.modules():
        if type(module) is nn.Conv3d and not isinstance(module.padding, str):
            module.__class__ = QuickConvolution
    return network


class Squeeze(nn.Conv3d):
    """A 1x1x1 convolution, (B, in, D, H, W) to (B, out, D, H, W) channels last: on a CPU several times quicker."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """As a matrix product whose gradients are channels last, too."""
        return linear(inputs.movedim(1, -1), self.weight.flatten(1), self.bias).movedim(-1, 1)


class Mix(nn.Conv3d):
    """A 1x1x1 convolution of a flat grid, (B, in, voxels) to (B, out, voxels): on a CPU several times quicker."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """As a matrix product."""
        assert self.bias is not None
        weight = self.weight.flatten(1).expand(len(inputs), -1, -1)
        return torch.baddbmm(self.bias.view(1, -1, 1), weight, inputs)


def _detours(inputs: Tensor) -> bool:
    """Whether torch might send a single small volume past oneDNN, at a fifth of the speed; without gradients alone."""
    on_cpu = inputs.device.type == "cpu" and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    plain = inputs.dtype == torch.float32 and not torch.is_autocast_enabled(inputs.device.type)
    return on_cpu and plain and not torch.is_grad_enabled()
