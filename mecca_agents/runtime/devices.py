"""The device that a method computes on, and its precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mecca_agents.presets import NetworkSettings, Precision
from mecca_env.arguments import read_device


def find_device(name: str) -> torch.device:
    """The device called "auto", "cpu", "cuda" or "cuda:1". Raises `ValueError` where there is none."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.partition(":")[0] not in ("cpu", "cuda"):
        raise ValueError(f"device: expected auto, cpu or cuda, got {name!r}")
    return read_device(name)


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """A context in which a GPU's convolutions run in bfloat16 with precision "bf16"; all others run in float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16" and device.type != "cpu")


def check_trainable(device: torch.device, network: NetworkSettings) -> None:
    """Refuse a training on a CPU in bfloat16 or compiled; what was trained so on a GPU acts there, plainly in float32.

    Torch's own autocast on a CPU was tried (torch 2.13). An update takes longer than in float32, twenty times as long
    on a processor with AVX2 alone; and with AVX-512 BF16 oneDNN takes the weight gradient of a 3x3x3 convolution of an
    input two voxels deep, as U-Net has them, from memory that nobody wrote. Compiled there, 3-D convolutions write
    beyond their memory: numbers of up to 1e38 with one thread and `ONEDNN_MAX_CPU_ISA=AVX2`, a damaged heap without.

    Raises:
        ValueError: It is one of these; the message names the setting.
    """
    if device.type != "cpu":
        return
    if network.precision == "bf16":
        raise ValueError("precision: expected float32 in a training on a CPU, got 'bf16', which is for GPUs")
    if network.compile:
        raise ValueError("compile: expected False in a training on a CPU, got True, which is for GPUs")


@contextmanager
def tuned(device: torch.device) -> Iterator[None]:
    """A context in which cuDNN tries at the first pass which of its convolutions is the quickest for each shape."""
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark
    cudnn.benchmark = before or device.type == "cuda"
    try:
        yield
    finally:
        cudnn.benchmark = before
