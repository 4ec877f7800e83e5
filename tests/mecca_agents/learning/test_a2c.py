"""The per-voxel A2C loss (Eq. 3-5) against plain loops and autograd by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from mecca_agents.learning.a2c import a2c_losses, class_weights, returns
from mecca_agents.learning.rollout import Rollout

STEPS, ENVS, GRID = 4, 3, (2, 3, 2)


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _rollout(**changes: Tensor) -> Rollout:
    full = (STEPS, ENVS, *GRID)
    done = torch.zeros(STEPS, ENVS, dtype=torch.bool)
    done[-1] = True
    labelled = changes.get("labelled", torch.ones(STEPS, ENVS, dtype=torch.bool))
    made = Rollout(
        first=0,
        states=(),
        action=torch.zeros(full, dtype=torch.int64),
        confidence=None,
        before=torch.zeros(full),
        after=torch.zeros(full),
        mask=labelled[:, :, None, None, None],
        log_prob=-_random(*full, seed=1).abs(),
        entropy=_random(*full, seed=2).abs(),
        value=_random(*full, seed=3),
        reward=_random(*full, seed=4),
        label=_random(*full, seed=5) > 0.8,
        done=done,
        labelled=labelled,
        bootstrap=torch.zeros(ENVS, *GRID, dtype=torch.float64),
        dice=torch.zeros(STEPS, ENVS),
        misunderstanding=torch.zeros(STEPS, ENVS),
        observation={},
    )
    return replace(made, **changes)


def test_returns_are_the_discounted_sum_to_the_end_of_each_episode() -> None:
    reward, bootstrap = _random(STEPS, ENVS, *GRID), _random(ENVS, *GRID, seed=9)
    done = torch.tensor([[False, True, False], [True, False, False], [False, False, False], [True, False, False]])
    summed = returns(reward, done, _random(STEPS, ENVS, *GRID, seed=8), bootstrap, gamma=0.9)
    for env in range(ENVS):
        for start in range(STEPS):
            expected, weight = np.zeros(GRID), 1.0
            for t in range(start, STEPS):
                expected += weight * reward[t, env].numpy()
                weight *= 0.9
                if done[t, env]:
                    break
            else:
                expected += weight * bootstrap[env].numpy()
            np.testing.assert_allclose(summed[start, env], expected, atol=1e-12)


@pytest.mark.parametrize("gae_lambda", [0.0, 0.6, 1.0])
def test_lambda_returns_are_the_generalised_advantage_plus_the_value(gae_lambda: float) -> None:
    reward, value, bootstrap = (_random(STEPS, ENVS, *GRID), _random(STEPS, ENVS, *GRID, seed=8), _random(ENVS, *GRID))
    done = torch.tensor([[False, True, False], [True, False, False], [False, False, False], [True, False, False]])
    gamma = 0.9
    following = torch.cat((value[1:], bootstrap[None])) * ~done[..., None, None, None]
    surprise = reward + gamma * following - value
    advantage, by_hand = torch.zeros_like(bootstrap), []
    for t in reversed(range(STEPS)):
        advantage = surprise[t] + gamma * gae_lambda * advantage * ~done[t, :, None, None, None]
        by_hand.insert(0, advantage)
    estimate = returns(reward, done, value, bootstrap, gamma, gae_lambda) - value
    torch.testing.assert_close(estimate, torch.stack(by_hand))


def test_loss_terms_by_hand() -> None:
    rollout = _rollout()
    losses = a2c_losses(rollout, gamma=0.9, entropy_weight=0.1, value_weight=0.5)
    target = returns(rollout.reward, rollout.done, rollout.value, rollout.bootstrap, 0.9)
    policy = -(rollout.log_prob * (target - rollout.value)).mean()
    value = ((target - rollout.value) ** 2).mean() / 2
    torch.testing.assert_close(losses.policy, policy, check_dtype=False)
    torch.testing.assert_close(losses.value, value, check_dtype=False)
    torch.testing.assert_close(losses.total, policy + 0.5 * value - 0.1 * rollout.entropy.mean(), check_dtype=False)


def test_the_critic_is_not_trained_through_the_advantage() -> None:
    value = _random(STEPS, ENVS, *GRID, seed=3).requires_grad_()
    a2c_losses(_rollout(value=value), gamma=0.9, entropy_weight=0.0, value_weight=0.0).total.backward()
    assert value.grad is None or value.grad.abs().max() == 0


def test_a_better_than_expected_action_becomes_more_probable() -> None:
    log_prob = torch.zeros(STEPS, ENVS, *GRID, dtype=torch.float64, requires_grad=True)
    zero = torch.zeros_like(log_prob)
    rollout = _rollout(log_prob=log_prob, reward=torch.ones_like(zero).detach(), value=zero.detach())
    a2c_losses(rollout, gamma=0.9, entropy_weight=0.0).total.backward()
    assert log_prob.grad is not None and (log_prob.grad < 0).all()


def test_unlabelled_episodes_do_not_count() -> None:
    labelled = torch.ones(STEPS, ENVS, dtype=torch.bool)
    labelled[:, 1] = False
    changed = _random(STEPS, ENVS, *GRID, seed=4)
    changed[:, 1] += 100.0
    one, two = (
        a2c_losses(_rollout(labelled=labelled, **more), gamma=0.9, entropy_weight=0.1).total
        for more in ({}, {"reward": changed})
    )
    torch.testing.assert_close(one, two)


def test_mean_credit_pays_every_voxel_the_same() -> None:
    rollout = _rollout()
    mean = rollout.reward.mean(dim=(2, 3, 4), keepdim=True).expand_as(rollout.reward)
    one = a2c_losses(rollout, gamma=0.9, entropy_weight=0.1, credit="mean").total
    two = a2c_losses(replace(rollout, reward=mean), gamma=0.9, entropy_weight=0.1).total
    torch.testing.assert_close(one, two)


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_class_weights_have_mean_one_and_balance_the_classes(balance: float) -> None:
    label = _random(2, 2, 8, 8, 8) > 1.0
    mask = _random(2, 2, 8, 8, 8, seed=1) > -0.5
    weight = class_weights(label, mask, balance).double()
    assert (weight[~mask] == 0).all()
    grid = (2, 3, 4)
    total = mask.double().sum(grid)
    torch.testing.assert_close(weight.sum(grid) / total, torch.ones(2, 2, dtype=torch.float64))
    share = (label & mask).double().sum(grid) / total
    foreground = (weight * label).sum(grid) / total
    odds = (share / (1 - share)) ** (1 - balance)
    torch.testing.assert_close(foreground / (1 - foreground), odds, rtol=1e-5, atol=0)


def test_a_class_of_a_few_voxels_does_not_outweigh_all_others() -> None:
    label = torch.zeros(1, 1, 10, 10, 10, dtype=torch.bool)
    label[0, 0, 0, 0, 0] = True
    weight = class_weights(label, torch.ones(1, 1, 1, 1, 1, dtype=torch.bool), 1.0)
    assert float(weight[label].sum() / weight.sum()) == pytest.approx(0.1 / (0.1 + 0.999 / 0.99), rel=1e-3)
    assert (class_weights(label, torch.zeros(1, 1, 1, 1, 1, dtype=torch.bool), 1.0) == 0).all()


def test_no_gradient_where_the_mask_is_zero() -> None:
    mask = _random(STEPS, ENVS, *GRID, seed=7) > 0.0
    leaves = {
        name: _random(STEPS, ENVS, *GRID, seed=s).requires_grad_()
        for s, name in enumerate(("log_prob", "entropy", "value"))
    }
    a2c_losses(_rollout(mask=mask, **leaves), gamma=0.9, entropy_weight=0.1, balance=0.5).total.backward()
    for name, leaf in leaves.items():
        assert leaf.grad is not None
        assert (leaf.grad[~mask] == 0).all(), name
        assert (leaf.grad[mask] != 0).all(), name


def test_an_empty_mask_gives_no_loss() -> None:
    nothing = torch.zeros(STEPS, ENVS, *GRID, dtype=torch.bool)
    assert float(a2c_losses(_rollout(mask=nothing), gamma=0.9, entropy_weight=0.1).total) == 0.0
