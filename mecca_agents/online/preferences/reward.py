"""A reward model: what makes a person take one mask rather than another (Christiano et al., 2017).

    score(m) = sharpness / size * sum of worth(x) over the voxels x of m
    P(a is taken, not b) = sigmoid(score(a) - score(b))         Bradley and Terry (1952)

The worth of a voxel, from -1 to 1, is what a small U-Net makes of the scan, the prompts and the opinion of the agent
before it learns; `size` is that of the mask which the agent would expect, so that large targets are scored like small
ones. A sum over voxels is what Dice comes down to where two masks differ little, and a policy of voxels has its
expected value without sampling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from mecca_agents.agent import Agent
from mecca_agents.learning.rollout import stack_observation
from mecca_agents.networks.unet import UNet
from mecca_agents.online.preferences.choices import Choice, stacked
from mecca_agents.online.preferences.policies import policy_of

EPOCHS = 4
"""How often every choice is learned from."""

CHANNELS, LEVELS = 8, 3
"""Of the U-Net: 100 000 parameters."""

BATCH = 4
"""Choices, or states, in a step of the optimiser."""

RATE, DECAY = 2e-3, 1e-2
"""Learning rate and weight decay of AdamW."""

SHARPNESS = 20.0
"""At the start: two proposals differ in about an eighth of a mask."""

AT_ONCE = 8
"""States that are looked at together where nothing is learned."""


class RewardModel(nn.Module):
    """The worth of every voxel, and the scores of masks.

    Args:
        in_channels: Of `Situations.inputs`.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.network = UNet(in_channels, {"worth": 1}, CHANNELS, LEVELS)
        self.log_sharpness = nn.Parameter(torch.tensor(SHARPNESS).log())

    def forward(self, inputs: Tensor) -> Tensor:
        """The worth of voxels in B situations, (B, D, H, W) in [-1, 1]."""
        worth: Tensor = self.network(inputs)["worth"]
        return worth.squeeze(1).tanh()

    def margins(self, situations: Situations) -> Tensor:
        """By how much the mask that was taken scores higher than the other one, (B,)."""
        taken, other = situations.masks.unbind(dim=1)
        more: Tensor = (self(situations.inputs) * (taken.float() - other.float())).flatten(1).sum(1)
        return self.log_sharpness.exp() * more / situations.size


@dataclass(frozen=True, eq=False)
class Situations:
    """Choices as the reward model sees them.

    Attributes:
        observation: What the agent saw, (B, ...) each.
        inputs: The same as channels, with the foreground that it expected in the probability's place, (B, C, D, H, W).
        size: Voxels of that, (B,).
        masks: The pair, the one that was taken first, (B, 2, D, H, W) bool.
    """

    observation: dict[str, Tensor]
    inputs: Tensor
    size: Tensor
    masks: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, which: Tensor) -> Situations:
        """Some of them."""
        observation = {key: values[which] for key, values in self.observation.items()}
        return Situations(observation, self.inputs[which], self.size[which], self.masks[which])

    def mirrored(self, axes: list[int]) -> Situations:
        """The same with the inputs and the masks mirrored along axes of the grid, counted from the last: -1, -2, -3."""
        return Situations(self.observation, self.inputs.flip(axes), self.size, self.masks.flip(axes))


def situations_of(agent: Agent, choices: Sequence[Choice]) -> Situations:
    """Choices, with what an agent makes of them as it is now."""
    observation, masks = stacked(choices)
    expected = []
    for first in range(0, len(choices), AT_ONCE):
        with torch.no_grad():
            part = {key: values[first : first + AT_ONCE] for key, values in observation.items()}
            expected.append(policy_of(agent, part).foreground)
    foreground = torch.cat(expected)
    inputs = stack_observation({**observation, "probability": foreground})
    return Situations(observation, inputs, foreground.flatten(1).sum(1) + 1, masks)


def fit_reward(situations: Situations, seed: int, over: Callable[[], bool] = lambda: False) -> RewardModel:
    """The reward model of some choices, by maximum likelihood.

    Args:
        situations: The choices.
        seed: Of its first weights, of the order and of what is mirrored.
        over: Asked before each step: whether to leave it at that.

    Raises:
        FloatingPointError: Its loss became NaN or infinite.
    """
    inputs = situations.inputs
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = RewardModel(inputs.shape[1]).to(inputs.device)
    draws = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    for _ in range(EPOCHS):
        for part in torch.split(torch.randperm(len(situations), generator=draws), BATCH):
            if over():
                return model
            axes = [-1 - axis for axis in range(3) if bool(torch.rand((), generator=draws) < 0.5)]
            loss = softplus(-model.margins(situations[part.to(inputs.device)].mirrored(axes))).mean()
            if not bool(loss.isfinite()):
                raise FloatingPointError(f"loss of the reward model became {float(loss.detach())}")
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return model


def foreseen(model: RewardModel, situations: Situations) -> int:
    """How many of these choices the model foresees."""
    with torch.no_grad():
        return sum(int((model.margins(situations[part]) > 0).sum()) for part in parts_of(situations))


def parts_of(situations: Situations) -> list[Tensor]:
    """Places of situations, so many at once as are looked at where nothing is learned."""
    every = torch.arange(len(situations), device=situations.inputs.device)
    return [every[first : first + AT_ONCE] for first in range(0, len(every), AT_ONCE)]
