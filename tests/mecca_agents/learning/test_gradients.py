"""The two forms of Eq. 5, what each of them looks ahead to, and how often an optimiser step is taken."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from mecca_agents.agent import find_method, make_agent
from mecca_agents.algorithms.mecca import Mecca
from mecca_agents.learning.actor_critic import ActorCritic, merged
from mecca_agents.learning.confidence import self_adaptive
from mecca_agents.learning.distributions import VoxelCategorical
from mecca_agents.learning.rollout import Rollout, collect, stack_observation
from mecca_agents.presets import FAST, MECHANISMS, ConfidenceHead, Preset, RewardWeight
from mecca_agents.runs.loading import make_task
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.envs import GRID, make_envs

PRESET = FAST.replace(
    **MECHANISMS,
    shape=GRID,
    channels=4,
    confidence_channels=4,
    dilations=(1, 2),
    balance=(0.0, 0.0),
    entropy_weight=0.0,
    value_weight=0.0,
    gae_lambda=0.0,
    gamma=0.0,
    simulated_from=0.0,
    n_steps=1,
    policy_head="actions",
)


def _pair(method: str, preset: Preset, **settings: Any) -> tuple[ActorCritic, MeccaVectorEnv]:
    envs = make_envs(2, **{**find_method(method).env_settings(preset, settings), **settings})
    agent = make_agent(method, preset, make_task(envs.config, 1), device=torch.device("cpu"), seed=0)
    assert isinstance(agent, ActorCritic)
    return agent, envs


def _policy_gradient(agent: ActorCritic) -> Tensor:
    return torch.cat(
        [p.grad.flatten() for key, p in agent.networks.named_parameters() if ".policy." in key and p.grad is not None]
    )


def test_what_every_action_would_have_earned_is_what_the_environment_pays() -> None:
    agent, envs = _pair("iter-mrl-expected", PRESET)
    observation, _ = envs.reset(seed=0)
    rollout = agent.with_rewards(collect(envs, observation, agent.decide, 3), envs)
    assert rollout.rewards is not None and rollout.rewards.shape == (3, 2, 6, *GRID)
    taken = rollout.rewards.gather(2, rollout.action.unsqueeze(2)).squeeze(2)
    torch.testing.assert_close(taken, rollout.reward, atol=1e-6, rtol=0)


def test_sampled_gradients_are_the_expected_one_in_the_mean() -> None:
    """Over one step without discounted future, with actions drawn anew; the critic is no part of either."""
    gradients = {}
    weights = _pair("iter-mrl", PRESET)[0].weights()
    for method in ("iter-mrl-expected", "iter-mrl"):
        agent, envs = _pair(method, PRESET)
        agent.networks.load_state_dict(weights, strict=agent.samples)
        observation, _ = envs.reset(seed=0)
        draws = []
        for _ in range(400 if agent.samples else 1):
            start = envs.snapshot()
            rollout = collect(envs, observation, agent.decide, 1)
            agent.backward(agent.losses(agent.with_rewards(rollout, envs), 0.0).total)
            draws.append(_policy_gradient(agent))
            observation, _ = envs.restore(start)
        gradients[method] = torch.stack(draws)
    exact, draws = gradients["iter-mrl-expected"][0], gradients["iter-mrl"]
    off = (draws.mean(0) - exact).norm() / exact.norm()
    assert off < 0.1
    alone = ((draws - exact).norm(dim=1) / exact.norm()).mean()
    assert alone > 3 * off  # so the mean is what they have in common, and one draw is noisy


@pytest.mark.parametrize("setting", [{"gamma": 0.0}, {"gamma": 0.5}, {"value_weight": 0.0}, {"value_weight": 1.0}])
def test_a2c_looks_ahead_by_its_critic_and_the_gradient_over_all_actions_does_not(setting: dict[str, float]) -> None:
    learned: dict[str, list[dict[str, Tensor]]] = {"iter-mrl": [], "iter-mrl-expected": []}
    usual = {"gamma": 0.95, "value_weight": 0.5}
    for method, found in learned.items():
        for settings in (usual, usual | setting):
            agent, envs = _pair(method, PRESET.replace(**settings))
            observation, _ = envs.reset(seed=0)
            for _ in range(2):
                observation, _ = agent.learn(envs, observation, 0.0)
            found.append(agent.weights())
    names = [name for name in learned["iter-mrl-expected"][0] if name in learned["iter-mrl"][0]]
    assert any(".policy." in name for name in names)
    for method, (one, other) in learned.items():
        assert all(torch.equal(one[name], other[name]) for name in names) == (method == "iter-mrl-expected")


def test_without_a_critic_there_are_no_passes_for_one() -> None:
    passes = {}
    for method in ("iter-mrl", "iter-mrl-expected"):
        agent, envs = _pair(method, PRESET.replace(n_steps=1))
        calls: list[bool] = []
        agent.networks["segmentation"].register_forward_pre_hook(
            lambda *_, calls=calls: calls.append(torch.is_grad_enabled())
        )
        observation, _ = envs.reset(seed=0)
        agent.learn(envs, observation, 0.0)
        passes[method] = calls
        assert any("branches.value" in name for name in agent.weights()) is agent.samples
    assert passes["iter-mrl-expected"] == [True, True, True]
    assert passes["iter-mrl"] == [True, False, True, False, True]  # an episode that is over needs no word of the critic


READINGS = ("voxel", "action")


@pytest.mark.parametrize("head", ["signed", "action"])
@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("method", ["mecca", "mecca-expected"])
def test_equation_8_weighs_by_the_confidence_that_the_preset_names(
    method: str, reading: RewardWeight, head: ConfidenceHead
) -> None:
    preset = PRESET.replace(
        interaction_guide=False, simulated_labels=False, reward_weight=reading, confidence_head=head
    )
    agent, envs = _pair(method, preset)
    assert isinstance(agent, Mecca)
    observation, _ = envs.reset(seed=0)
    rollout = collect(envs, observation, agent.decide, 1)
    taught, plain = agent.teach(rollout, envs, 0.0), agent.with_rewards(rollout, envs)
    assert rollout.confidence is not None and rollout.opposite is not None
    policy, _ = agent.policy_and_value(rollout.states[0])
    leans_up = (policy.log_probs.exp() * agent.adjustments.view(1, -1, 1, 1, 1)).sum(1) > 0
    raised = (agent.adjustments[rollout.action] > 0).squeeze(0)
    certain, against = rollout.confidence[0].sigmoid(), rollout.opposite[0].sigmoid()
    by_voxel = torch.where(raised == leans_up, certain, against)
    weight = certain if reading == "action" else by_voxel
    expected = self_adaptive(rollout.reward[0], weight, preset.mecca.alpha, preset.mecca.beta)
    torch.testing.assert_close(taught.reward[0], expected.detach())
    if agent.samples:
        assert taught.rewards is None
        return
    assert taught.rewards is not None and plain.rewards is not None
    for a, adjustment in enumerate(agent.adjustments):
        weight = torch.where(raised == (adjustment > 0), certain, against) if reading == "action" else by_voxel
        expected = self_adaptive(plain.rewards[0, :, a], weight, preset.mecca.alpha, preset.mecca.beta)
        torch.testing.assert_close(taught.rewards[0, :, a], expected.detach())


@pytest.mark.parametrize("reading", READINGS)
def test_equation_8_as_printed_pushes_sure_and_doubtful_voxels_alike(reading: RewardWeight) -> None:
    """What pushes a voxel towards its label, in the mean over both directions, by how sure C is of it."""
    confidence = torch.tensor([0.5, 0.99])  # of raising, whose label is foreground; the policy leans to raising
    gain = torch.tensor([1.0, -1.0]).unsqueeze(1)  # of raising and of lowering
    of_direction = torch.stack([confidence, 1 - confidence])
    weight = of_direction if reading == "action" else confidence.expand(2, -1)
    push = self_adaptive(gain, weight, 0.8, 1.0)
    doubtful, sure = (push[0] - push[1]) / 2
    assert float(doubtful / sure) == pytest.approx(1.0 if reading == "action" else 1.5 / 1.01, abs=1e-3)


@pytest.mark.parametrize("head", ["signed", "action"])
def test_the_opposite_confidence_is_that_of_the_action_turned_round(head: ConfidenceHead) -> None:
    agent, envs = _pair("mecca", PRESET.replace(confidence_head=head))
    assert isinstance(agent, Mecca)
    observation, _ = envs.reset(seed=0)
    decision = agent.decide(stack_observation(observation))
    assert decision.confidence is not None and decision.opposite is not None
    turned = 5 - decision.action  # the adjustments are symmetric
    torch.testing.assert_close(decision.opposite.sigmoid(), agent.confidence(observation, turned))
    both = decision.confidence.sigmoid() + decision.opposite.sigmoid()
    assert torch.allclose(both, torch.ones_like(both)) is (head == "signed")


@pytest.mark.parametrize("method", ["iter-mrl", "mecca"])
@pytest.mark.parametrize(("n_steps", "descents"), [(None, 1), (1, 3), (3, 1)])
def test_an_optimiser_step_follows_every_n_steps(
    method: str, n_steps: int | None, descents: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, envs = _pair(method, PRESET.replace(n_steps=n_steps))
    calls = []
    descend = agent.descend
    monkeypatch.setattr(agent, "descend", lambda *args: calls.append(args) or descend(*args))
    observation, _ = envs.reset(seed=0)
    learned = agent.learn(envs, observation, 0.0)
    assert len(calls) == descents and envs.steps_taken == 3 * 2
    assert torch.equal(learned.observation["probability"], torch.full((2, *GRID), 0.5))  # a new episode has begun


def test_n_steps_that_do_not_divide_an_episode_are_refused() -> None:
    agent, envs = _pair("iter-mrl", PRESET.replace(n_steps=2))
    observation, _ = envs.reset(seed=0)
    with pytest.raises(ValueError, match="n_steps: expected a divisor of the 3 steps of an episode, got 2"):
        agent.learn(envs, observation, 0.0)


def test_the_confidence_network_learns_from_as_many_steps_however_they_are_grouped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learned = []
    for n_steps in (None, 1):
        agent, envs = _pair("mecca-expected", PRESET.replace(n_steps=n_steps, confidence_steps=2))
        assert isinstance(agent, Mecca)
        learned_from: list[int] = []
        backward = agent.backward_confidence

        def noted(
            rollout: Rollout, steps: Tensor, backward: Any = backward, learned_from: list[int] = learned_from
        ) -> dict[str, float]:
            learned_from += (rollout.first + steps).tolist()
            return dict(backward(rollout, steps))

        monkeypatch.setattr(agent, "backward_confidence", noted)
        observation, _ = envs.reset(seed=0)
        drawn = torch.randperm(3, generator=agent.generator.clone_state())[:2].tolist()
        agent.learn(envs, observation, 0.0)
        assert learned_from == (drawn if n_steps is None else sorted(drawn))
        learned.append(learned_from)
    assert set(learned[0]) == set(learned[1])


def test_the_steps_of_a_rollout_are_told_from_those_of_the_episode() -> None:
    agent, envs = _pair("iter-mrl", PRESET.replace(n_steps=1))
    observation, _ = envs.reset(seed=0)
    steps, held = torch.tensor([2, 0]), []
    for number, rollout in enumerate(agent.rollouts(envs, observation)):
        assert rollout.first == number and len(rollout.states) == 1
        held.append(rollout.held(steps).tolist())
    assert held == [[0], [], [0]]
    observation, _ = envs.reset(seed=0)
    assert collect(envs, observation, agent.decide, 3).held(steps).tolist() == [2, 0]


def test_numbers_of_parts_become_those_of_the_episode() -> None:
    counts = {"optimizer_steps": 1.0, "labelled_episodes": 2.0}
    parts = [
        {"return": 1.0, "dice": 0.2, "dice_first": 0.2, "loss": 3.0, **counts},
        {"return": 2.0, "dice": 0.6, "loss": 5.0, **counts},
    ]
    sums = {"return": 3.0, "optimizer_steps": 2.0, "labelled_episodes": 4.0}
    assert merged(parts) == {**sums, "dice": 0.6, "dice_first": 0.2, "loss": 4.0}


def test_the_expected_gradient_is_zero_where_all_actions_earn_the_same() -> None:
    logits = torch.randn(2, 6, 3, 3, 3, requires_grad=True, generator=torch.Generator().manual_seed(0))
    (VoxelCategorical(logits).log_probs.exp() * 0.7).sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None and float(logits.grad.abs().max()) < 1e-6
