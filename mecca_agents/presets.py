"""Settings of a training run, and the named sets of them. A preset is data: it is stored with every run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from operator import index
from typing import Any, Literal, get_args

Credit = Literal["voxel", "mean"]
Precision = Literal["float32", "bf16"]
Gradient = Literal["sampled", "expected"]
PolicyHead = Literal["actions", "target"]


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
        policy_head: What the policy's branch gives for each voxel: "actions", a logit for every action, or "target",
            the probability to go to and how exactly, from which the actions follow (`distributions.towards`): so the
            network need not learn how actions and the present probability add up.
        learning_rate: Adam's, at the start.
        final_learning_rate: Share of it that is left at the end of a linear decay; 1 keeps it.
        policy_rate: Learning rate of the policy's own layers as a share of the others', since "the policy head is
            updated more slowly" (Sec. 3.2).
        gamma: Discount (Sec. 4.1).
        n_steps: Steps of the environment that an optimiser step is taken after, with the critic's word for what comes
            later (n-step A2C; Algorithm 1 computes gradients at every step); None: after whole episodes. A divisor of
            the horizon. PPO plays whole episodes and then learns from so many of their steps at a time.
        gae_lambda: Lambda of generalised advantage estimation: 1 takes the rewards to the end of the episode (Eq. 3),
            0 the next one and the value of the state after it.
        entropy_weight: Weight of the entropy bonus.
        value_weight: Weight of the critic's loss.
        gradient: Of the policy: "sampled" is A2C's, log pi of the action taken times its advantage; "expected" is Eq. 5
            as printed, the gradient of pi, summed over all actions: what each of them would have earned is known. PPO
            compares sampled actions with themselves and samples, whatever is said here.
        clip_ratio: PPO: how far the probability of a voxel's action may move in one update, as a share of it, before
            there is nothing more to gain.
        epochs: PPO: how often an update goes over its episodes.
        credit: "voxel" pays every voxel its own reward, "mean" pays all the mean (Eq. 4).
        balance: How far the rarer of foreground and background is weighted up (`a2c.class_weights`), 0 to 1, at the
            start and, after a linear fall, from `balance_settles` on.
        balance_settles: Share of the training after which these weights stay as they are. Where the target is small,
            lowering every probability pays at once, and a policy that has learned to do so explores no longer. Weights
            at the start avoid that; keeping them up would make the target come out too large.
        clip_norm: Gradients are scaled down to this norm at most.
        precision: "float32", or "bf16" for convolutions in bfloat16 (autocast), on a GPU; a CPU refuses to train so,
            and acts in float32.
        compile: Compile the networks (`torch.compile`), which takes a minute at the start and needs a C++ compiler on a
            CPU, Triton on a GPU.
        chunk: How many volumes' activations are held at a time, to save memory: an update plays a volume for each step
            of an episode, and with this computes the others' again when their gradients are due. None holds all.
        self_adaptive_reward: MECCA: weigh the reward by confidence (Eq. 8).
        interaction_guide: MECCA: show the user where confidence is low (Sec. 3.5).
        simulated_labels: MECCA: learn from unlabelled cases, too (Sec. 3.6), where there are any.
        alpha: Factor of Eq. 8 (Sec. 4.1).
        beta: Exponent of Eq. 8 (Sec. 4.1).
        delta: Least certainty of a simulated label that is learned from (Eq. 11), at the start and at the end of the
            training (Sec. 4.1).
        simulated_from: Share of the training before which nothing is learned from simulated labels: M of Eq. 11 is 0,
            since the confidence network knows nothing yet.
        labelled_share: Share of the episodes that are of labelled cases, with simulated labels; a half is Algorithm 1.
        confidence_channels: Channels of the confidence network.
        confidence_balance: How far the rarer of foreground and background is weighted up in Eq. 6, as `balance` does it
            in the other losses, but throughout.
        confidence_steps: How many steps of each rollout, drawn anew, the confidence network learns from; None takes all
            (Algorithm 1).

    Raises:
        ValueError: A setting is out of range; the message names it, what was expected and what was given.
    """

    shape: tuple[int, int, int] = (55, 55, 30)
    num_envs: int = 4
    updates: int = 20_000
    channels: int = 64
    dilations: tuple[int, ...] = (1, 2, 3, 4, 5)
    shared_blocks: int = 3
    policy_head: PolicyHead = "actions"
    learning_rate: float = 1e-4
    final_learning_rate: float = 1.0
    policy_rate: float = 1.0
    gamma: float = 0.95
    n_steps: int | None = None
    gae_lambda: float = 1.0
    entropy_weight: float = 0.01
    value_weight: float = 0.5
    gradient: Gradient = "sampled"
    clip_ratio: float = 0.2
    epochs: int = 4
    credit: Credit = "voxel"
    balance: tuple[float, float] = (0.0, 0.0)
    balance_settles: float = 0.5
    clip_norm: float = 10.0
    precision: Precision = "float32"
    compile: bool = False
    chunk: int | None = None
    self_adaptive_reward: bool = True
    interaction_guide: bool = True
    simulated_labels: bool = True
    alpha: float = 0.8
    beta: float = 1.0
    delta: tuple[float, float] = (0.85, 0.99)
    simulated_from: float = 0.0
    labelled_share: float = 0.5
    confidence_channels: int = 64
    confidence_balance: float = 0.0
    confidence_steps: int | None = None

    def __post_init__(self) -> None:
        for name, (holds, expected) in _RULES.items():
            value = getattr(self, name)
            try:
                fits = holds(value)
            except TypeError:  # not even of a type that can be compared
                fits = False
            if not fits:
                raise ValueError(f"{name}: expected {expected}, got {value!r}")
        if self.gradient == "expected" and self.credit == "mean":
            raise ValueError("credit: expected 'voxel' with gradient='expected', got 'mean'")


