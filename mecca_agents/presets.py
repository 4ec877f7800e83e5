"""Settings of a training run, and the named sets of them. A preset is data: it is stored with every run."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mecca_agents.a2c import Credit


@dataclass(frozen=True)
class Preset:
    """How a method is trained; methods take from it what concerns them.

    Attributes:
        shape: Grid of the episodes, (D, H, W) voxels.
        num_envs: Episodes side by side.
        updates: Optimiser steps, one for each batch of whole episodes.
        channels: Channels of P-Net's trunk.
        dilations: Dilations of its blocks.
        learning_rate: Adam's, at the start.
        final_learning_rate: Share of it that is left at the end of a linear decay; 1 keeps it.
        gamma: Discount.
        entropy_weight: Weight of the entropy bonus.
        value_weight: Weight of the critic's loss.
        credit: "voxel" pays every voxel its own reward, "mean" pays all the mean (Eq. 4).
        balance: How far the rarer of foreground and background is weighted up (`a2c.class_weights`), 0 to 1, at the
            start and, after a linear fall, in the second half of the training.
        clip_norm: Gradients are scaled down to this norm at most.
    """

    shape: tuple[int, int, int] = (55, 55, 30)
    num_envs: int = 4
    updates: int = 20_000
    channels: int = 64
    dilations: tuple[int, ...] = (1, 2, 3, 4, 5)
    learning_rate: float = 1e-4
    final_learning_rate: float = 1.0
    gamma: float = 0.95
    entropy_weight: float = 0.01
    value_weight: float = 0.5
    credit: Credit = "voxel"
    balance: tuple[float, float] = (0.0, 0.0)
    clip_norm: float = 10.0


PAPER = Preset()
"""Sec. 4.1: grid, learning rate and discount are the paper's, the entropy weight PixelRL's. The paper gives
neither channels nor batch nor number of updates."""

FAST = replace(
    PAPER,
    shape=(28, 24, 24),
    updates=600,
    channels=16,
    learning_rate=1e-3,
    final_learning_rate=0.1,
    entropy_weight=1e-3,
    balance=(1.0, 0.2),
)
"""Trains well on two cores within 20 minutes; departs from the paper in everything that it sets."""

BRIEF = replace(FAST, updates=150)
"""The same in less than 5 minutes, for tables on a CPU."""

DEMO = replace(FAST, shape=(24, 24, 16), updates=220, channels=12, learning_rate=2e-3, balance=(1.0, 0.0))
"""What `mecca demo` trains on the phantom in about two minutes."""

PRESETS: dict[str, Preset] = {"paper": PAPER, "fast": FAST, "brief": BRIEF, "demo": DEMO}
"""Every preset by name."""


def find_preset(name: str) -> Preset:
    """The preset of that name. Raises `ValueError` with the known names otherwise."""
    if name not in PRESETS:
        raise ValueError(f"preset: expected one of {', '.join(PRESETS)}, got {name!r}")
    return PRESETS[name]
