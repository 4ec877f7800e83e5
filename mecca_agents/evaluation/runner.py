"""Play every case of a split once and write what each step reached."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mecca_agents.agent import Agent
from mecca_agents.evaluation.figures import FigureWriter
from mecca_agents.evaluation.masks import MaskWriter
from mecca_agents.evaluation.play import Observer, PlayedStep, play
from mecca_agents.evaluation.statistics import case_interval
from mecca_agents.runs.config import RunConfig, RunError
from mecca_agents.runs.envs import LISTED_CASES, make_envs
from mecca_agents.runs.folder import check_writable
from mecca_agents.runs.loading import load_agent
from mecca_agents.runtime.devices import find_device
from mecca_agents.tables import columns, plural, write_rows
from mecca_env.atomic import os_errors_as
from mecca_env.data.inventory import stem
from mecca_env.data.targets import scans_of
from mecca_env.metrics import surface_metrics
from mecca_env.process.config import ALL_LABELLED, with_horizon
from mecca_env.vector_env import MeccaVectorEnv

COLUMNS = (
    "method",
    "dataset",
    "case",
    "seed",
    "user_seed",
    "step",
    "clicks",
    "dice",
    "assd",
    "hd95",
    "nsd",
    "misunderstanding",
    "seconds",
)
"""Columns of the result file. `seed` is the training's, `user_seed` the simulated user's. ASSD and HD95 are in voxels
of the episode's grid, as in the paper; NSD forgives one voxel; `clicks` are all made up to that step; `seconds` is the
agent's and the environment's time for it."""

PHANTOM_CASES = 20
"""Cases that are played where the data set is endless."""

TESTING: dict[str, Any] = {"augment": False, "target_dice": None, **ALL_LABELLED}
"""Settings of a training that an evaluation does not take over: it plays every case, as it is and to the end."""


@dataclass(frozen=True)
class Result:
    """Measures that one step of one case reached; the columns of the result file."""

    method: str
    dataset: str
    case: str
    seed: int
    user_seed: int
    step: int
    clicks: int
    dice: float
    assd: float
    hd95: float
    nsd: float
    misunderstanding: float
    seconds: float


def evaluate(
    run: Path | str,
    *,
    checkpoint: str = "last",
    root: Path | str | None = None,
    split: str = "test",
    out: Path | str | None = None,
    figures: Path | str | None = None,
    masks: Path | str | None = None,
    skip_bad: bool = False,
    tolerance: float | None = None,
    seed: int = 0,
    device: str = "auto",
    observers: Iterable[Observer] = (),
) -> list[Result]:
    """Evaluate a trained run on a split.

    Args:
        run: Its folder.
        checkpoint: "last", or "best": the one with the highest smoothed training Dice.
        root: Folder of the data set; None takes the one it was trained on.
        split: "train", "test" or "all".
        out: CSV file to write, or None.
        figures: Folder for a picture of every case (`mecca_agents.evaluation.figures`), made if missing, or None.
        masks: Folder for the final mask of every case, as NIfTI on the scan's own grid, made if missing, or None.
        skip_bad: Leave unusable cases out, with a warning, rather than refuse to start.
        tolerance: Millimetres that image and label may lie apart; None: as in the training.
        seed: Seed of the simulated user.
        device: "auto", "cpu" or "cuda".
        observers: Are shown every step, a `mecca_agents.evaluation.reliability.Reliability` for one.

    Returns:
        One result for each case and step.

    Raises:
        mecca_agents.runs.RunError: The run, a file or a folder cannot be used.
        mecca_env.data.base.DataError: The data set cannot be used, or a mask cannot be written.
    """
    torch_device = find_device(device)
    agent, config = load_agent(run, torch_device, checkpoint)
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
        root=root,
        split=split,
        skip_bad=skip_bad,
        tolerance=tolerance,
        seed=seed,
        device=torch_device,
        observers=watching,
    )
    if out is not None:
        write_rows(Path(out), COLUMNS, [result_row(result) for result in results])
    return results


def evaluate_agent(
    agent: Agent,
    config: RunConfig,
    *,
    root: Path | str | None = None,
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
        root: Folder of the data set; None takes the one of the configuration.
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
    envs = evaluation_envs(
        config,
        root=root,
        split=split,
        cases=cases,
        skip_bad=skip_bad,
        tolerance=tolerance,
        device=device,
        settings=settings,
    )
    watching, results = list(observers), []
    for case in envs.cases.indices:
        for played in play(agent, envs, int(case), seed):
            results.append(_measure(played, config, seed))
            for observer in watching:
                observer(played)
    envs.close()
    return results


def evaluation_envs(
    config: RunConfig,
    *,
    root: Path | str | None = None,
    split: str = "test",
    cases: int | Sequence[str | int] | None = None,
    skip_bad: bool = False,
    tolerance: float | None = None,
    device: torch.device | str = "cpu",
    settings: Mapping[str, Any] | None = None,
) -> MeccaVectorEnv:
    """The environment of one episode that a run is tested in; see `evaluate_agent` for arguments and errors."""
    asked = dict(settings or {})
    trained = with_horizon(config.settings, asked["horizon"]) if "horizon" in asked else config.settings
    keywords = {
        "root": root if root is not None else config.root,
        "label": config.label,
        "shape": config.preset.shape,
        "split": split,
        "skip_bad": skip_bad,
        "tolerance": config.tolerance if tolerance is None else tolerance,
        "fallback": config.dataset == "phantom",  # what was trained on scans is not tested on the phantom in passing
        "device": device,
        "autoreset_mode": "Disabled",
        **trained,
        **TESTING,
        **asked,
    }
    envs = make_envs(config.env, 1, cases=cases, **keywords)
    if cases is None and len(envs.cases) > LISTED_CASES:
        envs = make_envs(config.env, 1, cases=PHANTOM_CASES, **keywords)
    if envs.dataset.modalities != config.modalities:
        raise RunError(
            f"{envs.dataset.name}: expected volumes of {config.modalities} modalities, as in training, "
            f"found {envs.dataset.modalities}"
        )
    return envs


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
    )


def _make_folder(folder: Path) -> Path:
    """The folder, made if missing. Raises `RunError` where it cannot be made or written to."""
    with os_errors_as(lambda reason: RunError(f"{folder}: expected a folder for files, cannot make it: {reason}")):
        folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise RunError(f"{folder}: expected a folder to write to, cannot write there")
    return folder


def result_row(result: Result) -> dict[str, Any]:
    """A row of the file: six significant digits are more than two runs on two machines agree to."""
    return {c: f"{v:.6g}" if isinstance(v := getattr(result, c), float) else v for c in COLUMNS}


def dice_by_step(results: Sequence[Result]) -> list[float]:
    """Mean Dice over cases after each step, in per cent."""
    steps = sorted({result.step for result in results})
    return [100 * float(np.mean([result.dice for result in results if result.step == step])) for step in steps]


def table(results: Sequence[Result]) -> str:
    """Mean of every measure at each step, as text; Dice and NSD in per cent.

    Dice and ASSD come with the 95 % bootstrap interval of the mean over cases, where there are at least eight.
    """
    head = ["step", "clicks", "Dice % [95 % interval]", "ASSD [95 % interval]", "HD95", "NSD %", "misund. %"]
    lines = []
    for step in sorted({r.step for r in results}):
        here = [r for r in results if r.step == step]

        def mean(name: str, here: Sequence[Result] = here) -> float:
            return float(np.mean([getattr(r, name) for r in here]))

        lines.append(
            [
                str(step),
                f"{mean('clicks'):.1f}",
                _with_interval(here, "dice", 100),
                _with_interval(here, "assd"),
                f"{mean('hd95'):.2f}",
                f"{100 * mean('nsd'):.1f}",
                f"{100 * mean('misunderstanding'):.2f}",
            ]
        )
    cases = len({r.case for r in results})
    title = f"{results[0].dataset}, {plural(cases, 'case')}, {results[0].method}"
    return f"{title}\n{columns(head, lines, gap=' ')}"


def _with_interval(results: Sequence[Result], name: str, scale: float = 1.0) -> str:
    by_scan: dict[str, list[float]] = {}  # cases of one scan are no independent sample
    for result, scan in zip(results, scans_of([result.case for result in results]), strict=True):
        by_scan.setdefault(scan, []).append(scale * getattr(result, name))
    values = [float(np.mean(of_scan)) for of_scan in by_scan.values()]
    interval = case_interval(values)
    return f"{np.mean(values):.2f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")
