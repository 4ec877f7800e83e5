"""A run's folder: what was trained and how (`config.json`), its log (`metrics.csv`), its weights (safetensors)."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mecca_agents.agent import Agent, TaskSpec, make_agent
from mecca_agents.presets import Preset
from mecca_env.atomic import atomically
from mecca_env.config import EnvConfig

FORMAT = 1
"""Version of the folder's layout."""


class RunError(ValueError):
    """A run's folder cannot be used; the message names it, what was expected and what was found."""


@dataclass(frozen=True)
class RunConfig:
    """What was trained and how.

    Attributes:
        method: Name of the method, or "module:class".
        env: Environment id.
        dataset: Name of the data set that was really played.
        root: Its folder, or None for the phantom.
        label: Foreground values, or None for the data set's own.
        settings: Further settings of the environment.
        preset: The method's settings.
        modalities: Channels of the volume.
        seed: Seed of the environment, the weights and the sampling.
        train_cases: Names of the cases trained on; empty where they are endless.
        versions: Versions of the packages that matter.
        format: Version of the folder's layout.
    """

    method: str
    env: str
    dataset: str
    root: str | None
    label: tuple[int, ...] | None
    settings: dict[str, Any]
    preset: Preset
    modalities: int
    seed: int
    train_cases: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT


def prepare_folder(folder: Path, overwrite: bool) -> None:
    """Make an empty run folder.

    Raises:
        RunError: It exists already and may not be overwritten, is not a run, or cannot be made.
    """
    if folder.exists():
        if not overwrite:
            raise RunError(f"{folder}: exists already; choose another folder or pass --overwrite")
        if not folder.is_dir() or (any(folder.iterdir()) and not (folder / "config.json").exists()):
            raise RunError(f"{folder}: expected a run to overwrite, found something else; it was left as it is")
        shutil.rmtree(folder)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot be made: {error.strerror}") from error


def write_config(folder: Path, config: RunConfig) -> None:
    """Write `config.json`."""
    text = json.dumps(asdict(config), indent=2) + "\n"
    atomically(folder / "config.json", lambda path: path.write_text(text, encoding="utf-8"))


def read_config(folder: Path) -> RunConfig:
    """Read `config.json`. Raises `RunError` where it is missing or not one."""
    path = folder / "config.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise RunError(f"{path}: expected format {FORMAT}, found {data['format']!r}")
        preset = {f.name: _frozen(data["preset"][f.name]) for f in fields(Preset)}
        values = {f.name: _frozen(data[f.name]) for f in fields(RunConfig)} | {"preset": Preset(**preset)}
        return RunConfig(**values)
    except FileNotFoundError:
        raise RunError(f"{folder}: expected a run with a config.json, found none") from None
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise RunError(f"{path}: expected the settings of a run, found {type(error).__name__}: {error}") from error


def save_weights(folder: Path, weights: Mapping[str, Tensor]) -> None:
    """Write `checkpoints/last/model.safetensors`, so that the old one stays whole until the new one is."""
    path = folder / "checkpoints" / "last" / "model.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    atomically(path, lambda temporary: save_file({k: v.cpu().contiguous() for k, v in weights.items()}, temporary))


def load_agent(folder: Path | str, device: torch.device | str = "cpu") -> tuple[Agent, RunConfig]:
    """The trained agent of a run, and how it was trained.

    Raises:
        RunError: The folder is no run, or its weights are missing, damaged or of another network.
    """
    folder = Path(folder)
    config = read_config(folder)
    path = folder / "checkpoints" / "last" / "model.safetensors"
    agent = make_agent(config.method, config.preset, task_of(config), device=torch.device(device), seed=config.seed)
    try:
        agent.load_weights(load_file(path, device=str(device)))
    except FileNotFoundError:
        raise RunError(f"{path}: expected the weights of the run, found no file") from None
    except (SafetensorError, ValueError, OSError) as error:
        raise RunError(f"{path}: expected weights of {config.method}: {error}") from error
    return agent, config


def make_task(config: EnvConfig, modalities: int) -> TaskSpec:
    """What a method must know of an environment with these settings."""
    return TaskSpec(config.shape, modalities, len(config.adjustments), config.action, config.guide)


def task_of(config: RunConfig) -> TaskSpec:
    """What the run's method was built for."""
    env = EnvConfig(shape=config.preset.shape, **config.settings)
    return make_task(env, config.modalities)


def check_writable(path: Path) -> None:
    """Raise `RunError` where a file could not be written; nothing is written."""
    if not path.parent.is_dir():
        raise RunError(f"{path}: expected an existing folder {path.parent}, found none")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise RunError(f"{path}: cannot be written")


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a CSV file of those columns. Raises `RunError` where its folder is missing or cannot be written."""

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

    try:
        atomically(path, write)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from error


def _frozen(value: Any) -> Any:
    """Lists of JSON back to the tuples they were."""
    if isinstance(value, dict):
        return {key: _frozen(v) for key, v in value.items()}
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value
