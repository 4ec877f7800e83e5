"""Train any method on any environment id, with a progress bar, a log and checkpoints."""

from __future__ import annotations

import csv
import json
import math
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

import gymnasium as gym
import torch
from tqdm import tqdm

import mecca_env
from mecca_agents.agent import Agent, make_agent
from mecca_agents.presets import Preset
from mecca_agents.runs import RunConfig, make_task, prepare_folder, save_weights, write_config
from mecca_env.arguments import read_device
from mecca_env.data.files import FileSource
from mecca_env.vector_env import MeccaVectorEnv

LISTED_CASES = 10_000
"""A data set with more cases than this is procedural; its cases are not listed in the run's settings."""


def find_device(name: str) -> torch.device:
    """The device called "auto", "cpu", "cuda" or "cuda:1". Raises `ValueError` where there is none."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.partition(":")[0] not in ("cpu", "cuda"):
        raise ValueError(f"device: expected auto, cpu or cuda, got {name!r}")
    return read_device(name)


def make_envs(env: str, num_envs: int, **keywords: Any) -> MeccaVectorEnv:
    """The torch vector env of an id.

    Raises:
        ValueError: The id is not one of this package's.
    """
    if env not in mecca_env.ENV_IDS:
        raise ValueError(f"env: expected one of {', '.join(mecca_env.ENV_IDS)}, got {env!r}")
    envs = gym.make_vec(env, num_envs=num_envs, **keywords).unwrapped
    assert isinstance(envs, MeccaVectorEnv)
    return envs


def train(
    method: str,
    env: str,
    out: Path | str,
    *,
    preset: Preset,
    root: Path | str | None = None,
    label: Sequence[int] | None = None,
    cases: int | Sequence[str | int] | None = None,
    settings: Mapping[str, Any] | None = None,
    skip_bad: bool = False,
    checkpoint_every: int = 100,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    stream: TextIO | None = None,
) -> Agent:
    """Train a method and leave a run folder.

    Args:
        method: A name in `mecca_agents.agent.METHODS`, or "module:class".
        env: Environment id; its training split is played.
        out: The run's folder; made here.
        preset: Settings, the number of updates among them.
        root: Folder of the data set; None looks under $MECCA_DATA.
        label: Foreground values; None takes the data set's own.
        cases: Only these cases of the training split, as in the environment.
        settings: Further settings of the environment (`mecca_env.config.EnvConfig`) that JSON can hold.
        skip_bad: Leave unusable cases out, with a warning, rather than refuse to start.
        checkpoint_every: Updates between two checkpoints.
        seed: Seed of the environment, the weights and the sampling.
        device: "auto", "cpu" or "cuda".
        overwrite: Replace a run that is there already.
        stream: Where progress is shown; None takes standard error.

    Returns:
        The trained agent.

    Raises:
        ValueError: An argument is out of range.
        TypeError: A setting is unknown, or not one that JSON can hold.
        mecca_agents.runs.RunError: The folder cannot be used.
        mecca_env.data.base.DataError: The data set cannot be used.
        FloatingPointError: The loss became NaN or infinite; the last good checkpoint is named.
    """
    if checkpoint_every < 1 or preset.updates < 1:
        raise ValueError(f"updates and checkpoint_every: expected at least 1, got {preset.updates}, {checkpoint_every}")
    place, folder, more = find_device(device), Path(out), dict(settings or {})
    if "shape" in more:
        raise ValueError("settings: the grid's shape belongs to the preset, got it in the settings")
    try:
        json.dumps(more)
    except TypeError as error:
        raise TypeError(f"settings: expected values that JSON can hold, got {more!r} ({error})") from None
    keywords = {"root": root, "label": label, "shape": preset.shape, "skip_bad": skip_bad, **more}
    envs = make_envs(env, preset.num_envs, split="train", cases=cases, device=place, **keywords)
    task = make_task(envs.config, envs.dataset.modalities)
    agent = make_agent(method, preset, task, device=place, seed=seed)
    observation, _ = envs.reset(seed=seed)
    prepare_folder(folder, overwrite)  # only now, when nothing else can be refused: it may replace an earlier run
    config = RunConfig(
        method=method,
        env=env,
        dataset=envs.dataset.name,
        root=str(envs.dataset.root.resolve()) if isinstance(envs.dataset, FileSource) else None,
        label=None if label is None else tuple(label),
        settings=more,
        preset=preset,
        modalities=task.modalities,
        seed=seed,
        train_cases=_names(envs),
        versions=_versions(),
    )
    write_config(folder, config)
    with (folder / "metrics.csv").open("w", newline="", encoding="utf-8") as file:
        log = Log(file, preset.updates, stream or sys.stderr)
        for update in range(preset.updates):
            observation, numbers = agent.learn(envs, observation, update / preset.updates)
            _check_finite(numbers, update, folder)
            log.add(update, numbers, envs.steps_taken)
            if (update + 1) % checkpoint_every == 0 or update + 1 == preset.updates:
                save_weights(folder, agent.weights())
        log.close()
    envs.close()
    return agent


class Log:
    """Writes every update's numbers to a CSV file and shows a bar, or plain lines where there is no terminal.

    Args:
        file: The CSV file.
        updates: How many there will be.
        stream: Where progress is shown.
    """

    LINES = 20  # plain lines in a whole run

    def __init__(self, file: TextIO, updates: int, stream: TextIO) -> None:
        self._file = file
        self._updates = updates
        self._stream = stream
        self._writer: csv.DictWriter[str] | None = None
        self._start = time.perf_counter()
        self._smooth: dict[str, float] = {}
        terminal = stream.isatty()
        self._bar = tqdm(total=updates, unit="update", file=stream, dynamic_ncols=True) if terminal else None

    def add(self, update: int, numbers: Mapping[str, float], steps: int) -> None:
        """One update's numbers; `steps` of the environment have been taken by then."""
        seconds = time.perf_counter() - self._start
        if self._writer is None:
            self._writer = csv.DictWriter(self._file, ["update", "seconds", *numbers])
            self._writer.writeheader()
        self._writer.writerow({"update": update, "seconds": f"{seconds:.2f}", **numbers})
        self._file.flush()
        for key, value in numbers.items():
            self._smooth[key] = 0.95 * self._smooth.get(key, value) + 0.05 * value
        shown = " ".join(f"{key} {self._smooth[key]:.3f}" for key in ("loss", "dice", "entropy") if key in numbers)
        shown += f" {steps / seconds:.1f} env steps/s"
        if self._bar is not None:
            self._bar.set_postfix_str(shown, refresh=False)
            self._bar.update()
        elif (update + 1) % max(self._updates // self.LINES, 1) == 0 or update + 1 == self._updates:
            left = seconds / (update + 1) * (self._updates - update - 1)
            print(f"update {update + 1}/{self._updates} {shown} {left:.0f} s left", file=self._stream, flush=True)

    def close(self) -> None:
        """Finish the bar."""
        if self._bar is not None:
            self._bar.close()


def _check_finite(numbers: Mapping[str, float], update: int, folder: Path) -> None:
    bad = [key for key, value in numbers.items() if not math.isfinite(value)]
    if bad:
        last = folder / "checkpoints" / "last"
        found = f"the last good checkpoint is {last}" if last.exists() else "there is no checkpoint yet"
        raise FloatingPointError(f"update {update}: {', '.join(bad)} became NaN or infinite; {found}")


def _names(envs: MeccaVectorEnv) -> tuple[str, ...]:
    if len(envs.cases) > LISTED_CASES:
        return ()
    return tuple(envs.dataset.case_name(int(i)) for i in envs.cases.indices)


def _versions() -> dict[str, str]:
    packages = ("mecca", "torch", "gymnasium", "numpy")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}}
