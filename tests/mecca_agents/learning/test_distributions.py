"""One categorical over all voxels, against torch's own."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Categorical

from mecca_agents.learning.distributions import FIRST_WIDTH, VoxelCategorical, target_policy


def _pair() -> tuple[VoxelCategorical, Categorical]:
    logits = torch.randn(2, 6, 4, 3, 5, generator=torch.Generator().manual_seed(0)) * 3
    return VoxelCategorical(logits), Categorical(logits=logits.movedim(1, -1))


def test_log_prob_and_entropy_are_those_of_torch() -> None:
    ours, theirs = _pair()
    action = torch.randint(6, (2, 4, 3, 5), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(ours.log_prob(action), theirs.log_prob(action))
    torch.testing.assert_close(ours.entropy(), theirs.entropy())


def test_mode_is_the_most_probable_action() -> None:
    ours, theirs = _pair()
    assert torch.equal(ours.mode(), theirs.probs.argmax(-1))


def test_nearest_to_mean_is_the_action_closest_to_the_expectation() -> None:
    values = torch.tensor([-0.4, -0.2, -0.1, 0.1, 0.2, 0.4])
    probability = torch.tensor([[0.45, 0, 0, 0.35, 0.2, 0], [0, 0.3, 0, 0, 0, 0.7], [0, 0.5, 0, 0, 0.5, 0]])
    policy = VoxelCategorical((probability + 1e-9).log().T.reshape(1, 6, 3, 1, 1))
    chosen = policy.nearest_to_mean(values).view(-1)
    assert policy.mode().view(-1)[:2].tolist() == [0, 5]
    assert chosen[:2].tolist() == [2, 4]  # means -0.105 and 0.22
    assert values[chosen[2]].abs() == 0.1

    ours, theirs = _pair()
    mean = (theirs.probs * values).sum(-1, keepdim=True)
    assert torch.equal(ours.nearest_to_mean(values), (mean - values).abs().argmin(-1))


def test_samples_follow_the_probabilities() -> None:
    logits = torch.tensor([0.0, 1.0, -2.0, 0.5, -30.0, 2.0])
    policy = VoxelCategorical(logits.view(1, 6, 1, 1, 1).expand(1, 6, 50, 50, 40))
    counts = torch.bincount(policy.sample(torch.Generator().manual_seed(0)).view(-1), minlength=6)
    expected = logits.softmax(0) * counts.sum()
    seen = expected > 1
    chi_square = ((counts - expected)[seen] ** 2 / expected[seen]).sum()
    assert chi_square < 23.5  # p = 1e-4 at four degrees of freedom
    assert counts[4] == 0


def test_sample_is_reproducible_and_in_range() -> None:
    ours, _ = _pair()
    one, two = (ours.sample(torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two)
    assert one.min() >= 0 and one.max() <= 5


ADJUSTMENTS = torch.tensor([-0.4, -0.2, -0.1, 0.1, 0.2, 0.4])


def _towards(target: float, width: float, probability: float) -> VoxelCategorical:
    outputs = torch.tensor([target, width]).logit(eps=1e-6).view(1, 2, 1, 1, 1)
    outputs[:, 1] = math.log(width / FIRST_WIDTH)
    return target_policy(outputs, torch.full((1, 1, 1, 1), probability), ADJUSTMENTS)


@pytest.mark.parametrize(
    ("target", "probability", "best"), [(0.9, 0.5, 5), (0.1, 0.5, 0), (0.5, 0.3, 4), (0.45, 0.5, 2), (0.62, 0.5, 3)]
)
def test_the_action_that_leads_nearest_to_the_target_is_the_likeliest(
    target: float, probability: float, best: int
) -> None:
    assert int(_towards(target, 0.05, probability).mode()) == best


def test_a_wide_target_is_all_actions_and_a_narrow_one_is_one() -> None:
    assert float(_towards(0.9, 1.5, 0.5).entropy()) > 1.7
    assert float(_towards(0.9, 0.02, 0.5).entropy()) < 1e-3


def test_actions_that_lead_to_the_same_probability_are_equally_likely() -> None:
    shares = _towards(1.0, 0.1, 0.95).log_probs.exp().flatten()
    torch.testing.assert_close(shares[3:], shares[3].expand(3))
    assert float(shares[3:].sum()) > 0.7


@pytest.mark.parametrize("width", [-200.0, -50.0, 50.0, 200.0])  # exp(200) is infinite in float32
def test_the_width_is_bounded_where_outputs_are_not(width: float) -> None:
    outputs = torch.tensor([50.0, width]).view(1, 2, 1, 1, 1).requires_grad_()
    policy = target_policy(outputs, torch.full((1, 1, 1, 1), 0.5), ADJUSTMENTS)
    policy.log_prob(torch.zeros(1, 1, 1, 1)).sum().backward()  # type: ignore[no-untyped-call]
    assert bool(torch.isfinite(policy.log_probs).all()) and bool(torch.isfinite(outputs.grad).all())  # type: ignore[arg-type]
