"""Train any method on any environment id, with a progress bar, a log and checkpoints, and go on where it stopped."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO, TypeAlias

import torch
from numpy.typing import NDArray

from mecca_agents.agent import Agent, Observation, find_method, make_agent
from mecca_agents.presets import Preset
from mecca_agents.runs.checkpoints import (
    MODEL,
    TRAINING,
    Checkpoint,
    checkpoint_folder,
    find_checkpoint,
    read_checkpoint,
    tidy,
    write_best,
    write_checkpoint,
)
from mecca_agents.runs.config import RunConfig, RunError, config_text, read_config, write_config
from mecca_agents.runs.datasets import case_names, plain_cases, plain_source, root_of
from mecca_agents.runs.envs import envs_of, first_seed, make_envs, with_usual
from mecca_agents.runs.folder import check_folder, empty_folder
from mecca_agents.runs.loading import make_task, take_weights, task_of
from mecca_agents.runs.locking import locked
from mecca_agents.runs.provenance import commit, differences, versions
from mecca_agents.runs.tally import Tally
from mecca_agents.runtime.devices import check_trainable, tuned
from mecca_agents.runtime.distributed import (
    agreed,
    anywhere,
    gathered,
    joined,
    leads,
    part_of,
    wait_for_all,
    world_size,
)
from mecca_agents.runtime.stopping import Stopped, StopRequest
from mecca_agents.training.log import Log
from mecca_env.arguments import read_count, read_settings
from mecca_env.data.targets import LabelChoice, foreground_values
from mecca_env.episodes.snapshot import join_snapshots, snapshot_rows
from mecca_env.vector_env import MeccaVectorEnv

COMMIT = commit()
"""The commit of the code that was loaded: the files may be others by the time that a run starts."""

OnUpdate: TypeAlias = Callable[[Tally], bool | None]
"""Hears of every update; True: there have been enough."""


def train(
    method: str,
    env: str,
    out: Path | str,
    *,
    preset: Preset,
    root: Path | str | None = None,
    label: LabelChoice = None,
    cases: int | Sequence[str | int] | NDArray[Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    sources: Sequence[Mapping[str, Any]] = (),
    weight: float = 1.0,
    begin_from: Path | str | None = None,
    skip_bad: bool = False,
    tolerance: float | None = None,
    checkpoint_every: int = 100,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    stream: TextIO | None = None,
    on_update: OnUpdate | None = None,
) -> Agent:
    """Train a method and leave a run folder.

    `checkpoints/last` is written before the first update, every `checkpoint_every` updates and after the last one;
    `checkpoints/best` holds the weights of that one of them at which the smoothed Dice of the training was highest,
    for methods that log a Dice. On Ctrl-C and SIGTERM the update is finished and a checkpoint written: see `resume`.

    Args:
        method: A name in `mecca_agents.agent.METHODS`, or "module:class".
        env: Environment id; its training split is played.
        out: The run's folder; made here.
        preset: Settings, the number of updates among them.
        root: Folder of the data set; None looks under $MECCA_DATA.
        label: Foreground value or values; None takes the data set's own; "each": every value of every scan is a case.
        cases: Only these cases of the training split, as in the environment.
        settings: Further settings of the environment (`mecca_env.EnvConfig`) that JSON can hold; they win over
            what the method sets itself.
        sources: Further data sets to train on, as the environment takes them; JSON has to hold them.
        weight: How often the first comes, beside those.
        begin_from: A run of the same method and networks whose weights this one begins with, or the name of one that
            comes with the package.
        skip_bad: Leave unusable cases out, with a warning, rather than refuse to start.
        tolerance: Millimetres that image and label may lie apart; None: next to nothing.
        checkpoint_every: Updates between two checkpoints.
        seed: Seed of the environment (`runs.envs.first_seed`), the weights and the sampling.
        device: "auto", "cpu" or "cuda".
        overwrite: Replace a run that is there already.
        stream: Where progress is shown; None takes standard error.
        on_update: Called after every update, in every process, with how far the run is; True ends the training there,
            with a checkpoint.

    Returns:
        The trained agent.

    Raises:
        ValueError: An argument is out of range.
        TypeError: A setting is unknown, or not one that JSON can hold.
        mecca_agents.runs.RunError: The folder cannot be used, another process trains there, or it cannot be written
            to: then the last good checkpoint stays; or `begin_from` is no run, or one of other networks.
        mecca_env.data.base.DataError: The data set cannot be used.
        FloatingPointError: A loss became NaN or infinite; update, tensor and last good checkpoint are named.
        mecca_agents.runtime.stopping.Stopped: Ctrl-C or SIGTERM came; a `KeyboardInterrupt`.
    """
    with joined(device) as torch_device:
        return _train(
            *(method, env, Path(out), torch_device, dict(settings or {})),
            preset=preset,
            begin_from=begin_from,
            data={
                **{"root": root, "label": label, "cases": cases, "skip_bad": skip_bad, "tolerance": tolerance},
                **{"sources": [plain_source(source) for source in sources], "weight": weight},
            },
            checkpoint_every=read_count("checkpoint_every", checkpoint_every),
            seed=seed,
            device=device,
            overwrite=overwrite,
            stream=stream or sys.stderr,
            on_update=on_update,
        )


def _train(
    method: str,
    env: str,
    folder: Path,
    torch_device: torch.device,
    asked: Mapping[str, Any],
    *,
    preset: Preset,
    begin_from: Path | str | None,
    data: Mapping[str, Any],
    checkpoint_every: int,
    seed: int,
    device: str,
    overwrite: bool,
    stream: TextIO,
    on_update: OnUpdate | None,
) -> Agent:
    """`train`, in this process's part of the batch."""
    asked = with_usual(preset, asked)
    if "shape" in asked:
        raise ValueError("settings: the grid's shape belongs to the preset, got it in the settings")
    every = {**_method_for_all(method).env_settings(preset, asked), **asked}
    read_settings({"shape": preset.shape, **every})
    check_trainable(torch_device, preset.network)
    try:
        json.dumps(every)
    except TypeError as error:
        raise TypeError(f"settings: expected values that JSON can hold, got {every!r} ({error})") from None
    if leads():
        check_folder(folder, overwrite)
    part = part_of(envs_of(preset, every))
    envs = make_envs(env, part.count, split="train", shape=preset.shape, device=torch_device, **data, **every)
    task = make_task(envs.config, envs.dataset.modalities)
    agent = make_agent(method, preset, task, device=torch_device, seed=seed)
    if begin_from is not None:
        take_weights(agent, begin_from, method)
    observation, _ = envs.reset(seed=first_seed(seed) + part.first)
    config = RunConfig(
        method=method,
        env=env,
        dataset=envs.dataset.name,
        root=root_of(envs.dataset),
        label=foreground_values(data["label"]),
        settings=every,
        preset=preset,
        modalities=task.modalities,
        seed=seed,
        sources=tuple(data["sources"]),
        begun_from=None if begin_from is None else str(begin_from),
        weight=data["weight"],
        train_cases=case_names(envs),
        cases=plain_cases(data["cases"]),
        skip_bad=data["skip_bad"],
        tolerance=data["tolerance"],
        checkpoint_every=checkpoint_every,
        device=device,
        environment=asdict(envs.config),
        versions=versions(),
        commit=COMMIT,
    )
    config_text(config)  # refused before an earlier run is emptied, as is all above
    with locked(folder) if leads() else nullcontext():
        if leads():
            empty_folder(folder, overwrite)
            write_config(folder, config)
        _learn(folder, config, agent, envs, observation, None, stream, on_update)
    return agent


