"""Tensors from the host to the device, without waiting for what the device is doing."""

from __future__ import annotations

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor.to(device)`; to a GPU through page-locked memory, so that the copy only takes its place in the stream.

    An ordinary copy to a GPU returns when all that was asked of the GPU before is done.
    """
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return (tensor if tensor.is_pinned() else tensor.pin_memory()).to(device, non_blocking=True)
