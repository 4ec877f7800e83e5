"""The interface of a method, and the methods by name."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from mecca_agents.presets import Preset
from mecca_env.process.config import some_unlabelled
from mecca_env.vector_env import MeccaVectorEnv
from mecca_env.vector_env import Observation as Observation  # part of this module, too


@dataclass(frozen=True)
class TaskSpec:
    """The part of an environment that a method must know to build its networks.

    Attributes:
        shape: Grid, (D, H, W).
        modalities: Channels of the volume.
        adjustments: What each discrete action adds to the probability.
        action: "discrete" or "continuous".
        guide: Whether the action carries a confidence.
        hints: Hint maps: one, or with signs two.
        box: Whether a box is shown, if only in some episodes.
        time: Whether the share of the episode that is left is told.
    """

    shape: tuple[int, int, int]
    modalities: int
    adjustments: tuple[float, ...]
    action: str = "discrete"
    guide: bool = False
    hints: int = 1
    box: bool = False
    time: bool = False

    @property
    def channels(self) -> int:
        """Channels of a whole observation: modalities, probability, hints, box, time (`learning.rollout`)."""
        return self.modalities + 1 + self.hints + self.box + self.time


class Learned(NamedTuple):
    """The outcome of one update: the observation to go on from, and numbers to log."""

    observation: Observation
    numbers: dict[str, float]


class Agent(ABC):
    """A method: how it acts, how it learns, what it keeps. Built as `Method(preset, task, device=, seed=)`.

    A method that keeps more than its weights to go on learning, an optimiser say, returns it from `training_state`,
    and a run of it that was stopped goes on exactly where it was.

    Attributes:
        learns_together: Whether `learn` adds up the gradients of several processes (`runtime.distributed`);
            without that, training it with more than one is refused.
        learns: Whether `learn` changes anything.
        sees_hints: Whether what it does depends on the user's clicks.
        footnote: What a reader of a table has to know of it, a sentence; a baseline whose details had to be guessed
            says so.
    """

    learns_together: ClassVar[bool] = False
    learns: ClassVar[bool] = True
    sees_hints: ClassVar[bool] = True
    footnote: ClassVar[str] = ""

    @abstractmethod
    def act(self, observation: Observation) -> Any:
        """The action for B observations, as `env.step` takes it; the best one, not a sample."""

    @abstractmethod
    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        """One update. `progress` in [0, 1) is how much of the training is done, for schedules.

        Raises:
            FloatingPointError: A loss became NaN or infinite; the message names the tensor. Nothing was updated.
        """

    @abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """Everything needed to act again, as named tensors."""

    @abstractmethod
    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take over what `weights` returned. Raises `ValueError` where it does not fit."""

    def training_state(self) -> dict[str, Tensor]:
        """Named tensors that `learn` needs besides the weights: optimisers, random generators."""
        return {}

    def load_training_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `training_state` returned. Raises `ValueError` where it does not fit."""
        if state:
            raise ValueError(f"{type(self).__name__}: expected no training state, got {sorted(state)}")

    def enter(self, envs: MeccaVectorEnv) -> None:
        """Is called with the environment before an evaluation plays in it; only an oracle has a use for that."""
        return None

    def confidence(self, observation: Observation, action: Any) -> Tensor | None:
        """Confidence of the method that each voxel's action goes the right way, (B, D, H, W) in [0, 1], or None.

        Args:
            observation: B observations.
            action: What `act` returned for them.
        """
        return None

    def propose(self, observation: Observation, seed: int) -> tuple[Any, Any] | None:
        """Two actions between which a person may choose; None where there are no two whose masks visibly differ.

        Args:
            observation: One observation.
            seed: Of what is drawn for them.
        """
        return None

    @classmethod
    def passes(cls, preset: Preset) -> int:
        """Number of times that an update passes each volume that it plays through its networks with gradients.

        A benchmark makes so many times fewer updates, so that all methods pass as many volumes.

        Args:
            preset: Its settings.
        """
        return 1

    @classmethod
    def without_effect(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, str]:
        """Settings of a preset that change nothing of what this method learns, by name, and why.

        A command that is given one of them refuses it (`check_effect`).

        Args:
            preset: Its settings.
            settings: What was asked of the environment: which cases are labelled, say.
        """
        return {}

    @classmethod
    def env_settings(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings of the environment that this method trains and is tested in (`mecca_env.EnvConfig`).

        Args:
            preset: Its settings.
            settings: What the user of the method asked for; that wins over what is returned here.
        """
        return {}