def resume(
    run: Path | str, *, root: Path | str | None = None, device: str | None = None, stream: TextIO | None = None
) -> Agent:
    """Go on with a run that was stopped, from its last checkpoint; on a CPU bit for bit as if it had never stopped.

    What `metrics.csv` says of updates after that checkpoint is cut off: they are made again. A run that is finished
    stays as it is. Where versions or the commit are not those that the run began with, a line says so: then the result
    may differ in bits.

    Args:
        run: The run's folder.
        root: Where the folder of its data set, of several the first one's, lies now; None: where it lay.
        device: "auto", "cpu" or "cuda"; None takes what the run began with.
        stream: Where progress is shown; None takes standard error.

    Returns:
        The trained agent.

    Raises:
        ValueError: There is no such device.
        mecca_agents.runs.RunError: The run, its checkpoint or its data set are not what they were, or missing, or
            another process trains there.
        FloatingPointError: As in `train`.
        mecca_agents.runtime.stopping.Stopped: As in `train`.
    """
    folder = Path(run)
    begun = read_config(folder)  # what is no run is refused before it gets a lock
    with joined(device or begun.device) as torch_device, locked(folder) if leads() else nullcontext():
        return _go_on(folder, root, torch_device, stream or sys.stderr)


def _go_on(folder: Path, root: Path | str | None, torch_device: torch.device, stream: TextIO) -> Agent:
    """`resume`, in a folder that is locked."""
    config = read_config(folder)
    if leads():
        tidy(folder)
    wait_for_all()
    checkpoint = read_checkpoint(folder, torch_device) if _has_begun(folder) else None
    with _naming(folder):
        _method_for_all(config.method)
        check_trainable(torch_device, config.preset.network)
        agent = make_agent(config.method, config.preset, task_of(config), device=torch_device, seed=config.seed)
        part = part_of(envs_of(config.preset, config.settings))
    if checkpoint is not None:
        with _naming(checkpoint_folder(folder) / MODEL):
            agent.load_weights(checkpoint.weights)
        if checkpoint.tally.updates >= config.preset.updates:
            if leads():
                print(
                    f"{folder}: finished after {checkpoint.tally.updates} updates, there is nothing to do", file=stream
                )
            return agent
        with _naming(checkpoint_folder(folder) / TRAINING):
            agent.load_training_state(checkpoint.training)
    changed = differences({**config.versions, "commit": config.commit}, {**versions(), "commit": COMMIT})
    if changed and leads():
        print(f"{folder}: {'; '.join(changed)}: the result may not be bit for bit that of an unbroken run", file=stream)
    with _naming(folder):
        envs = make_envs(
            config.env,
            part.count,
            split="train",
            shape=config.preset.shape,
            device=torch_device,
            root=config.root if root is None else root,
            label=config.label,
            cases=config.cases,
            sources=config.sources,
            weight=config.weight,
            skip_bad=config.skip_bad,
            tolerance=config.tolerance,
            **config.settings,
        )
        if checkpoint is None:
            observation, _ = envs.reset(seed=first_seed(config.seed) + part.first)
        else:
            observation, _ = envs.restore(snapshot_rows(checkpoint.envs, part.first, part.count))
    _learn(folder, config, agent, envs, observation, checkpoint.tally if checkpoint else None, stream)
    return agent


