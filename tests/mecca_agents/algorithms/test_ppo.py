"""Per-voxel PPO: its loss against plain loops, finite differences and A2C, and what an update does."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from mecca_agents.agent import make_agent
from mecca_agents.algorithms.iter_mrl import IterMRL
from mecca_agents.algorithms.ppo import PPO, Experience, clipped_gain, ppo_losses, ratio_of
from mecca_agents.benchmark.cells import Cell
from mecca_agents.learning.a2c import a2c_losses
from mecca_agents.learning.rollout import collect, stack_observation
from mecca_agents.presets import FAST, Preset
from mecca_agents.runs.loading import make_task
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.envs import GRID, make_envs

PRESET = FAST.replace(shape=GRID, channels=4, dilations=(1, 2), n_steps=None, epochs=3, balance=(0.5, 0.0))
SHAPE = (2, 3, 2, 2)
WEIGHTS = {"clip_ratio": 0.2, "entropy_weight": 0.1, "value_weight": 0.5}


def _random(seed: int, shape: tuple[int, ...] = SHAPE) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _experience(**changes: Tensor) -> Experience:
    made = {
        "action": torch.zeros(SHAPE, dtype=torch.int64),
        "behaviour": -_random(1).abs(),
        "advantage": _random(2),
        "target": _random(3),
        "weight": _random(4).abs() * (_random(5) > -1.0),
    }
    return Experience(**(made | changes))


def _terms(experience: Experience) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities whose ratios lie on both sides of both bounds, entropy and value."""
    return experience.behaviour + 0.3 * _random(6), _random(7).abs(), _random(8)


def _agent(preset: Preset = PRESET, method: str = "ppo", **settings: Any) -> tuple[PPO | IterMRL, MeccaVectorEnv]:
    envs = make_envs(2, **settings)
    agent = make_agent(method, preset, make_task(envs.config, 1), device=torch.device("cpu"), seed=0)
    assert isinstance(agent, PPO | IterMRL)
    return agent, envs


def _ppo(preset: Preset = PRESET, **settings: Any) -> tuple[PPO, MeccaVectorEnv]:
    agent, envs = _agent(preset, **settings)
    assert isinstance(agent, PPO)
    return agent, envs


@pytest.mark.parametrize(
    ("ratio", "advantage", "gained"),
    [
        (1.0, 2.0, 2.0),
        (1.1, 2.0, 2.2),
        (1.5, 2.0, 2.4),  # more probable, as it should be: beyond 1.2 nothing more is to be had
        (0.5, 2.0, 1.0),  # less probable by mistake: counts in full
        (0.9, -2.0, -1.8),
        (0.5, -2.0, -1.6),
        (1.5, -2.0, -3.0),
        (5.0, -2.0, -6.0),  # as bad as a ratio of 3, and no worse
        (1.5, 0.0, 0.0),
    ],
)
def test_the_clipped_gain_by_hand(ratio: float, advantage: float, gained: float) -> None:
    found = clipped_gain(torch.tensor(ratio), torch.tensor(advantage), 0.2)
    assert float(found) == pytest.approx(gained)


def test_the_loss_is_that_of_plain_loops() -> None:
    experience = _experience()
    log_prob, entropy, value = _terms(experience)
    policy = critic = bonus = clipped = summed = 0.0
    rows = zip(*(t.flatten().tolist() for t in (*experience[1:], log_prob, entropy, value)), strict=True)
    for old, advantage, target, weight, new, uncertain, valued in rows:
        ratio = math.exp(new - old)
        inside = min(max(ratio, 0.8), 1.2)
        policy -= weight * min(ratio * advantage, inside * advantage)
        critic += weight * (target - valued) ** 2 / 2
        bonus += weight * uncertain
        clipped += weight * (ratio != inside)
        summed += weight
    losses = ppo_losses(experience, log_prob, entropy, value, **WEIGHTS)
    assert 0.2 < clipped / summed < 0.8
    expected = [policy + 0.5 * critic - 0.1 * bonus, policy, critic, bonus, clipped]
    assert [float(term) for term in losses] == pytest.approx([term / summed for term in expected], rel=1e-9)


