"""The paper's equations on volumes of 2 x 2 x 2 voxels, against numbers worked out by hand."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor

from mecca_agents.learning.a2c import returns
from mecca_agents.learning.confidence import (
    certain,
    consistent,
    self_adaptive,
    simulated_gain,
    simulated_label,
    symmetric_loss,
)
from mecca_agents.learning.network_agent import between
from mecca_agents.presets import PAPER
from mecca_env.process.config import EnvConfig
from mecca_env.process.dynamics import DiscreteDynamics
from mecca_env.process.rewards import gain


def cube(*values: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Eight numbers as one volume, (1, 2, 2, 2)."""
    return torch.tensor(values, dtype=dtype).view(1, 2, 2, 2)


def bits(text: str) -> Tensor:
    """Eight digits as one mask, (1, 2, 2, 2) bool."""
    return cube(*(int(digit) for digit in text)).bool()


def test_equation_2_adds_and_clips() -> None:
    config = EnvConfig()
    before = cube(0.5, 0.5, 0.9, 0.1, 0.0, 1.0, 0.3, 0.7)
    action = cube(3, 2, 5, 0, 1, 4, 5, 0)  # +0.1 -0.1 +0.4 -0.4 -0.2 +0.2 +0.4 -0.4
    after = DiscreteDynamics(config.adjustments, config.lattice, torch.device("cpu"))(before, action)
    torch.testing.assert_close(after, cube(0.6, 0.4, 1.0, 0.0, 0.0, 1.0, 0.7, 0.3))


def test_equation_3_sums_discounted_rewards_to_the_end() -> None:
    scale = cube(1, -1, 2, 0, 3, -2, 0.5, 4)
    reward = torch.stack([1.0 * scale, 2.0 * scale, 4.0 * scale])
    done = torch.tensor([[False], [False], [True]])
    summed = returns(reward, done, torch.rand_like(reward), torch.zeros_like(scale), gamma=0.5)
    torch.testing.assert_close(summed, torch.stack([3.0 * scale, 4.0 * scale, 4.0 * scale]))


def test_equation_6_is_the_cross_entropy_of_the_action_and_of_its_negation() -> None:
    # Voxel 0: right action, C(s, a) = 0.8, C(s, -a) = 0.3. Voxel 1: wrong action, C(s, a) = 0.4, C(s, -a) = 0.9.
    logits = cube(0.8, 0.4, *[0.5] * 6).logit()
    opposite = cube(0.3, 0.9, *[0.5] * 6).logit()
    right = bits("10000000")
    first = -math.log(0.8) - math.log(1 - 0.3)
    second = -math.log(1 - 0.4) - math.log(0.9)
    others = -2 * math.log(0.5)
    loss = symmetric_loss(logits, opposite, right, cube(*[1.0] * 8))
    assert float(loss) == pytest.approx((first + second + 6 * others) / 8)
    weighted = symmetric_loss(logits, opposite, right, cube(3.0, 2.0, *[0.5] * 6))
    assert float(weighted) == pytest.approx((3 * first + 2 * second + 0.5 * 6 * others) / 8)


@pytest.mark.parametrize(
    ("raised", "label", "right"), [("1", "1", "1"), ("1", "0", "0"), ("0", "1", "0"), ("0", "0", "1")]
)
def test_equation_7_asks_whether_the_action_goes_towards_the_label(raised: str, label: str, right: str) -> None:
    assert torch.equal(consistent(bits(raised * 8), bits(label * 8)), bits(right * 8))


def test_equation_8_pays_more_for_what_is_doubtful() -> None:
    earned = cube(0.5, -0.3, 0.5, -0.3, 1.0, 1.0, 0.0, -1.0)
    confidence = cube(0.9, 0.2, 0.0, 1.0, 1.0, 0.0, 0.3, 0.5)
    by_hand = cube(0.44, -0.432, 0.8, -0.24, 0.8, 1.6, 0.0, -1.2)
    torch.testing.assert_close(self_adaptive(earned, confidence, PAPER.mecca.alpha, PAPER.mecca.beta), by_hand)
    squared = cube(0.484, -0.7776, 1.6, -0.24, 0.8, 3.2, 0.0, -1.8)
    torch.testing.assert_close(self_adaptive(earned, confidence, 0.8, 2.0), squared)


def test_equation_9_is_positive_towards_the_label() -> None:
    before = cube(0.5, 0.5, 0.5, 0.5, 1.0, 0.9, 0.2, 0.1)
    after = cube(0.9, 0.9, 0.1, 0.1, 0.6, 1.0, 0.6, 0.0)
    label = bits("10101101")
    by_hand = cube(
        math.log(0.9 / 0.5),
        math.log(0.1 / 0.5),
        math.log(0.1 / 0.5),
        math.log(0.9 / 0.5),
        math.log(0.6 / 0.99),  # 1 and 0 are clamped to 0.99 and 0.01
        math.log(0.99 / 0.9),
        math.log(0.4 / 0.8),
        math.log(0.01 / 0.1),
    )
    torch.testing.assert_close(gain(before, after, label, epsilon=0.01), by_hand)


def test_equation_9_takes_the_simulated_label_of_each_step_in_its_own_term() -> None:
    probability = [cube(0.5, 0.5, 0.5, 0.5, *[0.5] * 4), cube(0.1, 0.1, 0.9, 0.9, *[0.5] * 4)]
    probability += [cube(0.5, 0.2, 1.0, 0.5, *[0.5] * 4)]
    label = torch.stack([bits("00110000"), bits("10101111")])  # voxels 0 and 3 and the last four change theirs
    epsilon = 0.01
    earned = partial(gain, epsilon=epsilon)
    before, after = torch.stack(probability[:2]), torch.stack(probability[1:])
    first = math.log(0.9 / 0.5)
    by_hand = [
        cube(first, first, first, first, 0, 0, 0, 0),
        cube(
            math.log(0.5 / 0.9),  # towards 0 it had 0.9, towards 1 it has 0.5: what it had earned is gone
            math.log(0.8 / 0.9),
            math.log(0.99 / 0.9),
            math.log(0.5 / 0.9),
            *[0] * 4,  # at 0.5 a change costs nothing
        ),
    ]
    gains = simulated_gain(earned, before, after, label, epsilon)
    torch.testing.assert_close(gains, torch.stack(by_hand))
    whole = earned(probability[0], probability[2], label[1])
    torch.testing.assert_close(gains.sum(0), whole)  # as if the last label had been there all along


def test_equation_10_labels_by_the_direction_of_the_calibrated_action() -> None:
    raised = bits("11001100")
    confidence = cube(0.9, 0.2, 0.9, 0.2, 0.51, 0.49, 0.51, 0.49)
    assert torch.equal(simulated_label(raised, confidence), bits("10011001"))


@pytest.mark.parametrize(("progress", "mask"), [(0.0, "11110000"), (0.5, "11000000"), (1.0, "10000000")])
def test_equation_11_learns_from_certain_voxels_more_strictly_later(progress: float, mask: str) -> None:
    confidence = cube(0.995, 0.05, 0.1, 0.9, 0.849, 0.151, 0.5, 0.7)
    assert torch.equal(certain(confidence, between(*PAPER.mecca.delta, progress)), bits(mask))


def test_equation_11_rises_from_085_to_099() -> None:
    assert PAPER.mecca.delta == (0.85, 0.99)
    assert between(*PAPER.mecca.delta, 0.5) == pytest.approx(0.92)
