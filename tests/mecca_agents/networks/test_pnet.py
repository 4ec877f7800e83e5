"""P-Net: shapes, receptive field, refusals."""

from __future__ import annotations

import pytest
import torch

from mecca_agents.networks.pnet import PNet
from mecca_agents.presets import Precision
from mecca_agents.runtime.devices import autocast


def test_every_branch_keeps_the_grid() -> None:
    outputs = PNet(3, {"policy": 6, "value": 1}, channels=4)(torch.randn(2, 3, 9, 8, 7))
    assert {name: tuple(out.shape) for name, out in outputs.items()} == {
        "policy": (2, 6, 9, 8, 7),
        "value": (2, 1, 9, 8, 7),
    }


@pytest.mark.parametrize(("dilations", "reach"), [((1,), 2), ((1, 2), 6), ((1, 2, 3, 4, 5), 30)])
def test_receptive_field_is_twice_the_sum_of_the_dilations(dilations: tuple[int, ...], reach: int) -> None:
    torch.manual_seed(0)
    network = PNet(1, {"out": 1}, channels=4, dilations=dilations).double()
    for parameter in network.parameters():
        parameter.data.abs_()  # so that no path is cut by a rectifier
    side = 2 * reach + 9
    line = torch.rand(1, 1, side, max(dilations) + 1, max(dilations) + 1, dtype=torch.float64, requires_grad=True)
    network(line)["out"][0, 0, side // 2].sum().backward()
    touched = line.grad.abs().amax(dim=(0, 1, 3, 4)).nonzero()[:, 0]
    assert touched.min() == side // 2 - reach and touched.max() == side // 2 + reach


def test_a_grid_smaller_than_the_dilations_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 6 voxels, got .5, 9, 9"):
        PNet(1, {"out": 1}, channels=4)(torch.zeros(1, 1, 5, 9, 9))


@pytest.mark.parametrize("settings", [{"dilations": ()}, {"dilations": (0,)}, {"channels": 0}])
def test_impossible_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        PNet(1, {"out": 1}, **settings)


def test_branches_share_the_first_blocks_alone() -> None:
    network = PNet(2, {"policy": 6, "value": 1}, channels=4, dilations=(1, 2, 3, 4), shared_blocks=3)
    outputs = network(torch.randn(1, 2, 8, 8, 8))
    outputs["value"].sum().backward()
    learned = {name.rsplit(".", 1)[0] for name, p in network.named_parameters() if p.grad is not None}
    assert not any(name.startswith("branches.policy") for name in learned)
    assert len(network.shared.blocks) == 3
    assert all(len(branch.own.blocks) == 1 for branch in network.branches.values())
    assert "shared.blocks.0.0" in learned and "branches.value.own.blocks.0.0" in learned


@pytest.mark.cuda
def test_in_bfloat16_it_learns_from_nearly_the_same_gradients() -> None:
    torch.manual_seed(0)
    network = PNet(3, {"out": 2}, 16, (1, 2, 3), shared_blocks=2).to("cuda")
    inputs = torch.randn(2, 3, 12, 11, 10, device="cuda")

    def gradients(given: torch.Tensor, precision: Precision) -> torch.Tensor:
        network.zero_grad()
        with autocast(given.device, precision):
            network(given)["out"].double().square().mean().backward()
        return torch.cat([p.grad.flatten().double() for p in network.parameters() if p.grad is not None])

    rounded = gradients(inputs, "bf16")
    network.double()
    exact = gradients(inputs.double(), "float32")
    assert 1e-4 < float((rounded - exact).norm() / exact.norm()) < 3e-2
