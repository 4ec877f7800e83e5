"""What saves memory or time in an update changes nothing but the last bits of it."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mecca_agents.agent import TaskSpec, make_agent
from mecca_agents.algorithms.mecca import Mecca
from mecca_agents.algorithms.ua_mt import MeanTeacher
from mecca_agents.learning import network_agent
from mecca_agents.learning.rollout import Rollout, collect, stack_observation
from mecca_agents.networks.pnet import PNet
from mecca_agents.presets import FAST, MECHANISMS, Preset
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.envs import SETTINGS, make_envs

PRESET = FAST.replace(
    **MECHANISMS,
    shape=SETTINGS["shape"],
    channels=8,
    dilations=(1, 2),
    shared_blocks=1,
    confidence_steps=None,
    policy_head="actions",
    n_steps=None,
)


def _play(preset: Preset, num_envs: int = 3, device: str = "cpu", **settings: Any) -> tuple[Mecca, MeccaVectorEnv]:
    envs = make_envs(num_envs, device=device, **{**Mecca.env_settings(preset, settings), **settings})
    config = envs.config
    task = TaskSpec(config.shape, 1, config.adjustments, config.action, config.guide)
    agent = make_agent("mecca", preset, task, device=torch.device(device), seed=0)
    assert isinstance(agent, Mecca)
    return agent, envs


def _gradients(preset: Preset) -> tuple[dict[str, Tensor], Rollout]:
    """Of both networks, from the first rollout of four episodes of which two are labelled."""
    agent, envs = _play(preset, 4, labelled_fraction=0.5)
    rollout = collect(envs, envs.reset(seed=0)[0], agent.decide, envs.config.horizon)
    agent.backward(agent.losses(agent.teach(rollout, envs, 0.5), 0.5).total)
    agent.backward_confidence(rollout, torch.arange(len(rollout.states)))
    return {name: p.grad for name, p in agent.networks.named_parameters() if p.grad is not None}, rollout


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_chunks_give_the_same_gradients(chunk: int) -> None:
    whole, rollout = _gradients(PRESET)
    parts, again = _gradients(PRESET.replace(chunk=chunk))
    assert torch.equal(rollout.action, again.action)
    assert whole.keys() == parts.keys() and {name.partition(".")[0] for name in whole} == {"segmentation", "confidence"}
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, rtol=1e-3, atol=1e-5 * float(gradient.abs().max()), msg=name)


def test_what_is_computed_again_drops_the_same_features(monkeypatch: pytest.MonkeyPatch) -> None:
    def gradients() -> dict[str, Tensor]:
        settings = MeanTeacher.env_settings(PRESET, {})
        envs = make_envs(3, **settings)
        task = TaskSpec(envs.config.shape, 1, envs.config.adjustments, envs.config.action, False)
        agent = make_agent("ua-mt", PRESET.replace(chunk=2), task, device=torch.device("cpu"), seed=0)
        assert isinstance(agent, MeanTeacher)
        observation, _ = envs.reset(seed=0)
        agent.backward(agent.loss(agent.logits(observation), envs, observation, 0.5))
        return {name: p.grad for name, p in agent.networks.named_parameters() if p.grad is not None}

    again = gradients()
    monkeypatch.setattr(network_agent, "checkpoint", lambda network, part, only=None, **_: network(part))
    kept = gradients()
    assert again.keys() == kept.keys() and again
    for name, gradient in kept.items():
        torch.testing.assert_close(again[name], gradient, msg=name)


class _Live(TorchDispatchMode):
    """Bytes of all tensors made within it that are alive, and the most there ever were."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and (storage := tensor.untyped_storage()) not in self._known:
                self._known.add(storage)
                self.now += storage.nbytes()
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self._gone, storage.nbytes())
        return result

    def _gone(self, size: int) -> None:
        self.now -= size


