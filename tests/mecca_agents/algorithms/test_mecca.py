"""MECCA (Algorithm 1): its switches, what unlabelled cases teach, what the guide is told."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from mecca_agents.agent import Agent, TaskSpec, find_method, make_agent
from mecca_agents.algorithms.mecca import Mecca, _simulated_label_numbers
from mecca_agents.learning.confidence import simulated_label
from mecca_agents.learning.rollout import Rollout, collect
from mecca_agents.presets import FAST, Precision, Preset
from mecca_env.metrics import dice
from mecca_env.process.config import EnvConfig
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.envs import SETTINGS, make_envs

OFF = FAST.replace(
    shape=SETTINGS["shape"],
    channels=4,
    confidence_channels=4,
    dilations=(1, 2),
    learning_rate=5e-3,
    simulated_from=0.0,
    self_adaptive_reward=False,
    interaction_guide=False,
    simulated_labels=False,
)
ON = OFF.replace(self_adaptive_reward=True, interaction_guide=True, simulated_labels=True)


def _play(
    method: str, preset: Preset, num_envs: int = 3, device: str = "cpu", **settings: Any
) -> tuple[Agent, MeccaVectorEnv]:
    """A fresh agent and the env it asks for."""
    envs = make_envs(num_envs, device=device, **{**find_method(method).env_settings(preset, settings), **settings})
    config = envs.config
    task = TaskSpec(config.shape, 1, config.adjustments, config.action, config.guide)
    return make_agent(method, preset, task, device=torch.device(device), seed=0), envs


def _update(agent: Agent, envs: MeccaVectorEnv, updates: int = 2) -> dict[str, float]:
    observation, _ = envs.reset(seed=0)
    numbers: dict[str, float] = {}
    for update in range(updates):
        observation, numbers = agent.learn(envs, observation, update / updates)
    return numbers


def _same(one: Agent, two: Agent) -> bool:
    first, second = one.weights(), two.weights()
    return set(first) == set(second) and all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("fraction", [1.0, 0.5])
def test_with_every_switch_off_it_is_iter_mrl_bit_for_bit(fraction: float) -> None:
    agents = []
    for method in ("mecca", "iter-mrl"):
        agent, envs = _play(method, OFF, labelled_fraction=fraction)
        _update(agent, envs)
        agents.append(agent)
    assert _same(*agents)


@pytest.mark.parametrize("switch", ["self_adaptive_reward", "interaction_guide", "simulated_labels"])
def test_every_switch_changes_what_is_learned(switch: str) -> None:
    learned = []
    for preset in (OFF, OFF.replace(**{switch: True})):
        # The same episodes for both, and no simulated label too uncertain.
        agent, envs = _play("mecca", preset.replace(delta=(0.5, 0.5)), 4, labelled_fraction=0.5, labelled_share=0.5)
        _update(agent, envs, updates=3)
        learned.append(agent.weights())
    before, after = learned
    assert any(key.startswith("confidence.") for key in after)
    assert not all(torch.equal(before[key], after[key]) for key in before)


def test_the_environment_it_asks_for() -> None:
    assert Mecca.env_settings(ON, {}) == {"guide": True}
    assert Mecca.env_settings(OFF, {}) == {"guide": False}
    assert Mecca.env_settings(ON, {"labelled_fraction": 0.25}) == {"guide": True, "labelled_share": 0.5}
    assert Mecca.env_settings(OFF, {"labelled_fraction": 0.25}) == {"guide": False, "labelled_share": 1.0}
    assert Mecca.env_settings(ON, {"labelled_cases": 2}) == {"guide": True, "labelled_share": 0.5}
    with pytest.raises(ValueError, match="labelled and unlabelled episodes in every batch, got num_envs=1"):
        Mecca.env_settings(ON.replace(num_envs=1, labelled_share=0.75), {"labelled_fraction": 0.25})


def test_labelled_and_unlabelled_cases_are_played_side_by_side() -> None:
    agent, envs = _play("mecca", ON, num_envs=4, labelled_fraction=0.5)
    observation, info = envs.reset(seed=0)
    assert int(info["labelled"].sum()) == 2
    numbers = agent.learn(envs, observation, 0.0).numbers
    assert {"mask_share", "simulated_accuracy", "confidence_accuracy", "confidence_loss"} <= set(numbers)


def _taught(preset: Preset) -> tuple[Rollout, Rollout]:
    """A rollout of labelled and unlabelled episodes, as played and as learned from."""
    agent, envs = _play("mecca", preset, num_envs=4, labelled_fraction=0.5)
    assert isinstance(agent, Mecca)
    observation, _ = envs.reset(seed=0)
    rollout = collect(envs, observation, agent.decide, envs.config.horizon)
    return rollout, agent.teach(rollout, envs, 0.0)


def test_true_labels_of_unlabelled_cases_teach_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    preset = ON.replace(delta=(0.5, 0.5))
    agents, logs = [], []
    for flipped in (False, True):

        def play(*arguments: Any, flipped: bool = flipped) -> Rollout:
            rollout = collect(*arguments)
            wrong = ~rollout.labelled[:, :, None, None, None] if flipped else torch.zeros_like(rollout.mask)
            rows = rollout.labelled | (not flipped)
            return replace(
                rollout,
                label=rollout.label ^ wrong,
                dice=torch.where(rows, rollout.dice, 0.0),
                misunderstanding=torch.where(rows, rollout.misunderstanding, 1.0),
            )

        monkeypatch.setattr("mecca_agents.learning.actor_critic.collect", play)
        agent, envs = _play("mecca", preset, num_envs=4, labelled_fraction=0.5)
        logs.append(_update(agent, envs, updates=1))
        agents.append(agent)
    assert _same(*agents)
    of_truth = ("simulated_accuracy", "mask_share_foreground", "simulated_accuracy_foreground")
    one, two = ({key: value for key, value in log.items() if key not in of_truth} for log in logs)
    assert one == two and logs[0]["simulated_accuracy"] != logs[1]["simulated_accuracy"]


def test_how_right_the_simulated_labels_are_is_counted_where_they_are_learned_from() -> None:
    rollout, taught = _taught(ON.replace(delta=(0.5, 0.5)))
    numbers = _simulated_label_numbers(rollout, taught)
    unlabelled = ~rollout.labelled
    used, right = taught.mask[unlabelled], (taught.label == rollout.label)[unlabelled]
    target = rollout.label[unlabelled]
    assert numbers["mask_share"] == pytest.approx(float(used.float().mean()))
    assert numbers["simulated_accuracy"] == pytest.approx(float(right[used].float().mean()))
    assert numbers["mask_share_foreground"] == pytest.approx(float(used[target].float().mean()))
    assert numbers["simulated_accuracy_foreground"] == pytest.approx(float(right[used & target].float().mean()))
    assert _simulated_label_numbers(rollout, rollout) == {}


def test_nothing_is_learned_from_simulated_labels_before_their_time() -> None:
    agent, envs = _play("mecca", ON.replace(simulated_from=0.25), 4, labelled_fraction=0.5, labelled_share=0.5)
    assert isinstance(agent, Mecca)
    observation, _ = envs.reset(seed=0)
    rollout = collect(envs, observation, agent.decide, envs.config.horizon)
    agent.preset = agent.preset.replace(delta=(0.5, 0.5))
    early, late = (agent.teach(rollout, envs, progress).mask for progress in (0.24, 0.25))
    unlabelled = ~rollout.mask.expand_as(rollout.label)
    assert not early.expand_as(unlabelled)[unlabelled].any() and late[unlabelled].any()
    assert early.expand_as(unlabelled)[~unlabelled].all()


def test_what_unlabelled_voxels_earn_is_the_gain_towards_their_simulated_label() -> None:
    rollout, taught = _taught(ON.replace(self_adaptive_reward=False, delta=(0.5, 0.5)))
    assert rollout.confidence is not None
    unlabelled = ~rollout.mask.expand_as(rollout.label)
    assert unlabelled.any() and (rollout.reward[unlabelled] == 0).all()
    raised = torch.tensor(EnvConfig().adjustments)[rollout.action] > 0
    towards = torch.where(rollout.confidence.sigmoid() > 0.5, raised, ~raised)
    half, label = torch.full_like(rollout.before[0], 0.5), torch.stack([towards[0], *towards])
    potential = [
        torch.where(y, p, 1 - p).clamp(0.01, 0.99).log() for p, y in zip((half, *rollout.after), label, strict=True)
    ]
    by_hand = torch.stack([b - a for a, b in pairwise(potential)])
    assert (towards[1:] != towards[:-1])[unlabelled[1:]].any()
    torch.testing.assert_close(taught.reward[unlabelled], by_hand[unlabelled], atol=1e-5, rtol=1e-4)
    assert torch.equal(taught.label[unlabelled], towards[unlabelled])
    assert torch.equal(taught.reward[~unlabelled], rollout.reward[~unlabelled])
    assert torch.equal(taught.label[~unlabelled], rollout.label[~unlabelled])


def test_labelled_episodes_are_never_masked() -> None:
    rollout, taught = _taught(ON.replace(delta=(0.999, 0.999)))
    assert torch.equal(taught.mask, rollout.mask.expand_as(taught.mask))  # nothing is that certain at the start
    rollout, taught = _taught(ON.replace(simulated_labels=False))
    assert torch.equal(taught.mask, rollout.mask)


@pytest.mark.parametrize("method", ["mecca", "mecca-expected"])
def test_masked_voxels_give_the_network_exactly_no_gradient(method: str) -> None:
    agent, envs = _play(method, ON, num_envs=4, labelled_fraction=0.5)
    assert isinstance(agent, Mecca)
    observation, _ = envs.reset(seed=0)
    rollout = collect(envs, observation, agent.decide, envs.config.horizon)
    assert rollout.confidence is not None
    median = (
        float((rollout.confidence.detach().sigmoid() - 0.5).abs().median()) + 0.5
    )  # so that the mask is 1 for half of the voxels
    agent.preset = agent.preset.replace(delta=(median, median))
    taught = agent.teach(rollout, envs, 0.0)
    masked = ~taught.mask
    assert masked.any() and (taught.mask & ~taught.labelled[:, :, None, None, None]).any()
    policy = taught.log_prob if taught.log_probs is None else taught.log_probs
    outputs = [output for output in (policy, taught.entropy, taught.value) if output is not None]
    gradients = torch.autograd.grad(agent.losses(taught, 0.0).total, outputs, retain_graph=True)
    per_voxel = [g.abs().sum(2) if g.ndim > masked.ndim else g for g in gradients]
    assert all((gradient[masked] == 0).all() and (gradient[~masked] != 0).any() for gradient in per_voxel)


@pytest.mark.slow
def test_the_confidence_network_learns_to_tell_right_from_wrong() -> None:
    preset = OFF.replace(self_adaptive_reward=True, confidence_steps=None, learning_rate=1e-2)
    agent, envs = _play("mecca", preset, num_envs=4)
    first = _update(agent, envs, updates=1)
    last = _update(agent, envs, updates=40)
    assert first["confidence_accuracy"] < 0.75 < 0.85 < last["confidence_accuracy"]
    assert last["confidence_loss"] < first["confidence_loss"] - 0.2


@pytest.mark.slow
def test_the_label_that_a_signed_head_implies_is_better_than_that_of_one_that_sees_the_action() -> None:
    implied = {}
    for head in ("signed", "action"):
        preset = OFF.replace(self_adaptive_reward=True, learning_rate=1e-2, confidence_balance=0.5)
        agent, envs = _play("mecca", preset.replace(confidence_head=head), num_envs=4)
        _update(agent, envs, updates=20)
        observation, _ = envs.reset(seed=1)
        action = torch.randint(6, (4, *SETTINGS["shape"]), generator=torch.Generator().manual_seed(0))
        confidence = agent.confidence(observation, action)
        assert confidence is not None
        label = simulated_label(torch.tensor(EnvConfig().adjustments)[action] > 0, confidence)
        implied[head] = float(dice(label, envs.state.label).mean())
    assert implied["signed"] > 0.6 and implied["signed"] > implied["action"] + 0.3, implied


@pytest.mark.slow
def test_the_confidence_network_can_weigh_the_rarer_class_up() -> None:
    learned = []
    for balance in (0.0, 1.0):
        preset = OFF.replace(self_adaptive_reward=True, confidence_steps=None, learning_rate=1e-2)
        preset = preset.replace(confidence_balance=balance, policy_head="actions")
        agent, envs = _play("mecca", preset, num_envs=4)
        _update(agent, envs, updates=30)
        observation, _ = envs.reset(seed=0)
        raised = agent.confidence(observation, torch.full((4, *SETTINGS["shape"]), 5))
        assert raised is not None
        learned.append(float(raised[envs.state.label].mean()))
    assert learned[1] > learned[0] + 0.02  # it trusts more in raising the few voxels of the target


def test_the_guide_is_told_the_confidence_in_the_very_action() -> None:
    agent, envs = _play("mecca", ON)
    observation, _ = envs.reset(seed=0)
    action = agent.act(observation)
    assert set(action) == {"adjustment", "confidence"}
    confidence = agent.confidence(observation, action["adjustment"])
    assert confidence is not None and torch.equal(confidence, action["confidence"])
    assert agent.confidence(observation, action) is action["confidence"]
    assert 0 <= float(confidence.min()) and float(confidence.max()) <= 1
    other = agent.confidence(observation, 5 - action["adjustment"])
    assert other is not None and not torch.equal(confidence, other)
    envs.step(action)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_it_learns_on_a_gpu_in_either_precision_and_on_a_cpu_in_float32(device: str, precision: Precision) -> None:
    agent, envs = _play("mecca", ON.replace(precision=precision), num_envs=4, device=device, labelled_fraction=0.5)
    before = agent.weights()
    before = {key: value.clone() for key, value in before.items()}
    if device == "cpu" and precision == "bf16":
        with pytest.raises(ValueError, match="precision: expected float32 in a training on a CPU"):
            _update(agent, envs)
        assert all(torch.equal(before[key], value) for key, value in agent.weights().items())
        return
    numbers = _update(agent, envs)
    after = agent.weights()
    assert all(value.dtype == torch.float32 and value.device.type == device for value in after.values())
    assert all(bool(torch.isfinite(value).all()) for value in after.values()) and numbers["loss"] == numbers["loss"]
    assert sum(not torch.equal(before[key], after[key]) for key in after) > len(after) // 2


def test_bf16_is_close_to_float32_and_not_the_same_but_on_a_cpu(device: str) -> None:
    actions = []
    for precision in ("float32", "bf16"):
        agent, envs = _play("mecca", ON.replace(precision=precision), device=device)
        observation, _ = envs.reset(seed=0)
        lowest = torch.zeros(3, *SETTINGS["shape"], dtype=torch.int64, device=device)
        actions.append(agent.confidence(observation, lowest))
    one, two = actions
    assert one is not None and two is not None and torch.equal(one, two) is (device == "cpu")
    torch.testing.assert_close(one, two, atol=0.02, rtol=0)


def test_the_policys_own_layers_can_learn_more_slowly() -> None:
    agent, envs = _play("mecca", OFF.replace(policy_rate=0.1))
    assert isinstance(agent, Mecca)
    _update(agent, envs)
    others, own = agent.optimizers["segmentation"].param_groups
    assert own["lr"] == pytest.approx(0.1 * others["lr"])
    branch = agent.networks["segmentation"].branches["policy"]  # type: ignore[index]
    assert {id(p) for p in own["params"]} == {id(p) for p in branch.parameters()}


def test_the_learning_rate_falls_along_a_line() -> None:
    agent, envs = _play("mecca", OFF.replace(learning_rate=1e-2, final_learning_rate=0.2))
    assert isinstance(agent, Mecca)
    observation, _ = envs.reset(seed=0)
    rates = []
    for progress in (0.0, 0.5, 1.0):
        agent.learn(envs, observation, progress)
        rates.append(agent.optimizers["segmentation"].param_groups[0]["lr"])
    assert rates == pytest.approx([1e-2, 6e-3, 2e-3])


def test_continuous_actions_are_refused() -> None:
    with pytest.raises(ValueError, match="mecca: expected discrete actions, got action='continuous'"):
        Mecca(ON, TaskSpec((10, 9, 8), 1, (0.1,), "continuous"), device=torch.device("cpu"), seed=0)


@pytest.mark.parametrize("culprit", ["confidence.branches", "segmentation.branches.value"])
def test_a_nan_is_named_and_nothing_is_updated(culprit: str) -> None:
    agent, envs = _play("mecca", ON.replace(interaction_guide=True))
    assert isinstance(agent, Mecca)
    observation, _ = envs.reset(seed=0)
    good = {key: value.clone() for key, value in agent.weights().items()}
    name = next(key for key in good if key.startswith(culprit))
    agent.networks.get_parameter(name).data.fill_(float("nan"))
    broken = {key: value.clone() for key, value in agent.weights().items()}
    with pytest.raises(
        FloatingPointError, match="confidence became nan" if "confidence" in culprit else "loss became nan"
    ):
        agent.learn(envs, observation, 0.0)
    assert all(torch.equal(value.nan_to_num(), broken[key].nan_to_num()) for key, value in agent.weights().items())
    agent.load_weights(good)
    agent.learn(envs, observation, 0.0)  # and it can go on


def test_a_gradient_that_is_not_finite_updates_neither_network(monkeypatch: pytest.MonkeyPatch) -> None:
    agent, envs = _play("mecca", ON)
    assert isinstance(agent, Mecca)
    observation, _ = envs.reset(seed=0)
    before = {key: value.clone() for key, value in agent.weights().items()}
    handle = agent.networks.get_parameter("segmentation.shared.squeeze.0.bias").register_hook(
        lambda g: g * float("inf")
    )
    with pytest.raises(FloatingPointError, match="gradient of the segmentation network became"):
        agent.learn(envs, observation, 0.0)
    assert all(torch.equal(value, before[key]) for key, value in agent.weights().items())
    handle.remove()
    agent.learn(envs, observation, 0.0)  # nothing of it is left


def test_a_state_of_another_kind_of_generator_is_refused() -> None:
    agent, envs = _play("mecca", ON)
    state = {**agent.training_state(), "generator.actions": torch.zeros(16, dtype=torch.uint8)}
    with pytest.raises(ValueError, match="go on on the device it began on"):
        agent.load_training_state(state)


def test_weights_that_do_not_fit_change_nothing() -> None:
    agent, _ = _play("mecca", ON)
    other, _ = _play("mecca", ON.replace(channels=6))
    before = {key: value.clone() for key, value in agent.weights().items()}
    with pytest.raises(ValueError, match="do not fit this network: .* has shape .*, and [0-9]+ more"):
        agent.load_weights(other.weights())
    with pytest.raises(ValueError, match="foreign is foreign"):
        agent.load_weights({**before, "foreign": torch.zeros(1)})
    assert all(torch.equal(value, before[key]) for key, value in agent.weights().items())


def test_making_an_agent_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    _play("mecca", ON)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("method", ["mecca", "iter-mrl"])
def test_it_goes_on_from_its_training_state_bit_for_bit(method: str) -> None:
    agent, envs = _play(method, ON if method == "mecca" else OFF)
    _update(agent, envs)
    again, others = _play(method, ON if method == "mecca" else OFF)
    again.load_weights({key: value.clone() for key, value in agent.weights().items()})
    again.load_training_state({key: value.clone() for key, value in agent.training_state().items()})
    for one, its in ((agent, envs), (again, others)):
        _update(one, its, updates=1)
    assert _same(agent, again)


def test_a_foreign_training_state_is_refused() -> None:
    agent, envs = _play("mecca", ON)
    _update(agent, envs, updates=1)
    state = agent.training_state()
    with pytest.raises(ValueError, match="optimizer.other.0.exp_avg"):
        agent.load_training_state({**state, "optimizer.other.0.exp_avg": torch.zeros(1)})
    with pytest.raises(ValueError, match="segmentation.0.exp_avg: expected"):
        agent.load_training_state({**state, "optimizer.segmentation.0.exp_avg": torch.zeros(1)})
    with pytest.raises(ValueError, match="'foreign' belongs to no optimiser"):
        agent.load_training_state({**state, "foreign": torch.zeros(1)})
    with pytest.raises(ValueError, match="generators"):
        agent.load_training_state({})
