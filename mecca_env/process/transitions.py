"""From an action to what it changes and earns: the plain way, and by table look-up where a voxel has few situations.

The reward of a voxel is Eq. 9 (`process.rewards.gain`) unless the env was made with another one. `PlainTransition`
calls it at every step. `TableTransition`, which the default env takes, has called it once, when the env was made, for
every situation that a voxel can be in and every action; at a step it looks the rewards up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from mecca_env.kernels.dispatch import loops
from mecca_env.kernels.interface import Columns
from mecca_env.metrics import dice, misunderstanding
from mecca_env.process.config import EnvConfig
from mecca_env.process.contracts import Reward
from mecca_env.process.dynamics import ContinuousDynamics, DiscreteDynamics, Dynamics
from mecca_env.process.rewards import make_reward
from mecca_env.state import State
from mecca_env.tensors.exact import SCALE, exact_mean
from mecca_env.tensors.recycled import Buffers

MEASURES = ("misunderstanding", "misunderstanding_literal")
"""What a transition measures against the labels."""


@dataclass(frozen=True, eq=False)
class Transition:
    """The changes and the earnings of one step of B episodes, whether they are labelled or not.

    Attributes:
        probability: After the step, (B, D, H, W) float32.
        reward: Mean voxel reward, (B,) float32.
        voxel_reward: (B, D, H, W) float32.
        dice: After the step, (B,) float32.
        misunderstanding: Share of voxels that moved the wrong way by more than `config.wrong_way`, (B,) float32.
        misunderstanding_literal: Share that moved the wrong way at all (Definition 1 to the letter), (B,) float32.
        situation: The next `State.situation`.
    """

    probability: Tensor
    reward: Tensor
    voxel_reward: Tensor
    dice: Tensor
    misunderstanding: Tensor
    misunderstanding_literal: Tensor
    situation: Tensor | None = None

    def without(self, rows: Tensor, labelled: Tensor) -> Transition:
        """The same as if the episodes of `rows` had not moved: they earn nothing and misunderstand nothing.

        Args:
            rows: (R,) int64.
            labelled: Which of the B episodes are labelled, (B,) bool; what others misunderstand is NaN even so.
        """
        nothing = known(self.reward.new_zeros(len(rows)), labelled[rows])
        changed = {name: getattr(self, name).index_fill(0, rows, 0) for name in ("reward", "voxel_reward")}
        changed |= {name: getattr(self, name).index_copy(0, rows, nothing) for name in MEASURES}
        return replace(self, **changed)

    def hidden(self, labelled: Tensor) -> Transition:
        """The same without what comes from the labels of the episodes that are not `labelled`, (B,) bool (Sec. 3.6).

        They earn nothing, and what they misunderstand is NaN.
        """
        paid = labelled.to(torch.float32)
        changed = {"reward": self.reward * paid, "voxel_reward": self.voxel_reward * paid[:, None, None, None]}
        return replace(self, **changed, **{name: known(getattr(self, name), labelled) for name in MEASURES})


def known(measure: Tensor, labelled: Tensor) -> Tensor:
    """A measure of B episodes against their labels, (B,) float32: NaN for those that are not `labelled`, (B,) bool."""
    return torch.where(labelled, measure, torch.nan)


class TransitionRule(Protocol):
    """Computes transitions."""

    def start(self, label: Tensor) -> Tensor | None:
        """`State.situation` of new episodes with these labels, (B, D, H, W) bool."""
        ...

    def __call__(self, state: State, action: Tensor) -> Transition:
        """The transition that `action` (B, D, H, W) makes from `state`."""
        ...


class PlainTransition:
    """Dynamics, reward and measures one after the other: any action, any reward.

    Args:
        config: Settings of the decision process.
        dynamics: What an action does to a probability.
        reward: What a voxel earns.
    """

    def __init__(self, config: EnvConfig, dynamics: Dynamics, reward: Reward) -> None:
        self._config = config
        self._dynamics = dynamics
        self._reward = reward

    def start(self, label: Tensor) -> None:
        """Nothing to keep."""
        return None

    def __call__(self, state: State, action: Tensor) -> Transition:
        """See `TransitionRule`."""
        return self.apply(state.probability, state.label, action)

    def apply(self, before: Tensor, label: Tensor, action: Tensor) -> Transition:
        """The same from probability, label and action, each (B, D, H, W)."""
        after = self._dynamics(before, action)
        gain = self._reward(before, after, label)
        wrong = misunderstanding(before, after, label, self._config.wrong_way)
        return Transition(after, exact_mean(gain), gain, dice(after > 0.5, label), *wrong)


class TableTransition:
    """The same bits by look-up, where a voxel has few situations.

    With the paper's adjustments a probability is one of eleven, so a voxel's situation, label and probability, is one
    of 2 x 11, and with the action there are 2 x 11 x 6 = 132 entries. The constructor works out what each of them leads
    to, by `PlainTransition`: dynamics (Eq. 1-2) and reward (`process.rewards`, Eq. 9 by default). A step is one index
    and three look-ups, and its mean reward and measures follow from how often each entry occurs.

    Args:
        plain: The rule to tabulate; its reward looks at one voxel at a time.
        config: Settings of the decision process, with discrete actions.
        device: Where the states live.
    """

    def __init__(self, plain: PlainTransition, config: EnvConfig, device: torch.device) -> None:
        levels, choices = config.lattice + 1, len(config.adjustments)
        label, level, action = (
            t.reshape(-1, 1, 1, 1)
            for t in torch.meshgrid(torch.arange(2), torch.arange(levels), torch.arange(choices), indexing="ij")
        )
        unit = torch.tensor(1.0 / config.lattice, dtype=torch.float32)
        # Here Eq. 9 is evaluated, for every entry; the steps of the env only look it up.
        everything = plain.apply(*(t.to(device) for t in (level * unit, label.bool(), action)))
        after = (everything.probability.cpu() * config.lattice).round().to(torch.int64)
        self._per_label = levels * choices
        self._half = (config.lattice // 2) * choices
        self._dtype = torch.uint8 if 2 * levels * choices <= 256 else torch.int32
        situation = (label * self._per_label + after * choices).reshape(-1).to(device=device, dtype=self._dtype)
        self._tables: Columns = (everything.probability.reshape(-1), everything.voxel_reward.reshape(-1), situation)
        self._buffers = Buffers()
        found = (everything.probability > 0.5).reshape(-1).cpu()
        truth = label.reshape(-1).bool()
        rows = (
            (everything.voxel_reward.reshape(-1).cpu() * SCALE).round(),
            everything.misunderstanding.cpu(),
            everything.misunderstanding_literal.cpu(),
            2 * (found & truth),
            found.long() + truth.long(),
            torch.ones_like(truth),
        )
        self._worth = torch.stack([row.to(torch.float64) for row in rows]).to(device)  # (6, size)

    def start(self, label: Tensor) -> Tensor:
        """Label and probability of a half, as the number of the situation's first entry."""
        return label.view(torch.uint8).to(self._dtype) * self._per_label + self._half

    def __call__(self, state: State, action: Tensor) -> Transition:
        """See `TransitionRule`. The rewards come from the table that the constructor made by `process.rewards`."""
        assert state.situation is not None
        shape = state.situation.shape
        flat = state.situation.flatten(1)
        into = self._grids(flat)
        measured = loops(flat.device).look_up(flat, action.flatten(1), self._tables, self._worth, into)
        probability, voxel_reward, situation = (grid.view(shape) for grid in into)
        reward, wrong, wrong_literally, dice = measured.unbind()
        return Transition(probability, reward, voxel_reward, dice, wrong, wrong_literally, situation)

    def _grids(self, like: Tensor) -> Columns:
        """Memory for the results."""
        probability, gain, situation = (self._buffers.empty(like.shape, t.dtype, like.device) for t in self._tables)
        return probability, gain, situation


