"""Checkpoints: folders that are whole or not there, whatever happens while they are written.

    RUN/checkpoints/last/model.safetensors       weights
                         training.safetensors    what the method and the envs need to go on
                         state.json              how far the run is
    RUN/checkpoints/best/model.safetensors       weights at the highest smoothed training Dice
                         state.json              how far the run was

A folder cannot replace one that is not empty in a single step. So a new one is written and flushed beside the old one,
the old one moves to a hidden name, the new one takes its place, and the old one goes. Killed anywhere in between, one
of the two is whole: `find_checkpoint` knows which, and `tidy` puts it back in its place.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mecca_agents.runs.errors import RunError
from mecca_agents.runs.tally import Tally
from mecca_env.atomic import flush_to_disk, os_errors_as
from mecca_env.episodes.snapshot import Snapshot

MODEL, TRAINING, STATE = "model.safetensors", "training.safetensors", "state.json"

FORMAT = 1
"""Version of a checkpoint's layout."""

_AGENT, _ENV = "agent.", "env."  # whose a tensor of training.safetensors is

Found = TypeVar("Found")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """All that a run needs to go on.

    Attributes:
        tally: How far it is.
        weights: The agent's weights.
        training: The agent's training state.
        envs: The environment.
    """

    tally: Tally
    weights: Mapping[str, Tensor]
    training: Mapping[str, Tensor]
    envs: Snapshot


def checkpoint_folder(run: Path, name: str = "last") -> Path:
    """The folder where a run's checkpoint "last" or "best" belongs."""
    return run / "checkpoints" / name


def find_checkpoint(run: Path, name: str = "last") -> Path:
    """Its folder: in its place, but for a run that was killed while one replaced the other. Nothing is moved."""
    folder = checkpoint_folder(run, name)
    previous = _hidden(folder, "previous")
    return previous if not folder.exists() and previous.exists() else folder


def read_undisturbed(run: Path, name: str, read: Callable[[Path], Found]) -> Found:
    """Let `read` read the folder of a checkpoint, and again where a run that goes on replaced it meanwhile.

    Raises:
        RunError: From `read`, of a folder that nobody replaced.
    """
    while True:
        folder = find_checkpoint(run, name)
        before = _identity(folder)
        try:
            found = read(folder)
        except RunError:
            if _identity(find_checkpoint(run, name)) == before:
                raise
        else:
            if _identity(find_checkpoint(run, name)) == before:
                return found


def tidy(run: Path) -> None:
    """Put every checkpoint back in its place and remove what a killed run left beside it. Raises `RunError`."""
    for name in ("last", "best"):
        _put_back(checkpoint_folder(run, name))


def write_checkpoint(run: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint "last".

    Raises:
        RunError: It cannot be written; the one before stays.
    """
    training = {_AGENT + key: value for key, value in checkpoint.training.items()}
    training |= {_ENV + key: value for key, value in checkpoint.envs.tensors.items()}
    tensors = {MODEL: checkpoint.weights, TRAINING: training}
    _write(
        checkpoint_folder(run), tensors, {"format": FORMAT, **asdict(checkpoint.tally), "envs": checkpoint.envs.host}
    )


def write_best(run: Path, weights: Mapping[str, Tensor], tally: Tally) -> None:
    """Replace the checkpoint "best": weights alone, no run goes on from it. Raises `RunError` likewise."""
    _write(checkpoint_folder(run, "best"), {MODEL: weights}, {"format": FORMAT, **asdict(tally)})


def read_checkpoint(run: Path, device: torch.device) -> Checkpoint:
    """The checkpoint "last".

    Args:
        run: The run's folder.
        device: Where the weights go; the rest stays on the host.

    Raises:
        RunError: It is missing, truncated or something else.
    """
    return read_undisturbed(run, "last", lambda folder: _read(folder, device))


def read_tensors(path: Path, device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """A safetensors file. Raises `RunError` where it is missing, truncated or something else."""
    try:
        return load_file(path, device=str(device))
    except FileNotFoundError:
        raise RunError(f"{path}: expected tensors of a checkpoint, found no file") from None
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path}: expected tensors of a checkpoint, found something else or a part: {error}") from error


def _read(folder: Path, device: torch.device) -> Checkpoint:
    state = _read_state(folder / STATE)
    training = read_tensors(folder / TRAINING)
    foreign = sorted(key for key in training if not key.startswith((_AGENT, _ENV)))
    if foreign:
        raise RunError(f"{folder / TRAINING}: expected tensors of the method and of the environment, found {foreign}")
    parts = [{k.removeprefix(p): v for k, v in training.items() if k.startswith(p)} for p in (_AGENT, _ENV)]
    tally = Tally(**{field.name: state[field.name] for field in fields(Tally)})
    return Checkpoint(tally, read_tensors(folder / MODEL, device), parts[0], Snapshot(parts[1], state["envs"]))


def _read_state(path: Path) -> dict[str, Any]:
    expected = {"format", "envs", *(field.name for field in fields(Tally))}
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path}: expected the state of a checkpoint, found no file") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: expected the state of a checkpoint: {error}") from error
    if not isinstance(state, dict) or set(state) != expected:
        found = sorted(state) if isinstance(state, dict) else type(state).__name__
        raise RunError(f"{path}: expected {sorted(expected)}, found {found}")
    if state["format"] != FORMAT or not isinstance(state["updates"], int) or not isinstance(state["envs"], dict):
        raise RunError(f"{path}: expected format {FORMAT} with a number of updates, found format {state['format']!r}")
    return state


def _write(folder: Path, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
    new, previous = _hidden(folder, "new"), _hidden(folder, "previous")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        flush_to_disk(folder.parents[1])  # the name of the checkpoints' folder
        _tidy(folder)
        new.mkdir()
        for name, values in tensors.items():
            save_file({key: _plain(value) for key, value in values.items()}, new / name)
            flush_to_disk(new / name)
        (new / STATE).write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
        flush_to_disk(new / STATE)
        flush_to_disk(new)
        if folder.exists():
            os.rename(folder, previous)
        os.rename(new, folder)
        flush_to_disk(folder.parent)
        _tidy(folder)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            _tidy(folder)
        kept = f"the one before is whole: {find_checkpoint(folder.parents[1], folder.name)}"
        raise RunError(
            f"{folder}: cannot be written: {error}; {kept if folder.exists() else 'none is there'}"
        ) from error


def _put_back(folder: Path) -> None:
    with os_errors_as(lambda reason: RunError(f"{folder}: cannot be put back in its place: {reason}")):
        _tidy(folder)


def _tidy(folder: Path) -> None:
    new, previous = _hidden(folder, "new"), _hidden(folder, "previous")
    if previous.exists() and not folder.exists():
        os.rename(previous, folder)
    for folder in (new, previous):
        if folder.exists():
            shutil.rmtree(folder)


def _hidden(folder: Path, what: str) -> Path:
    return folder.with_name(f".{folder.name}.{what}")


def _identity(folder: Path) -> tuple[int, int] | None:
    """Identity of a folder, whatever its name: an inode number alone is soon given to another; None without one."""
    try:
        found = folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_ino, found.st_mtime_ns


def _plain(tensor: Tensor) -> Tensor:
    """On the host, contiguous, sharing no memory with another: what safetensors can write."""
    return tensor.detach().to("cpu", copy=True).contiguous()
