"""MECCA's uses of the confidence in an action: Eq. 6, 7, 8, 10 and 11, each a function of tensors.

Throughout, `raised` (..., D, H, W) bool says where an action is positive, `confidence` (..., D, H, W) is the confidence
network's output c in [0, 1] for that action.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from mecca_env.process.contracts import Reward
from mecca_env.process.rewards import voxel_cross_entropy


def consistent(raised: Tensor, label: Tensor) -> Tensor:
    """Eq. 7, g as bool: whether the direction of the action agrees with the label."""
    return raised == label


def symmetric_loss(logits: Tensor, opposite: Tensor, right: Tensor, weight: Tensor) -> Tensor:
    """Eq. 6, averaged over voxels: cross-entropy of C(s, a) with g, plus that of C(s, -a) with 1 - g.

    Args:
        logits: Of C(s, a), (B, D, H, W).
        opposite: Of C(s, -a), (B, D, H, W).
        right: g, (B, D, H, W) bool.
        weight: Of each voxel's loss before the mean, (B, D, H, W).
    """
    target = right.to(logits.dtype)
    action = binary_cross_entropy_with_logits(logits, target, weight)
    return action + binary_cross_entropy_with_logits(opposite, 1.0 - target, weight)


def self_adaptive(gain: Tensor, confidence: Tensor, alpha: float, beta: float) -> Tensor:
    """Eq. 8 before the sum over voxels: alpha (2 - c)^beta gain, so that doubtful actions weigh more."""
    return alpha * (2.0 - confidence).pow(beta) * gain


def simulated_label(raised: Tensor, confidence: Tensor) -> Tensor:
    """Eq. 10, bool: the direction of the calibrated action.

    A trusted action says what the label is, a distrusted one says what it is not. The printed equation (exclusive or)
    labels a confident positive action 0, against Eq. 7 and Fig. 6.
    """
    return raised == (confidence > 0.5)


def simulated_gain(
    earned: Reward, before: Tensor, after: Tensor, label: Tensor, epsilon: float, earlier: Tensor | None = None
) -> Tensor:
    """Eq. 9 with simulated labels: chi^(t-1) - chi^(t), each towards the label of its own step, (T, B, D, H, W).

    A change of label between two steps is paid for with what the voxel had earned towards the earlier one. So the gains
    of an episode sum to what it gained towards the last label, as with a true one; with the label of step t in both
    terms, going the wrong way while the label is wrong, and back when it changes, would be paid twice.

    Args:
        earned: The environment's reward for a movement towards a label.
        before: Probability of foreground before each step, (T, B, D, H, W).
        after: The same after it.
        label: Simulated label of each step (Eq. 10), (T, B, D, H, W) bool; before the first, it is that of the first.
        epsilon: The environment's (`mecca_env.process.rewards.voxel_cross_entropy`).
        earlier: Simulated label of the step before the first, (B, D, H, W) bool; None: an episode begins here.
    """
    gain = torch.stack([earned(*step) for step in zip(before, after, label, strict=True)])
    previous = [label[0] if earlier is None else earlier, *label[:-1]]
    for t, old in enumerate(previous):
        was, is_now = (voxel_cross_entropy(before[t], target, epsilon) for target in (old, label[t]))
        gain[t] += was - is_now  # 0 where the label stays, and at 0.5, where an episode begins
    return gain


def certain(confidence: Tensor, delta: float) -> Tensor:
    """M of Eq. 11, bool: whether the confidence is far enough from one half to learn from a simulated label."""
    return torch.maximum(confidence, 1.0 - confidence) > delta