def _peak(preset: Preset) -> int:
    agent, envs = _play(preset)
    observation, _ = envs.reset(seed=0)
    agent.learn(envs, observation, 0.0)  # the optimisers' moments are there from here on
    with _Live() as live:
        agent.learn(envs, observation, 0.5)
    return live.most


def test_chunks_need_a_fraction_of_the_memory() -> None:
    preset = PRESET.replace(channels=16, confidence_channels=16)
    whole, step, least = (_peak(preset.replace(chunk=chunk)) for chunk in (None, 3, 1))
    assert least < step < whole
    assert least < whole / 2


def test_one_volume_is_answered_like_several() -> None:
    agent, envs = _play(PRESET)
    observation, _ = envs.reset(seed=0)
    together = agent.act(observation)
    alone = agent.act({key: value[:1] for key, value in observation.items()})
    assert (alone["adjustment"][0] == together["adjustment"][0]).float().mean() > 0.99  # but for ties
    torch.testing.assert_close(alone["confidence"][0], together["confidence"][0], rtol=1e-4, atol=1e-5)
    assert not any(value.is_inference() or value.requires_grad for value in (*alone.values(), *together.values()))


def _outputs(network: PNet, inputs: Tensor) -> dict[str, Tensor]:
    return {name: values.detach().double() for name, values in network(inputs).items()}


@pytest.mark.parametrize("gradients", [True, False])
def test_the_network_is_that_of_float64(gradients: bool) -> None:
    torch.manual_seed(0)
    network = PNet(3, {"policy": 6, "value": 1}, 16, (1, 2, 3), shared_blocks=2)
    inputs = torch.randn(1, 3, 9, 8, 7)
    with torch.set_grad_enabled(gradients):
        single = _outputs(network, inputs)
    double = _outputs(network.double(), inputs.double())
    for name, values in double.items():
        torch.testing.assert_close(single[name], values, rtol=0, atol=1e-5 * float(values.detach().abs().max()))


@pytest.mark.slow
@pytest.mark.cuda
def test_compiled_it_computes_the_same() -> None:
    torch.compiler.reset()
    preset = PRESET.replace(dilations=(2,), interaction_guide=False, self_adaptive_reward=False, simulated_labels=False)
    (agent, envs), (plain, _) = _play(preset.replace(compile=True), device="cuda"), _play(preset, device="cuda")
    double = plain.networks["segmentation"].double()
    assert agent.weights().keys() == plain.weights().keys()
    observation, _ = envs.reset(seed=0)
    for rows in (3, 1):  # as it learns, as it acts on one volume
        inputs = stack_observation(observation)[:rows]
        found, expected = agent.outputs("segmentation", inputs), double(inputs.double())
        with torch.no_grad():
            acted = agent.outputs("segmentation", inputs)
        for name, values in expected.items():
            atol = 1e-5 * float(values.detach().abs().max())
            for mine in (found[name], acted[name]):
                torch.testing.assert_close(mine.double(), values, rtol=0, atol=atol)
        agent.networks.zero_grad(), double.zero_grad()
        sum(values.square().mean() for values in found.values()).backward()  # type: ignore[union-attr]
        sum(values.square().mean() for values in expected.values()).backward()  # type: ignore[union-attr]
        for mine, theirs in zip(agent.networks.parameters(), double.parameters(), strict=True):
            assert mine.grad is not None and theirs.grad is not None
            atol = 1e-4 * float(theirs.grad.abs().max())
            torch.testing.assert_close(mine.grad.double(), theirs.grad, rtol=0, atol=atol)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 2  # with gradients and without


def test_what_a_gpu_trained_compiled_acts_on_a_cpu_as_it_is() -> None:
    (agent, envs), (plain, _) = _play(PRESET.replace(compile=True)), _play(PRESET)
    observation, _ = envs.reset(seed=0)
    assert torch.equal(agent.act(observation)["adjustment"], plain.act(observation)["adjustment"])
    with pytest.raises(ValueError, match="compile: expected False in a training on a CPU"):
        agent.learn(envs, observation, 0.0)
