"""The agent of a session: a trained method that sees clicks, from a run or from this package."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor

from mecca_agents.agent import METHODS, SIGNED_METHODS, Agent, find_method
from mecca_agents.runs.config import RunConfig
from mecca_agents.runs.errors import RunError
from mecca_agents.runs.loading import load_agent
from mecca_agents.runs.shipped import find_run
from mecca_agents.runtime.devices import find_device
from mecca_env.process.choices import read_choice
from mecca_env.process.config import CROPS, EnvConfig


@dataclass(frozen=True, eq=False)
class Model:
    """A trained method, ready to act; sessions in several threads may share it.

    Attributes:
        agent: The method.
        run: How it was trained.
        folder: Where it comes from.
        device: Where it computes.
        weights: SHA-256 of its weights.
    """

    agent: Agent
    run: RunConfig
    folder: Path
    device: torch.device
    weights: str

    @property
    def method(self) -> str:
        """The method's name, or "module:class"."""
        return self.run.method

    @property
    def modalities(self) -> int:
        """Images that a scan has to have."""
        return self.run.modalities

    @property
    def trained_on(self) -> str:
        """On what, in words."""
        run, preset = self.run, self.run.preset
        episodes = preset.updates * preset.num_envs
        what = f"{run.built_in.words}: no real scan, not for clinical use" if run.built_in else run.dataset
        cases = f", {len(run.train_cases)} cases" if run.train_cases else ""
        grid = " x ".join(map(str, preset.shape))
        before = f" after {run.begun_from}" if run.begun_from else ""
        return f"{what} ({run.env}{cases}, {episodes} episodes{before}, {grid} voxels)"

    @cached_property
    def finds_its_view(self) -> bool:
        """Whether a person need not draw a box: it was trained with views around a first click, and with signs."""
        trained = EnvConfig(shape=self.run.preset.shape, **self.run.settings)
        return trained.signed and read_choice("crop", trained.crop, CROPS).get("click", 0.0) > 0

    @property
    def proposes(self) -> bool:
        """Whether it is able to make two proposals of a step, between which a person chooses (`Agent.propose`)."""
        return type(self.agent).propose is not Agent.propose

    @cached_property
    def config(self) -> EnvConfig:
        """Configuration of its training, for a person: nobody is simulated, nothing is earned, no Dice ends it."""
        trained = EnvConfig(shape=self.run.preset.shape, **self.run.settings)
        nobody = (0,) * trained.horizon
        return replace(
            trained, clicks=nobody, user="none", reward="gain", target_dice=None, crop="label", start="half"
        )  # the person chooses view and mask


def load_model(run: str | PathLike[str] | None = None, *, checkpoint: str = "last", device: str = "auto") -> Model:
    """The trained method of a run.

    Args:
        run: Its folder, or the name of one that comes with the package; None: `mecca_agents.runs.shipped.DEFAULT`.
        checkpoint: "last", or "best": the one with the highest smoothed training Dice.
        device: "auto", "cpu" or "cuda".

    Raises:
        RunError: The folder is no run, its weights are missing, damaged or of another network, or its method sees no
            hints.
        ValueError: There is no such device.
    """
    folder, found = find_run(run), find_device(device)
    agent, config = load_agent(folder, found, checkpoint)
    if not agent.sees_hints:
        fitting = ", ".join(name for name in METHODS | SIGNED_METHODS if find_method(name).sees_hints)
        raise RunError(
            f"{folder}: expected a method that sees clicks ({fitting}), found {config.method}, which does not"
        )
    return Model(agent, config, folder, found, _digest(agent.weights()))


def _digest(weights: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name in sorted(weights):
        found.update(name.encode())
        found.update(weights[name].detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
