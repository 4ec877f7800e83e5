"""The convolution in bfloat16: the same as torch's, by another way to the gradient of its weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv3d

from mecca_agents.bfloat16_convolution import LEAST_DEPTH, bfloat16_convolution, subgrids
from mecca_agents.networks import convolution
from mecca_agents.networks.pnet import PNet
from mecca_agents.presets import Precision
from mecca_agents.runtime.devices import autocast

Values = tuple[Tensor, Tensor, Tensor]


def _values(shape: tuple[int, int, int], seed: int = 0) -> Values:
    """Input, weight and bias, float64."""
    draw = torch.Generator().manual_seed(seed)
    sizes = ((2, 5, *shape), (6, 5, 3, 3, 3), (6,))
    inputs, weight, bias = (torch.randn(size, generator=draw, dtype=torch.float64) for size in sizes)
    return inputs.to(memory_format=torch.channels_last_3d), weight, bias


def _found(convolve: Any, values: Values, dtype: torch.dtype) -> list[Tensor]:
    """The result and the gradients of input, weight and bias, float64."""
    leaves = [tensor.to(dtype).requires_grad_() for tensor in values]
    result = convolve(*leaves)
    ramp = torch.linspace(-1, 2, result.numel(), dtype=torch.float64).view_as(result).to(result.dtype)
    return [result.detach().double(), *(g.double() for g in torch.autograd.grad(result, leaves, ramp))]


def _error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("apart", [1, 2, 3, 5])
@pytest.mark.parametrize("shape", [(6, 6, 6), (11, 7, 8)])
def test_subgrids_are_the_voxels_a_multiple_of_the_distance_apart(apart: int, shape: tuple[int, int, int]) -> None:
    values = (torch.rand(2, 3, *shape) + 1).contiguous(memory_format=torch.channels_last_3d)
    grids = subgrids(values, apart)
    assert grids.shape[:2] == (2 * apart**3, 3) and grids.shape[2] >= LEAST_DEPTH
    assert grids.is_contiguous(memory_format=torch.channels_last_3d)
    number = 0
    for row in values:
        for d in range(apart):
            for h in range(apart):
                for w in range(apart):
                    expected = row[:, d::apart, h::apart, w::apart]
                    _, *sides = expected.shape
                    found = grids[number]
                    assert torch.equal(found[:, : sides[0], : sides[1], : sides[2]], expected)
                    assert int((found != 0).sum()) == expected.numel()  # nothing but zeros beyond
                    number += 1


@pytest.mark.parametrize("dilation", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(8, 8, 8), (13, 10, 9), (2, 7, 6)])
def test_it_is_as_near_to_float64_as_torchs_own(dilation: int, shape: tuple[int, int, int]) -> None:
    values = _values(shape)

    def plain(*given: Tensor) -> Tensor:
        return conv3d(*given, padding=dilation, dilation=dilation)

    expected = _found(plain, values, torch.float64)
    theirs = _found(plain, values, torch.bfloat16)
    ours = _found(lambda *given: bfloat16_convolution(*given, dilation), values, torch.float32)
    for mine, other, truth in zip(ours, theirs, expected, strict=True):
        assert _error(mine, truth) < 1e-2
        assert not _error(mine, truth) > 1.1 * _error(other, truth)  # theirs may be NaN (`LEAST_DEPTH`)


def test_no_gradient_is_worked_out_that_nobody_wants() -> None:
    inputs, weight, bias = (tensor.float() for tensor in _values((8, 7, 6)))
    weight.requires_grad_()
    bfloat16_convolution(inputs, weight, bias, 2).float().sum().backward()
    assert inputs.grad is None and weight.grad is not None and weight.grad.dtype == torch.float32


@pytest.mark.parametrize("autocast", [True, False])
def test_the_network_takes_it_in_bfloat16_alone(autocast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = convolution.bfloat16_convolution
    monkeypatch.setattr(convolution, "bfloat16_convolution", lambda *given: calls.append(given[-1]) or real(*given))
    network = PNet(3, {"out": 2}, 8, (1, 2, 3), shared_blocks=2)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        network(torch.randn(1, 3, 9, 8, 7))
    assert calls == ([1, 1, 2, 2, 3, 3] if autocast else [])


def test_a_network_in_bfloat16_learns_from_nearly_the_same_gradients(device: str) -> None:
    torch.manual_seed(0)
    network = PNet(3, {"out": 2}, 16, (1, 2, 3), shared_blocks=2).to(device)
    inputs = torch.randn(2, 3, 12, 11, 10, device=device)

    def gradients(given: Tensor, precision: Precision) -> Tensor:
        network.zero_grad()
        with autocast(given.device, precision):
            network(given)["out"].double().square().mean().backward()
        return torch.cat([p.grad.flatten().double() for p in network.parameters() if p.grad is not None])

    rounded = gradients(inputs, "bf16")
    network.double()
    exact = gradients(inputs.double(), "float32")
    assert 1e-4 < _error(rounded, exact) < 3e-2
