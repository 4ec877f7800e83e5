"""A reward model learns what is wanted, and a policy goes there as far as it is let."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mecca_agents.agent import find_method
from mecca_agents.online import ProjectError
from mecca_agents.online.preferences.choices import read_choices
from mecca_agents.online.preferences.improving import improve, leaning
from mecca_agents.online.preferences.learning import learner
from mecca_agents.online.preferences.policies import policy_of, teachable
from mecca_agents.online.preferences.reward import RewardModel, Situations, fit_reward, foreseen, situations_of
from mecca_agents.session import InteractiveSession, Model, load_model
from tests.support.volumes import AFFINE, ellipsoid, intensities


@pytest.fixture(scope="module")
def situations(project: Path, model: Model) -> Situations:
    return situations_of(model.agent, read_choices(project, model))


@pytest.fixture(scope="module")
def reward(situations: Situations) -> RewardModel:
    return fit_reward(situations, seed=0)


def test_a_reward_model_foresees_choices_that_it_did_not_see(situations: Situations, reward: RewardModel) -> None:
    half = torch.arange(len(situations)) < 30
    fitted, others = fit_reward(situations[half], seed=0), situations[~half]
    assert foreseen(fitted, others) >= 27
    turned = Situations(others.observation, others.inputs, others.size, others.masks.flip(1))
    torch.testing.assert_close(fitted.margins(turned), -fitted.margins(others))
    assert foreseen(fitted, turned) <= 3
    again = fit_reward(situations, seed=0)
    assert all(torch.equal(one, two) for one, two in zip(reward.parameters(), again.parameters(), strict=True))
    assert reward(situations.inputs).abs().max() <= 1
    assert foreseen(fit_reward(situations[half], seed=0, over=lambda: True), others) < 27  # there was no time


def test_scores_do_not_depend_on_how_large_the_target_is(reward: RewardModel, situations: Situations) -> None:
    twice = Situations(situations.observation, situations.inputs, 2 * situations.size, situations.masks)
    torch.testing.assert_close(reward.margins(twice), reward.margins(situations) / 2)


def test_a_loss_that_is_not_finite_is_refused(situations: Situations) -> None:
    broken = Situations(situations.observation, situations.inputs * float("nan"), situations.size, situations.masks)
    with pytest.raises(FloatingPointError, match="loss of the reward model became nan"):
        fit_reward(broken, seed=0)


def test_a_policy_goes_as_far_as_it_is_let(model: Model, situations: Situations, reward: RewardModel) -> None:
    before = teachable(model.agent)
    first = policy_of(before, situations.observation)
    found = {}
    for hold in (0.3, 3000.0):
        agent = learner(model, 0)
        done = improve(agent, before, reward, situations, 0, updates=30, hold=hold)
        with torch.no_grad():
            after = policy_of(agent, situations.observation)
        found[hold] = float((after.foreground - first.foreground).detach().mean())
        assert done.updates == 30 and float(after.divergence(first).detach().min()) > -1e-6
        if hold < 1:
            assert leaning(agent, before, situations) >= 54
    assert found[0.3] > 0.002 and abs(found[3000.0]) < found[0.3] / 4
    assert leaning(before, before, situations) == 0
    agent = learner(model, 0)
    assert improve(agent, before, reward, situations, 0, over=lambda: True).updates == 0
    assert all(torch.equal(value, before.weights()[name]) for name, value in agent.weights().items())


def test_policies_are_the_agents_own(model: Model, situations: Situations) -> None:
    policy = policy_of(model.agent, situations.observation)
    logits = model.agent.logits(situations.observation)  # type: ignore[attr-defined]
    torch.testing.assert_close(policy.foreground, logits.sigmoid())
    assert policy.divergence(policy.detached()).abs().max() < 1e-6
    moved = policy_of(learner(model, 0), {**situations.observation, "volume": situations.observation["volume"] + 1})
    both = torch.distributions.Bernoulli(logits=logits)
    other = torch.distributions.Bernoulli(probs=moved.foreground)
    expected = torch.distributions.kl_divergence(other, both)
    torch.testing.assert_close(moved.divergence(policy), expected, atol=1e-5, rtol=1e-3)
    with pytest.raises(ProjectError, match="preferences: expected a run of a mask predictor or an actor-critic"):
        policy_of(object.__new__(find_method("random-walker")), situations.observation)


def test_an_actor_critic_learns_by_the_same_rule(tiny_run: Callable[..., Any]) -> None:
    model = load_model(tiny_run("mecca"), device="cpu")
    with InteractiveSession(model) as session:
        session.set_image(intensities(ellipsoid()), AFFINE)
        observation = {"volume": torch.randn(4, 18, 16, 14), "hint": torch.zeros(4, 18, 16, 14)}
    observation["probability"] = torch.full((4, 18, 16, 14), 0.45)
    before = teachable(model.agent)
    policy = policy_of(before, observation)
    assert policy.log_probs.shape == (4, 6, 18, 16, 14)
    expected = 0.45 + (policy.log_probs.exp() * before.adjustments.view(1, 6, 1, 1, 1)).sum(1)  # type: ignore[operator, union-attr]
    torch.testing.assert_close(policy.foreground, expected)
    masks = torch.zeros(4, 2, 18, 16, 14, dtype=torch.bool)
    masks[:, 0] = True
    inputs = torch.randn(4, 3, 18, 16, 14)
    situations = Situations(observation, inputs, policy.foreground.detach().flatten(1).sum(1), masks)
    agent = learner(model, 0)
    improve(agent, before, fit_reward(situations, 0), situations, 0, updates=10)
    assert (policy_of(agent, observation).foreground - policy.foreground).mean() > 0.001
    assert leaning(agent, before, situations) == 4