def test_its_gradients_are_those_of_finite_differences() -> None:
    experience = _experience()
    leaves = tuple(term.requires_grad_() for term in _terms(experience))
    assert torch.autograd.gradcheck(lambda *terms: ppo_losses(experience, *terms, **WEIGHTS).total, leaves)


def test_a_voxel_that_is_clipped_stops_no_other() -> None:
    experience = _experience(advantage=torch.ones(SHAPE).double(), weight=torch.ones(SHAPE).double())
    moved = torch.zeros(SHAPE, dtype=torch.float64)
    moved[0, 0, 0, 0] = 1.0
    log_prob = (experience.behaviour + moved).requires_grad_()
    ppo_losses(experience, log_prob, *_terms(experience)[1:], **WEIGHTS).total.backward()  # type: ignore[no-untyped-call]
    assert log_prob.grad is not None
    torch.testing.assert_close(log_prob.grad, torch.where(moved > 0, 0.0, -1.0 / moved.numel()).double())


def test_small_moves_of_all_voxels_of_a_large_grid_are_not_clipped() -> None:
    grid = (1, 55, 55, 30)
    behaviour = torch.full(grid, -1.6)
    experience = Experience(behaviour.long(), behaviour, torch.ones(grid), torch.zeros(grid), torch.ones(grid))
    log_prob = (behaviour + 0.01).requires_grad_()  # together e^907 times as probable
    losses = ppo_losses(experience, log_prob, torch.zeros(grid), torch.zeros(grid), **WEIGHTS)
    losses.total.backward()  # type: ignore[no-untyped-call]
    assert float(losses.clipped) == 0.0
    assert log_prob.grad is not None and float(log_prob.grad.max()) < 0.0


def test_voxels_without_weight_do_not_count() -> None:
    experience = _experience()
    log_prob, entropy, value = _terms(experience)
    without = experience.weight == 0
    assert 0 < int(without.sum()) < without.numel()
    losses = ppo_losses(experience, log_prob, entropy, value, **WEIGHTS)
    wild = [torch.where(without, 1e3, term) for term in (log_prob, entropy, value)]
    assert ppo_losses(experience, *wild, **WEIGHTS) == losses


def test_a_voxel_that_drew_what_hardly_ever_happens_does_not_outweigh_the_others() -> None:
    old = torch.tensor([-1400.0, -14.0, -2.0, -1.0, -1.0])
    new = torch.tensor([-1.0, -1.0, -1.0, -1.0, -1400.0], requires_grad=True)
    ratio = ratio_of(new, old)
    assert torch.isfinite(ratio).all() and float(ratio[1].detach()) == pytest.approx(math.exp(13), rel=1e-5)
    gained = clipped_gain(ratio, torch.full((5,), -1.0), 0.2)
    assert gained.tolist() == pytest.approx([-3.0, -3.0, -math.e, -1.0, -0.8])
    gained.sum().backward()  # type: ignore[no-untyped-call]
    assert new.grad is not None
    assert new.grad.tolist() == pytest.approx([0.0, 0.0, -math.e, -1.0, 0.0])


def test_its_first_gradient_is_that_of_a2c() -> None:
    gradients = {}
    for method in ("iter-mrl", "ppo"):
        agent, envs = _agent(PRESET, method)
        rollout = collect(envs, envs.reset(seed=0)[0], agent.decide, 3)
        if isinstance(agent, PPO):
            with torch.no_grad():
                experience = agent.experience(rollout, 0.0)
            loss = agent.ppo_losses(rollout.states, Experience(*(t.detach() for t in experience)), [2, 0, 1])
            assert float(loss.clipped) == 0.0
            agent.backward(loss.total)
        else:
            settings = agent.preset.actor_critic
            agent.backward(
                a2c_losses(
                    rollout,
                    gamma=settings.gamma,
                    gae_lambda=settings.gae_lambda,
                    entropy_weight=settings.entropy_weight,
                    value_weight=settings.value_weight,
                    balance=settings.balance[0],
                ).total
            )
        gradients[method] = {name: p.grad for name, p in agent.networks.named_parameters()}
    for name, gradient in gradients["iter-mrl"].items():
        assert gradient is not None
        other = gradients["ppo"][name]
        torch.testing.assert_close(other, gradient, rtol=1e-3, atol=1e-5 * float(gradient.abs().max()), msg=name)


