"""The trained agent of a run."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from mecca_agents.agent import Agent, TaskSpec, make_agent
from mecca_agents.runs.checkpoints import MODEL, checkpoint_folder, read_tensors, read_undisturbed
from mecca_agents.runs.config import RunConfig, read_config
from mecca_agents.runs.errors import RunError as RunError  # part of this module, too
from mecca_agents.runs.shipped import find_run
from mecca_env.process.config import EnvConfig


def load_agent(
    folder: Path | str, device: torch.device | str = "cpu", checkpoint: str = "last"
) -> tuple[Agent, RunConfig]:
    """The trained agent of a run, and how it was trained.

    Args:
        folder: The run's folder, or the name of one that comes with the package (`runs.shipped`).
        device: Where its networks live.
        checkpoint: "last", or "best": the one with the highest smoothed training Dice.

    Raises:
        RunError: The folder is no run, there is no such checkpoint, or its weights are missing, damaged or of another
            network.
    """
    folder = find_run(folder)
    if checkpoint not in ("last", "best"):
        raise RunError(f"{folder}: expected the checkpoint last or best, got {checkpoint!r}")
    config = read_config(folder)
    agent = make_agent(config.method, config.preset, task_of(config), device=torch.device(device), seed=config.seed)
    weights = read_undisturbed(folder, checkpoint, lambda found: _read_weights(found, device))
    try:
        agent.load_weights(weights)
    except ValueError as error:
        path = checkpoint_folder(folder, checkpoint) / MODEL
        raise RunError(f"{path}: expected weights of {config.method}: {error}") from error
    return agent, config


def take_weights(agent: Agent, run: Path | str, method: str) -> None:
    """Let an agent begin with the last weights of a run.

    Args:
        agent: Of the same networks.
        run: Its folder, or the name of one that comes with the package.
        method: The agent's.

    Raises:
        RunError: It is no run, or one of another method or of other networks.
    """
    folder = find_run(run)
    config = read_config(folder)
    if config.method != method:
        raise RunError(f"{folder}: expected a run of {method} to begin with, found one of {config.method}")
    weights = read_undisturbed(folder, "last", lambda found: _read_weights(found, "cpu"))
    try:
        agent.load_weights(weights)
    except ValueError as error:
        raise RunError(f"{folder}: expected weights of the same networks to begin with: {error}") from error


def make_task(config: EnvConfig, modalities: int) -> TaskSpec:
    """The task of an environment with these settings, as a method must know it."""
    return TaskSpec(
        shape=config.shape,
        modalities=modalities,
        adjustments=config.adjustments,
        action=config.action,
        guide=config.guide,
        hints=2 if config.signed else 1,
        box=config.shows_box,
        time=config.time,
    )


def task_of(config: RunConfig) -> TaskSpec:
    """The task that the run's method was built for."""
    env = EnvConfig(shape=config.preset.shape, **config.settings)
    return make_task(env, config.modalities)


def _read_weights(folder: Path, device: torch.device | str) -> dict[str, Tensor]:
    if not folder.exists():
        raise RunError(f"{folder}: expected a checkpoint, found none; best is there only where the method logs a Dice")
    return read_tensors(folder / MODEL, device)
