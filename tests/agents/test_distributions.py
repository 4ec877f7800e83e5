"""One categorical over all voxels, against torch's own."""

from __future__ import annotations

import torch
from torch.distributions import Categorical

from mecca_agents.distributions import VoxelCategorical


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
