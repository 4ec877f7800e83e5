"""Settings of a training run, and the named sets of them. A preset is data: it is stored with every run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Credit = Literal["voxel", "mean"]
Precision = Literal["float32", "bf16"]


@dataclass(frozen=True)
class Preset:
    """How a method is trained; methods take from it what concerns them.

    Attributes:
        shape: Grid of the episodes, (D, H, W) voxels.
        num_envs: Episodes side by side.
        updates: Optimiser steps, one for each batch of whole episodes.
        channels: Channels of P-Net's trunk.
        dilations: Dilations of its blocks.
        shared_blocks: Blocks that policy and value share; each has the others to itself (Sec. 3.2).
        learning_rate: Adam's, at the start.
        final_learning_rate: Share of it that is left at the end of a linear decay; 1 keeps it.
        policy_rate: Learning rate of the policy's own layers as a share of the others', since "the policy head is
            updated more slowly" (Sec. 3.2).
        gamma: Discount (Sec. 4.1).
        entropy_weight: Weight of the entropy bonus.
        value_weight: Weight of the critic's loss.
        credit: "voxel" pays every voxel its own reward, "mean" pays all the mean (Eq. 4).
        balance: How far the rarer of foreground and background is weighted up (`a2c.class_weights`), 0 to 1, at the
            start and, after a linear fall, in the second half of the training.
        clip_norm: Gradients are scaled down to this norm at most.
        precision: "float32", or "bf16" for convolutions in bfloat16 (autocast).
        self_adaptive_reward: MECCA: weigh the reward by confidence (Eq. 8).
        interaction_guide: MECCA: show the user where confidence is low (Sec. 3.5).
        simulated_labels: MECCA: learn from unlabelled cases, too (Sec. 3.6), where there are any.
        alpha: Factor of Eq. 8 (Sec. 4.1).
        beta: Exponent of Eq. 8 (Sec. 4.1).
        delta: Least certainty of a simulated label that is learned from (Eq. 11), at the start and at the end of the
            training (Sec. 4.1).
        labelled_share: Share of the episodes that are of labelled cases, with simulated labels; a half is Algorithm 1.
        confidence_channels: Channels of the confidence network.
        confidence_steps: How many steps of each rollout, drawn anew, the confidence network learns from; None takes all
            (Algorithm 1).
    """

    shape: tuple[int, int, int] = (55, 55, 30)
    num_envs: int = 4
    updates: int = 20_000
    channels: int = 64
    dilations: tuple[int, ...] = (1, 2, 3, 4, 5)
    shared_blocks: int = 3
    learning_rate: float = 1e-4
    final_learning_rate: float = 1.0
    policy_rate: float = 1.0
    gamma: float = 0.95
    entropy_weight: float = 0.01
    value_weight: float = 0.5
    credit: Credit = "voxel"
    balance: tuple[float, float] = (0.0, 0.0)
    clip_norm: float = 10.0
    precision: Precision = "float32"
    self_adaptive_reward: bool = True
    interaction_guide: bool = True
    simulated_labels: bool = True
    alpha: float = 0.8
    beta: float = 1.0
    delta: tuple[float, float] = (0.85, 0.99)
    labelled_share: float = 0.5
    confidence_channels: int = 64
    confidence_steps: int | None = None


PAPER = Preset()
"""Sec. 4.1: grid, learning rate, discount, alpha, beta and delta are the paper's, the entropy weight PixelRL's. The
paper gives neither channels nor batch nor number of updates."""

FAST = replace(
    PAPER,
    shape=(28, 24, 24),
    updates=400,
    channels=16,
    dilations=(1, 2, 3),
    confidence_channels=8,
    confidence_steps=2,
    learning_rate=2e-3,
    final_learning_rate=0.1,
    entropy_weight=1e-3,
    balance=(1.0, 0.0),
)
"""Trains well on two cores within 20 minutes; departs from the paper in everything that it sets."""

BRIEF = replace(FAST, updates=150)
"""The same in less than 5 minutes, for tables on a CPU."""

DEMO = replace(FAST, shape=(24, 24, 16), updates=220, channels=12)
"""What `mecca demo` trains on the phantom in about two minutes."""

PRESETS: dict[str, Preset] = {"paper": PAPER, "fast": FAST, "brief": BRIEF, "demo": DEMO}
"""Every preset by name."""


def find_preset(name: str) -> Preset:
    """The preset of that name. Raises `ValueError` with the known names otherwise."""
    if name not in PRESETS:
        raise ValueError(f"preset: expected one of {', '.join(PRESETS)}, got {name!r}")
    return PRESETS[name]
