"""Where a method computes, and how its convolutions are chosen there."""

from __future__ import annotations

import pytest
import torch

from mecca_agents.runtime.devices import autocast, find_device, tuned


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


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bf16", torch.bfloat16)])
def test_convolutions_have_the_precision_asked_for(precision: str, dtype: torch.dtype) -> None:
    with autocast(torch.device("cpu"), precision):  # type: ignore[arg-type]
        assert torch.nn.Conv3d(1, 1, 1)(torch.zeros(1, 1, 2, 2, 2)).dtype == dtype