def only_labelled(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of an environment that plays labelled cases only, where some are not: for methods they teach nothing.

    Args:
        settings: What the user of the method asked for.
    """
    return {"labelled_share": 1.0} if some_unlabelled(settings) else {}


METHODS: dict[str, str] = {
    "random": "mecca_agents.algorithms.bounds.random_agent:RandomAgent",
    "oracle": "mecca_agents.algorithms.bounds.oracle:Oracle",
    "mean-mask": "mecca_agents.algorithms.bounds.mean_mask:MeanMask",
    "ellipsoid": "mecca_agents.algorithms.bounds.ellipsoid:Ellipsoid",
    "pnet": "mecca_agents.algorithms.pnet:PNetAgent",
    "unet": "mecca_agents.algorithms.unet:UNetAgent",
    "ua-mt": "mecca_agents.algorithms.ua_mt:MeanTeacher",
    "deepigeos": "mecca_agents.algorithms.deepigeos:DeepIGeoS",
    "intercnn": "mecca_agents.algorithms.intercnn:InterCNN",
    "iter-mrl": "mecca_agents.algorithms.iter_mrl:IterMRL",
    "focal-iter-mrl": "mecca_agents.algorithms.focal_iter_mrl:FocalIterMRL",
    "err-iter-mrl": "mecca_agents.algorithms.err_iter_mrl:ErrIterMRL",
    "bs-iris": "mecca_agents.algorithms.bs_iris:BSIRIS",
    "ppo": "mecca_agents.algorithms.ppo:PPO",
    "mecca": "mecca_agents.algorithms.mecca:Mecca",
    "iter-mrl-expected": "mecca_agents.algorithms.expected.iter_mrl:ExpectedIterMRL",
    "mecca-expected": "mecca_agents.algorithms.expected.mecca:ExpectedMecca",
}
"""Every method of the paper's protocol by name, as "module:class"."""

SIGNED_METHODS: dict[str, str] = {
    "random-walker": "mecca_agents.algorithms.classical.random_walker:RandomWalker",
    "growcut": "mecca_agents.algorithms.classical.growcut:GrowCut",
}
"""Methods that need to know which side of the border a click is on (`signed=True`), likewise."""


def methods() -> tuple[str, ...]:
    """The names of all methods of the paper's protocol."""
    return tuple(METHODS)


def find_method(method: str) -> type[Agent]:
    """The class of a method.

    Args:
        method: A name in `METHODS` or `SIGNED_METHODS`, or "module:class" of one's own.

    Raises:
        ValueError: The name is unknown, or what it names is no `Agent`.
    """
    known = METHODS | SIGNED_METHODS
    target = known.get(method, method)
    module, _, name = target.partition(":")
    if not name:
        raise ValueError(f"method: expected one of {', '.join(known)} or module:class, got {method!r}")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"method: cannot load {target!r}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Agent)):
        raise ValueError(f"method: expected {target!r} to be a subclass of mecca_agents.Agent, got {found!r}")
    return found


def check_effect(methods: Iterable[str], preset: Preset, given: Iterable[str], settings: Mapping[str, Any]) -> None:
    """Refuse settings that were asked for and that none of the methods learns anything else by.

    Args:
        methods: Names in `METHODS`, or "module:class" of one's own.
        preset: The settings, with what was asked for.
        given: Names of what was asked for.
        settings: What was asked of the environment.

    Raises:
        ValueError: One is without effect; the message says why.
    """
    reasons = {method: find_method(method).without_effect(preset, settings) for method in methods}
    for name in given:
        if reasons and all(name in of_method for of_method in reasons.values()):
            why = dict.fromkeys(f"{method}: {of_method[name]}" for method, of_method in reasons.items())
            raise ValueError(f"{name}: expected a setting that has an effect, got one without ({'; '.join(why)})")


def make_agent(method: str, preset: Preset, task: TaskSpec, *, device: torch.device, seed: int) -> Agent:
    """Build a method.

    Args:
        method: A name in `METHODS`, or "module:class" of one's own.
        preset: Its settings.
        task: What it plays.
        device: Where its networks live.
        seed: Fixes its initial weights and its sampling.

    Raises:
        ValueError: The name is unknown, or the method cannot take this task.
    """
    return find_method(method)(preset, task, device=device, seed=seed)  # type: ignore[call-arg]
