"""A run's folder: what was trained and how (`config.json`), its log (`metrics.csv`), its checkpoints."""

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
from torch import Tensor

from mecca_agents.agent import Agent, TaskSpec, make_agent
from mecca_agents.checkpoints import MODEL, place_of, read_tensors, read_undisturbed
from mecca_agents.errors import RunError as RunError  # part of this module, too
from mecca_agents.locking import LOCK, locked
from mecca_agents.presets import Preset
from mecca_env.atomic import atomically, flush_to_disk
from mecca_env.config import EnvConfig

FORMAT = 4
"""Version of the folder's layout."""

CONFIG = "config.json"

_ADDED = {
    "compile": False,
    "chunk": None,
    "n_steps": None,
    "policy_head": "actions",
    "gradient": "sampled",
    "clip_ratio": 0.2,
    "epochs": 4,
    "balance_settles": 0.5,
}
"""Settings that runs of this format have had only since they exist, and what they were before."""


@dataclass(frozen=True)
class RunConfig:
    """What was trained and how.

    Attributes:
        method: Name of the method, or "module:class".
        env: Environment id.
        dataset: Name of the data set that was really played.
        root: Its folder, or None for the phantom.
        label: Foreground values, or None for the data set's own.
        settings: Further settings of the environment, the method's own and those that were asked for.
        preset: The method's settings.
        modalities: Channels of the volume.
        seed: Seed of the environment, the weights and the sampling.
        train_cases: Names of the cases trained on; empty where they are endless.
        cases: The cases that were asked for; None: the whole split.
        skip_bad: Whether unusable cases were left out.
        checkpoint_every: Updates between two checkpoints.
        device: The device that was asked for.
        environment: Every setting of the environment (`mecca_env.config.EnvConfig`), defaults included.
        versions: Versions of the packages that matter; None of one that does not say.
        commit: The git commit of the code, with "-dirty" where files were changed since; None outside of git.
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
    cases: int | tuple[str | int, ...] | None = None
    skip_bad: bool = False
    checkpoint_every: int = 100
    device: str = "auto"
    environment: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str | None] = field(default_factory=dict)
    commit: str | None = None
    format: int = FORMAT


def is_run(folder: Path) -> bool:
    """Whether a run was begun in a folder."""
    return (folder / CONFIG).exists()


def check_folder(folder: Path, overwrite: bool) -> None:
    """See whether a run can be put into a folder; nothing in it is touched but, of a run, the lock.

    Raises:
        RunError: It exists already and may not be overwritten, is not a run, is in use, or cannot be made or written.
    """
    try:
        if not folder.exists():
            parent = next(path for path in folder.absolute().parents if path.exists())
            if not parent.is_dir() or not os.access(parent, os.W_OK):
                raise RunError(f"{folder}: cannot be made: {parent} is no folder that can be written")
            return
        if not overwrite:
            raise RunError(f"{folder}: exists already; choose another folder, or pass --resume or --overwrite")
        if not folder.is_dir() or (_contents(folder) and not is_run(folder)):
            raise RunError(f"{folder}: expected a run to overwrite, found something else; it was left as it is")
    except OSError as error:
        raise RunError(f"{folder}: cannot be looked into: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise RunError(f"{folder}: cannot be overwritten: no permission to write")
    with locked(folder):
        pass


def empty_folder(folder: Path, overwrite: bool) -> None:
    """Remove an earlier run from a folder that this process has locked.

    Its `config.json` goes last: killed before that, what is left can still be told to be a run.

    Raises:
        RunError: There is one and it may not be overwritten, or it cannot be removed.
    """
    try:
        contents = _contents(folder)
        if contents and not overwrite:
            raise RunError(f"{folder}: exists already; another process has just made it")
        for child in sorted(contents, key=lambda path: path.name == CONFIG):
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
            else:
                child.unlink()
    except OSError as error:
        raise RunError(f"{folder}: cannot be emptied: {error.strerror}") from error


def _contents(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name != LOCK]


def config_text(config: RunConfig) -> str:
    """What `config.json` holds. Raises `TypeError` where JSON cannot hold it."""
    try:
        return json.dumps(asdict(config), indent=2) + "\n"
    except TypeError as error:
        raise TypeError(f"settings of the run: expected values that JSON can hold, got {config} ({error})") from None


def write_config(folder: Path, config: RunConfig) -> None:
    """Write `config.json`, and wait until it is on the disk. Raises `RunError` where it cannot be written."""
    path, text = folder / CONFIG, config_text(config)
    try:
        atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"), durable=True)
        flush_to_disk(folder.absolute().parent)  # the name of the folder, which may be new
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from error


def read_config(folder: Path) -> RunConfig:
    """Read `config.json`. Raises `RunError` where it is missing or not one."""
    path = folder / CONFIG
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError(f"expected format {FORMAT}, found {data['format']!r}")
        settings = {**_ADDED, **data["preset"]}
        preset = {f.name: _frozen(settings[f.name]) for f in fields(Preset)}
        values = {f.name: _frozen(data[f.name]) for f in fields(RunConfig)} | {"preset": Preset(**preset)}
        return RunConfig(**values)
    except FileNotFoundError:
        raise RunError(f"{folder}: expected a run with a config.json, found none") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: expected the settings of a run, found {type(error).__name__}: {error}") from error


def load_agent(
    folder: Path | str, device: torch.device | str = "cpu", checkpoint: str = "last"
) -> tuple[Agent, RunConfig]:
    """The trained agent of a run, and how it was trained.

    Args:
        folder: The run's folder.
        device: Where its networks live.
        checkpoint: "last", or "best": the one with the highest smoothed training Dice.

    Raises:
        RunError: The folder is no run, there is no such checkpoint, or its weights are missing, damaged or of another
            network.
    """
    folder = Path(folder)
    if checkpoint not in ("last", "best"):
        raise RunError(f"{folder}: expected the checkpoint last or best, got {checkpoint!r}")
    config = read_config(folder)
    agent = make_agent(config.method, config.preset, task_of(config), device=torch.device(device), seed=config.seed)
    weights = read_undisturbed(folder, checkpoint, lambda place: _read_weights(place, device))
    try:
        agent.load_weights(weights)
    except ValueError as error:
        path = place_of(folder, checkpoint) / MODEL
        raise RunError(f"{path}: expected weights of {config.method}: {error}") from error
    return agent, config


def make_task(config: EnvConfig, modalities: int) -> TaskSpec:
    """What a method must know of an environment with these settings."""
    return TaskSpec(config.shape, modalities, config.adjustments, config.action, config.guide)


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


def _read_weights(place: Path, device: torch.device | str) -> dict[str, Tensor]:
    if not place.exists():
        raise RunError(f"{place}: expected a checkpoint, found none; best is there only where the method logs a Dice")
    return read_tensors(place / MODEL, device)


def _frozen(value: Any) -> Any:
    """Lists of JSON back to the tuples they were."""
    if isinstance(value, dict):
        return {key: _frozen(v) for key, v in value.items()}
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value