def _count(value: Any) -> bool:
    return not isinstance(value, bool) and index(value) >= 1


def _pair(least: float, below: float) -> tuple[Callable[[Any], bool], str]:
    return lambda v: len(v) == 2 and all(least <= x <= below for x in v), f"two numbers from {least:g} to {below:g}"


_COUNT = (_count, "an integer of at least 1")
_ABOVE = (lambda v: 0 < v < inf, "a number above 0")
_NOT_BELOW = (lambda v: 0 <= v < inf, "a number of at least 0")
_SHARE = (lambda v: 0 <= v <= 1, "a number from 0 to 1")
_SWITCH = (lambda v: isinstance(v, bool), "True or False")
_COUNT_OR_NONE = (lambda v: v is None or _count(v), "None or an integer of at least 1")
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {  # the environment looks at the shape
    **dict.fromkeys(("num_envs", "updates", "channels", "shared_blocks", "epochs", "confidence_channels"), _COUNT),
    **dict.fromkeys(("learning_rate", "policy_rate", "clip_norm", "alpha"), _ABOVE),
    **dict.fromkeys(("entropy_weight", "value_weight", "beta"), _NOT_BELOW),
    **dict.fromkeys(("final_learning_rate", "gamma", "gae_lambda", "confidence_balance", "simulated_from"), _SHARE),
    **dict.fromkeys(("compile", "self_adaptive_reward", "interaction_guide", "simulated_labels"), _SWITCH),
    **dict.fromkeys(("chunk", "confidence_steps", "n_steps"), _COUNT_OR_NONE),
    "dilations": (lambda v: len(v) > 0 and all(_count(d) for d in v), "integers of at least 1"),
    "policy_head": (lambda v: v in get_args(PolicyHead), f"one of {', '.join(get_args(PolicyHead))}"),
    "gradient": (lambda v: v in get_args(Gradient), f"one of {', '.join(get_args(Gradient))}"),
    "credit": (lambda v: v in get_args(Credit), f"one of {', '.join(get_args(Credit))}"),
    "clip_ratio": (lambda v: 0 < v < 1, "a number between 0 and 1"),
    "precision": (lambda v: v in get_args(Precision), f"one of {', '.join(get_args(Precision))}"),
    "balance": _pair(0, 1),
    "balance_settles": (lambda v: 0 < v <= 1, "a number above 0 and up to 1"),
    "delta": _pair(0.5, 1),
    "labelled_share": (lambda v: 0 < v < 1, "a number between 0 and 1"),
}


PAPER = Preset()
"""Sec. 4.1: grid, learning rate, discount, alpha, beta and delta are the paper's, the entropy weight PixelRL's. The
paper gives neither channels nor batch nor number of updates."""

FAST = replace(
    PAPER,
    shape=(28, 24, 24),
    num_envs=2,
    updates=800,
    channels=16,
    dilations=(1, 2, 3),
    confidence_channels=8,
    confidence_steps=2,
    confidence_balance=0.5,
    simulated_from=0.25,
    learning_rate=2e-3,
    final_learning_rate=0.1,
    policy_head="target",
    gradient="expected",
    n_steps=1,
    gae_lambda=0.5,
    entropy_weight=1e-3,
    value_weight=0.05,
    balance=(0.5, 0.0),
    balance_settles=0.1,
)
"""Trains well on two cores within 20 minutes; departs from the paper in everything that it sets."""

BRIEF = replace(FAST, updates=300)
"""The same in less than 5 minutes, for tables on a CPU."""

DEMO = replace(FAST, shape=(24, 24, 16), num_envs=4, updates=160, channels=12, n_steps=None, value_weight=0.5)
"""What `mecca demo` trains on the phantom in two to three minutes."""

PRESETS: dict[str, Preset] = {"paper": PAPER, "fast": FAST, "brief": BRIEF, "demo": DEMO}
"""Every preset by name."""


def find_preset(name: str) -> Preset:
    """The preset of that name. Raises `ValueError` with the known names otherwise."""
    if name not in PRESETS:
        raise ValueError(f"preset: expected one of {', '.join(PRESETS)}, got {name!r}")
    return PRESETS[name]
