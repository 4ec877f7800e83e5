"""Play every case of a split once and write what each step reached."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mecca_agents.agent import Agent
from mecca_agents.evaluation.adapting import adapted
from mecca_agents.evaluation.figures import FigureWriter
from mecca_agents.evaluation.masks import MaskWriter
from mecca_agents.evaluation.obedience import obeyed_so_far
from mecca_agents.evaluation.play import Observer, PlayedStep, play
from mecca_agents.evaluation.results import COLUMNS as COLUMNS  # part of this module, too
from mecca_agents.evaluation.results import Result as Result
from mecca_agents.evaluation.results import dice_by_step as dice_by_step
from mecca_agents.evaluation.results import result_row as result_row
from mecca_agents.evaluation.results import table as table
from mecca_agents.runs.config import RunConfig, RunError
from mecca_agents.runs.envs import LISTED_CASES, make_envs
from mecca_agents.runs.folder import check_writable
from mecca_agents.runs.loading import load_agent
from mecca_agents.runtime.devices import find_device
from mecca_agents.tables import write_rows
from mecca_env import ENV_IDS
from mecca_env.atomic import os_errors_as
from mecca_env.data.drift import STREAM
from mecca_env.data.inventory import stem
from mecca_env.data.targets import LabelChoice, foreground_values
from mecca_env.metrics import surface_metrics
from mecca_env.vector_env import MeccaVectorEnv

PHANTOM_CASES = 20
"""Cases that are played where the data set is endless."""


def evaluate(
    run: Path | str,
    *,
    checkpoint: str = "last",
    env: str | None = None,
    root: Path | str | None = None,
    label: LabelChoice = None,
    split: str = "test",
    out: Path | str | None = None,
    figures: Path | str | None = None,
    masks: Path | str | None = None,
    skip_bad: bool = False,
    tolerance: float | None = None,
    seed: int = 0,
    device: str = "auto",
    observers: Iterable[Observer] = (),
    settings: Mapping[str, Any] | None = None,
) -> list[Result]:
    """Evaluate a trained run on a split.

    Args:
        run: Its folder, or the name of one that comes with the package.
        checkpoint: "last", or "best": the one with the highest smoothed training Dice.
        env: Environment id of another data set, with its own folder and label; None takes the one it was trained on.
        root: Folder of the data set; None takes the one it was trained on.
        label: Foreground value or values, or "each"; None takes those of the training, with `env` the data set's own.
        split: "train", "test" or "all".
        out: CSV file to write, or None.
        figures: Folder for a picture of every case (`mecca_agents.evaluation.figures`), made if missing, or None.
        masks: Folder for the final mask of every case, as NIfTI on the scan's own grid, made if missing, or None.
        skip_bad: Leave unusable cases out, with a warning, rather than refuse to start.
        tolerance: Millimetres that image and label may lie apart; None: as in the training.
        seed: Seed of the simulated user.
        device: "auto", "cpu" or "cuda".
        observers: Are shown every step, a `mecca_agents.evaluation.reliability.Reliability` for one.
        settings: Settings of the environment in place of those of the training, a protocol with all its prompts for
            one (`mecca_agents.evaluation.adapting.adapted`).

    Returns:
        One result for each case and step.

    Raises:
        mecca_agents.runs.RunError: The run, a file or a folder cannot be used, or the agent cannot take the prompts.
        mecca_env.data.base.DataError: The data set cannot be used, or a mask cannot be written.
    """
    torch_device = find_device(device)
    agent, config = load_agent(run, torch_device, checkpoint)
    adapted(config, settings)  # refused before a folder is made
    watching = list(observers)
    if out is not None and stem(out) is not None:
        raise RunError(f"{out}: expected the name of a table, found that of an image")
    if out is not None:
        check_writable(Path(out))  # fail now rather than after the work
    if figures is not None:
        watching.append(FigureWriter(_make_folder(Path(figures)), config.method))
    if masks is not None:
        watching.append(MaskWriter(_make_folder(Path(masks))))
    results = evaluate_agent(
        agent,
        config,
        env=env,
        root=root,
        label=label,
        split=split,
        skip_bad=skip_bad,
        tolerance=tolerance,
        seed=seed,
        device=torch_device,
        observers=watching,
        settings=settings,
    )
    if out is not None:
        write_rows(Path(out), COLUMNS, [result_row(result) for result in results])
    return results


def evaluate_agent(
    agent: Agent,
    config: RunConfig,
    *,
    env: str | None = None,
    root: Path | str | None = None,
    label: LabelChoice = None,
    split: str = "test",
    cases: int | Sequence[str | int] | None = None,
    skip_bad: bool = False,
    tolerance: float | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    observers: Iterable[Observer] = (),
    settings: Mapping[str, Any] | None = None,
) -> list[Result]:
    """The same for an agent at hand; see `evaluate`.

    Args:
        agent: Who plays.
        config: How it was trained.
        env: Environment id of another data set.
        root: Folder of the data set; None takes the one of the configuration.
        label: Foreground, where it is another.
        split: "train", "test" or "all".
        cases: Restricts the split, as in the environment.
        skip_bad: Leave unusable cases out, with a warning, rather than refuse to start.
        tolerance: Millimetres that image and label may lie apart; None: as in the training.
        seed: Seed of the simulated user.
        device: Where the environment plays.
        observers: Are shown every step.
        settings: Settings of the environment in place of those of the training, another user for one. With another
            horizon, numbers that the training had for each step go on with the last one, or end earlier.
    """
    adaptation = adapted(config, settings)
    envs = evaluation_envs(
        config,
        env=env,
        root=root,
        label=label,
        split=split,
        cases=cases,
        skip_bad=skip_bad,
        tolerance=tolerance,
        device=device,
        settings=settings,
    )
    watching, results = list(observers), []
    for case in envs.cases.indices:
        for played in play(agent, envs, int(case), seed, adaptation):
            results.append(_measure(played, config, seed))
            for observer in watching:
                observer(played)
    envs.close()
    return results


def evaluation_envs(
    config: RunConfig,
    *,
    env: str | None = None,
    root: Path | str | None = None,
    label: LabelChoice = None,
    split: str = "test",
    cases: int | Sequence[str | int] | None = None,
    skip_bad: bool = False,
    tolerance: float | None = None,
    device: torch.device | str = "cpu",
    settings: Mapping[str, Any] | None = None,
) -> MeccaVectorEnv:
    """The environment of one episode that a run is tested in; see `evaluate_agent` for arguments and errors."""
    settings = adapted(config, settings).settings
    tested = _on(config, env, label)
    keywords = {
        "root": root if root is not None else tested.root,
        "label": tested.label,
        "sources": tested.sources if ENV_IDS.get(tested.env) == STREAM else (),  # of a mixture the first is tested
        "shape": config.preset.shape,
        "split": split,
        "skip_bad": skip_bad,
        "tolerance": config.tolerance if tolerance is None else tolerance,
        "fallback": tested.stood_in,  # what was trained on scans is not tested on the phantom in passing
        "device": device,
        "autoreset_mode": "Disabled",
        **settings,
    }
    envs = make_envs(tested.env, 1, cases=cases, **keywords)
    if cases is None and len(envs.cases) > LISTED_CASES:
        envs = make_envs(tested.env, 1, cases=PHANTOM_CASES, **keywords)
    if envs.dataset.modalities != config.modalities:
        raise RunError(
            f"{envs.dataset.name}: expected volumes of {config.modalities} modalities, as in training, "
            f"found {envs.dataset.modalities}"
        )
    return envs


def _on(config: RunConfig, env: str | None, label: LabelChoice) -> RunConfig:
    """The same run on another data set, with that one's folder and label, or with another label."""
    if env is not None and env != config.env:
        config = replace(config, env=env, dataset="", root=None, label=None, sources=())
    return config if label is None else replace(config, label=foreground_values(label))


def _measure(played: PlayedStep, config: RunConfig, user_seed: int) -> Result:
    surface = surface_metrics(played.after.prediction[0], played.after.label[0])
    return Result(
        method=config.method,
        dataset=played.envs.dataset.name,
        case=played.case,
        seed=config.seed,
        user_seed=user_seed,
        step=played.step,
        clicks=int(played.before.n_clicks[0]),
        dice=float(played.after.dice[0]),
        assd=surface.assd,
        hd95=surface.hd95,
        nsd=surface.nsd,
        misunderstanding=played.misunderstanding,
        seconds=played.seconds,
        protocol=played.envs.config.protocol,
        obedience=obeyed_so_far(played),
        dice_scan=played.scan_scores.dsc,
        nsd_scan=played.scan_scores.nsd,
    )


def _make_folder(folder: Path) -> Path:
    """The folder, made if missing. Raises `RunError` where it cannot be made or written to."""
    with os_errors_as(lambda reason: RunError(f"{folder}: expected a folder for files, cannot make it: {reason}")):
        folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise RunError(f"{folder}: expected a folder to write to, cannot write there")
    return folder
