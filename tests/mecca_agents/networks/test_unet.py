"""U-Net with branches: shapes of any size, what a voxel sees, refusals; and that every learner learns with one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mecca_agents.agent import METHODS, find_method, make_agent
from mecca_agents.learning.network_agent import NetworkAgent
from mecca_agents.networks.convolution import QuickConvolution
from mecca_agents.networks.unet import UNet
from mecca_agents.presets import FAST, MECHANISMS, PRESETS
from mecca_agents.runs.config import read_config
from mecca_agents.runs.loading import make_task
from mecca_agents.training import train
from tests.support.envs import GRID, make_envs

PRESET = FAST.replace(
    **MECHANISMS, shape=GRID, num_envs=2, network="unet", levels=2, channels=4, evidence=True, confidence_channels=2
)
LEARNERS = [
    name
    for name in METHODS
    if issubclass(find_method(name), NetworkAgent) and name not in ("unet", "pnet")  # what those are is in their names
]


@pytest.mark.parametrize("sides", [(8, 8, 8), (9, 11, 13), (16, 8, 10)])
def test_every_branch_keeps_the_grid(sides: tuple[int, int, int]) -> None:
    network = UNet(3, {"policy": 6, "value": 1}, channels=4)
    outputs = network(torch.randn(2, 3, *sides))
    assert {name: tuple(out.shape) for name, out in outputs.items()} == {
        "policy": (2, 6, *sides),
        "value": (2, 1, *sides),
    }
    inputs = torch.randn(2, 3, *sides)
    alone = network(inputs, only="value")
    assert set(alone) == {"value"} and torch.equal(alone["value"], network(inputs)["value"])


def test_it_answers_one_volume_as_it_learns_from_it() -> None:
    torch.manual_seed(0)
    network, inputs = UNet(3, {"policy": 2}, channels=4), torch.randn(1, 3, 12, 11, 10)
    assert sum(isinstance(module, QuickConvolution) for module in network.modules()) >= 5
    learned = network(inputs)["policy"]
    with torch.inference_mode():  # by another way, which is several times as quick
        torch.testing.assert_close(network(inputs)["policy"], learned, atol=1e-5, rtol=1e-5)


def test_a_voxel_sees_what_lies_far_away() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(1, 1, 24, 24, 24, requires_grad=True)
    UNet(1, {"out": 1}, channels=4)(inputs)["out"][0, 0, 12, 12, 12].backward()
    assert inputs.grad is not None
    touched = inputs.grad[0, 0].abs().amax(dim=(1, 2)).nonzero()[:, 0]
    assert touched.min() <= 2 and touched.max() >= 21


@pytest.mark.parametrize("settings", [{"in_channels": 0}, {"channels": 0}, {"levels": 1}])
def test_impossible_settings_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        UNet(**{"in_channels": 1, "branches": {"out": 1}, **settings})


def test_the_policys_branch_learns_more_slowly_where_it_is_told_to() -> None:
    envs = make_envs(1)
    task = make_task(envs.config, 1)
    agent = make_agent("iter-mrl", PRESET.replace(policy_rate=0.5), task, device=torch.device("cpu"), seed=0)
    slow = {id(p) for p in agent.optimizers["segmentation"].param_groups[1]["params"]}  # type: ignore[attr-defined]
    named = agent.networks["segmentation"].named_parameters()  # type: ignore[attr-defined]
    assert {name.split(".")[2] for name, p in named if id(p) in slow} == {"policy"}


@pytest.mark.parametrize("method", LEARNERS)
@pytest.mark.parametrize("settings", [{"horizon": 3}, {"horizon": 3, "protocol": "mixed"}], ids=["paper", "mixed"])
def test_every_learner_takes_one(method: str, settings: dict[str, Any]) -> None:
    if method in ("deepigeos", "bs-iris") and "protocol" in settings:
        pytest.skip("its hints have no signs")
    preset = PRESET.replace(interaction_guide="protocol" not in settings)
    found = find_method(method)
    played = {**found.env_settings(preset, settings), **settings}
    envs = make_envs(2, **played)
    agent = make_agent(method, preset, make_task(envs.config, 1), device=torch.device("cpu"), seed=0)
    before = {key: value.clone() for key, value in agent.weights().items()}
    observation, _ = envs.reset(seed=0)
    for progress in (0.0, 0.6):  # DeepIGeoS's second network learns in the second half
        observation, numbers = agent.learn(envs, observation, progress)
    after = agent.weights()
    names = [key for key, value in after.items() if value.is_floating_point() and "confidence" not in key]
    assert all(not torch.equal(before[key], after[key]) for key in names if key.endswith("0.weight"))
    again = make_agent(method, preset, make_task(envs.config, 1), device=torch.device("cpu"), seed=1)
    again.load_weights(after)
    one, other = again.act(observation), agent.act(observation)
    for key in ["adjustment", "confidence"] if isinstance(one, dict) else [...]:
        assert torch.equal(one[key], other[key])


def test_a_preset_says_whose_prompts_a_training_has_where_none_are_asked_for(tmp_path: Path) -> None:
    small = PRESETS["general"].replace(shape=GRID, num_envs=1, updates=1, channels=2)
    for asked, protocol in (({}, "mixed"), ({"protocol": "one-click"}, "one-click")):
        train("intercnn", "MECCA-Phantom-v0", tmp_path / protocol, preset=small, settings=asked, device="cpu")
        assert read_config(tmp_path / protocol).environment["protocol"] == protocol


def test_a_method_that_is_called_after_its_network_keeps_it() -> None:
    envs = make_envs(1, action="continuous")
    with pytest.raises(ValueError, match="^network: expected 'pnet' for the method of that name, got 'unet'"):
        make_agent("pnet", PRESET, make_task(envs.config, 1), device=torch.device("cpu"), seed=0)
