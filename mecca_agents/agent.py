"""What a method has to be, and the methods by name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import torch
from torch import Tensor

from mecca_agents.presets import Preset
from mecca_env.vector_env import MeccaVectorEnv

Observation = dict[str, Tensor]


@dataclass(frozen=True)
class TaskSpec:
    """What a method must know of the environment to build its networks.

    Attributes:
        shape: Grid, (D, H, W).
        modalities: Channels of the volume.
        choices: Number of discrete actions.
        action: "discrete" or "continuous".
        guide: Whether the action carries a confidence.
    """

    shape: tuple[int, int, int]
    modalities: int
    choices: int
    action: str = "discrete"
    guide: bool = False


class Learned(NamedTuple):
    """What one update gave: the observation to go on from, and numbers to log."""

    observation: Observation
    numbers: dict[str, float]


@runtime_checkable
class Agent(Protocol):
    """A method: how it acts, how it learns, what it keeps. Built as `Method(preset, task, device=, seed=)`."""

    def act(self, observation: Observation) -> Any:
        """The action for B observations, as `env.step` takes it; the best one, not a sample."""
        ...

    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        """One update. `progress` in [0, 1) is how much of the training is done, for schedules."""
        ...

    def weights(self) -> dict[str, Tensor]:
        """Everything needed to act again, as named tensors."""
        ...

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take over what `weights` returned. Raises `ValueError` where it does not fit."""
        ...


METHODS: dict[str, str] = {"iter-mrl": "mecca_agents.iter_mrl:IterMRL"}
"""Every method by name, as "module:class"."""


def make_agent(method: str, preset: Preset, task: TaskSpec, *, device: torch.device, seed: int) -> Agent:
    """Build a method.

    Args:
        method: A name in `METHODS`, or "module:class" of one's own.
        preset: Its settings.
        task: What it plays.
        device: Where its networks live.
        seed: Fixes its initial weights and its sampling.

    Raises:
        ValueError: The name is unknown.
    """
    target = METHODS.get(method, method)
    module, _, name = target.partition(":")
    if not name:
        raise ValueError(f"method: expected one of {', '.join(METHODS)} or module:class, got {method!r}")
    try:
        made = getattr(importlib.import_module(module), name)(preset, task, device=device, seed=seed)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"method: cannot load {target!r}: {error}") from error
    return cast("Agent", made)