class WeightedTransition:
    """Another rule, whose voxel rewards are multiplied by `State.weights`: those depend on where a voxel lies.

    Args:
        rule: What a voxel earns without them.
    """

    def __init__(self, rule: TransitionRule) -> None:
        self._rule = rule

    def start(self, label: Tensor) -> Tensor | None:
        """See `TransitionRule`."""
        return self._rule.start(label)

    def __call__(self, state: State, action: Tensor) -> Transition:
        """See `TransitionRule`."""
        assert state.weights is not None
        made = self._rule(state, action)
        earned = made.voxel_reward.mul_(state.weights)  # nobody else has it yet
        return replace(made, reward=exact_mean(earned), voxel_reward=earned)


def make_transition(config: EnvConfig, device: torch.device) -> TransitionRule:
    """The fastest rule for these settings: a table for discrete actions and the rewards of this package."""
    if config.reward == "boundary":
        return WeightedTransition(make_transition(replace(config, reward="gain"), device))
    dynamics: Dynamics = ContinuousDynamics()
    if config.action == "discrete":
        dynamics = DiscreteDynamics(config.adjustments, config.lattice, device)
    plain = PlainTransition(config, dynamics, make_reward(config.reward, config))
    # A reward of somebody's own may look at more than one voxel.
    tabulated = config.action == "discrete" and isinstance(config.reward, str)
    return TableTransition(plain, config, device) if tabulated else plain