@pytest.mark.parametrize("policy_head", ["actions", "target"])
def test_it_samples_with_either_head(policy_head: Any) -> None:
    agent, envs = _ppo(PRESET.replace(policy_head=policy_head))
    observation, _ = envs.reset(seed=0)
    state = stack_observation(observation)
    one, two = agent.decide(state), agent.decide(state)
    assert not torch.equal(one.action, two.action)
    policy, _ = agent.policy_and_value(state)
    torch.testing.assert_close(one.log_prob, policy.log_prob(one.action))
    shares = torch.bincount(one.action.flatten(), minlength=6) / one.action.numel()
    torch.testing.assert_close(shares, policy.log_probs.exp().mean(dim=(0, 2, 3, 4)), atol=0.02, rtol=0)


@pytest.mark.parametrize(("n_steps", "steps"), [(None, 3), (1, 1)])
def test_an_update_plays_once_and_goes_over_it_in_epochs(
    n_steps: int | None, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, envs = _ppo(PRESET.replace(n_steps=n_steps))
    learned_from: list[list[int]] = []
    losses = agent.ppo_losses

    def noted(states: Any, experience: Experience, part: list[int]) -> Any:
        learned_from.append(part)
        return losses(states, experience, part)

    monkeypatch.setattr(agent, "ppo_losses", noted)
    observation, _ = envs.reset(seed=0)
    learned = agent.learn(envs, observation, 0.0)
    assert envs.steps_taken == 3 * 2
    assert all(len(part) == steps for part in learned_from) and len(learned_from) == 3 * 3 // steps
    in_order = [step for part in learned_from for step in part]
    epochs = [in_order[i : i + 3] for i in range(0, 9, 3)]
    assert all(sorted(epoch) == [0, 1, 2] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1  # not always in the order of the episode
    assert torch.equal(learned.observation["probability"], torch.full((2, *GRID), 0.5))  # a new episode has begun


def test_the_range_holds_a_policy_back() -> None:
    """Many epochs over one play: the further the ratios may go, the further from the old policy they end."""
    moved = []
    for clip_ratio in (0.02, 0.9):
        agent, envs = _ppo(PRESET.replace(epochs=12, clip_ratio=clip_ratio, learning_rate=1e-3, entropy_weight=0.0))
        observation, _ = envs.reset(seed=0)
        with torch.no_grad():
            before, _ = agent.policy_and_value(stack_observation(observation))
        agent.learn(envs, observation, 0.0)
        with torch.no_grad():
            after, _ = agent.policy_and_value(stack_observation(observation))
        moved.append(float((after.log_probs.exp() - before.log_probs.exp()).abs().mean()))
    assert moved[0] < 0.7 * moved[1]


def test_n_steps_that_do_not_divide_an_episode_are_refused_before_it_is_played() -> None:
    agent, envs = _ppo(PRESET.replace(n_steps=2))
    observation, _ = envs.reset(seed=0)
    with pytest.raises(ValueError, match="n_steps: expected a divisor of the 3 steps of an episode, got 2"):
        agent.learn(envs, observation, 0.0)
    assert envs.steps_taken == 0


def test_a_benchmark_lets_it_pass_as_many_volumes_as_the_others() -> None:
    preset = FAST.replace(updates=300, epochs=4)
    assert Cell("iter-mrl").preset(preset).updates == 300
    assert Cell("ppo").preset(preset).updates == 75
    assert Cell("ppo").preset(preset.replace(updates=3)).updates == 1
    assert Cell("random").preset(preset).updates == 1