def _learn(
    folder: Path,
    config: RunConfig,
    agent: Agent,
    envs: MeccaVectorEnv,
    observation: Observation,
    tally: Tally | None,
    stream: TextIO,
    on_update: OnUpdate | None = None,
) -> None:
    """All updates that are left; `tally` says how far the run is, None that it begins."""
    updates, purge = config.preset.updates, None if tally is None else tally.updates
    if tally is None:
        tally = Tally()
        _save(folder, agent, envs, tally, scored=False)
    wait_for_all()  # the folder is there, and what the run resumes from was read by everyone
    log = Log(folder, updates, tally, purge, stream) if leads() else None
    with closing(envs), closing(log) if log else nullcontext(), tuned(envs.device), StopRequest() as request:
        clock = time.perf_counter()
        while tally.updates < updates:
            update, steps = tally.updates, envs.steps_taken
            with _last_good(folder, update):
                observation, numbers = agent.learn(envs, observation, update / updates)
                _check_finite(numbers)
            before, clock = clock, time.perf_counter()
            tally.add(numbers, clock - before, (envs.steps_taken - steps) * world_size())
            if log is not None:
                log.add(update, tally, numbers)
            enough = on_update is not None and anywhere(bool(on_update(tally)))
            stop = agreed(request.signal)
            due = tally.updates % config.checkpoint_every == 0 or tally.updates == updates
            if due or stop or enough:
                if log is not None:
                    log.flush()
                with _last_good(folder, update):
                    _save(folder, agent, envs, tally, scored=due)
            if stop and tally.updates < updates:
                done = f"stopped by {stop.name} after {tally.updates} of {updates} updates"
                raise Stopped(f"{done}; go on with: mecca train --resume {folder}", stop)
            if enough:
                return


def _save(folder: Path, agent: Agent, envs: MeccaVectorEnv, tally: Tally, scored: bool) -> None:
    """Write the checkpoint "last", and "best" before it where this one is `scored` and better than all so far."""
    weights = agent.weights()
    bad = [key for key, value in weights.items() if not bool(torch.isfinite(value).all())]
    if bad:
        raise FloatingPointError(f"the weights {', '.join(bad)} became NaN or infinite")
    snapshots = gathered(envs.snapshot())
    if snapshots is None:
        return  # the process that leads writes it
    score = tally.smooth.get("dice") if scored else None
    if score is not None and (tally.best is None or score > tally.best):
        tally.best = score
        write_best(folder, weights, tally)
    write_checkpoint(folder, Checkpoint(tally, weights, agent.training_state(), join_snapshots(snapshots)))


def _method_for_all(method: str) -> type[Agent]:
    """The class of a method that this many processes can train. Raises `ValueError`."""
    found = find_method(method)
    if world_size() > 1 and not found.learns_together:
        raise ValueError(f"method: expected one that learns in several processes, {method} learns in one")
    return found


def _has_begun(folder: Path) -> bool:
    """Whether there is a checkpoint to go on from; only a run killed in its first moment has neither that nor a log."""
    return find_checkpoint(folder).exists() or (folder / "metrics.csv").exists()


def _check_finite(numbers: Mapping[str, float]) -> None:
    bad = [key for key, value in numbers.items() if not math.isfinite(value)]
    if bad:
        raise FloatingPointError(f"{', '.join(bad)} became NaN or infinite")


@contextmanager
def _last_good(folder: Path, update: int) -> Iterator[None]:
    """Say of NaN and infinity in which update they appeared and where to go on from."""
    try:
        yield
    except FloatingPointError as error:
        good = checkpoint_folder(folder)
        raise FloatingPointError(f"update {update}: {error}; the last good checkpoint is {good}") from error


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Say of what does not fit which file or folder the run cannot go on from."""
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise  # nothing is wrong with the file
    except (ValueError, TypeError, KeyError, RuntimeError, OSError) as error:
        raise RunError(f"{path}: the run cannot go on from it: {error}") from error
