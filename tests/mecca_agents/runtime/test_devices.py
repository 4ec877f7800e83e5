"""Where a method computes, and how its convolutions are chosen there."""

from __future__ import annotations

import pytest
import torch

from mecca_agents.presets import NetworkSettings, Precision
from mecca_agents.runtime.devices import autocast, check_trainable, find_device, tuned


@pytest.mark.parametrize("name", ["tpu", "cuda:99", ""])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="device: expected"):
        find_device(name)


def test_a_device_by_itself_is_the_gpu_where_there_is_one() -> None:
    assert find_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize(("kind", "tries"), [("cpu", False), ("cuda", True)])
def test_convolutions_are_tried_out_on_a_gpu_and_for_as_long_as_that_lasts(kind: str, tries: bool) -> None:
    with pytest.raises(RuntimeError), tuned(torch.device(kind)):
        assert torch.backends.cudnn.benchmark is tries
        raise RuntimeError
    assert torch.backends.cudnn.benchmark is False


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_convolutions_are_in_bfloat16_on_a_gpu_that_is_asked_for_it(device: str, precision: Precision) -> None:
    layer, inputs = torch.nn.Conv3d(1, 1, 1).to(device), torch.zeros(1, 1, 2, 2, 2, device=device)
    with autocast(torch.device(device), precision):
        lower = precision == "bf16" and device != "cpu"
        assert layer(inputs).dtype == (torch.bfloat16 if lower else torch.float32)


def test_a_cpu_trains_plainly_and_in_float32_alone() -> None:
    lower, compiled = NetworkSettings(precision="bf16"), NetworkSettings(compile=True)
    with pytest.raises(ValueError, match="precision: expected float32 in a training on a CPU, got 'bf16'"):
        check_trainable(torch.device("cpu"), lower)
    with pytest.raises(ValueError, match="compile: expected False in a training on a CPU, got True"):
        check_trainable(torch.device("cpu"), compiled)
    check_trainable(torch.device("cpu"), NetworkSettings())
    for settings in (lower, compiled):
        check_trainable(torch.device("cuda"), settings)
