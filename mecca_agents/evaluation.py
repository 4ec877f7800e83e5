"""Play every case of a split once and write what each step reached."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mecca_agents.agent import Agent
from mecca_agents.runs import RunConfig, RunError, check_writable, load_agent, write_rows
from mecca_agents.training import LISTED_CASES, find_device, make_envs
from mecca_env.metrics import surface_metrics
from mecca_env.vector_env import MeccaVectorEnv

COLUMNS = (
    "method",
    "dataset",
    "case",
    "seed",
    "step",
    "clicks",
    "dice",
    "assd",
    "hd95",
    "nsd",
    "misunderstanding",
    "seconds",
)
"""Columns of the result file. ASSD and HD95 are in voxels of the episode's grid, as in the paper; NSD forgives one
voxel; `clicks` are all made up to that step; `seconds` is the agent's and the environment's time for it."""

PHANTOM_CASES = 20
"""Cases that are played where the data set is endless."""


@dataclass(frozen=True)
class Result:
    """What one step of one case reached; the columns of the result file."""

    method: str
    dataset: str
    case: str
    seed: int
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
    root: Path | str | None = None,
    split: str = "test",
    out: Path | str | None = None,
    skip_bad: bool = False,
    seed: int = 0,
    device: str = "auto",
) -> list[Result]:
    """Evaluate a trained run on a split.

    Args:
        run: Its folder.
        root: Folder of the data set; None takes the one it was trained on.
        split: "train", "test" or "all".
        out: CSV file to write, or None.
        skip_bad: Leave unusable cases out, with a warning, rather than refuse to start.
        seed: Seed of the simulated user.
        device: "auto", "cpu" or "cuda".

    Returns:
        One result for each case and step.

    Raises:
        mecca_agents.runs.RunError: The run or the file cannot be used.
        mecca_env.data.base.DataError: The data set cannot be used.
    """
    place = find_device(device)
    agent, config = load_agent(run, place)
    if out is not None:
        check_writable(Path(out))  # fail now rather than after the work
    results = evaluate_agent(agent, config, root=root, split=split, skip_bad=skip_bad, seed=seed, device=place)
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
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> list[Result]:
    """The same for an agent at hand; see `evaluate`. `cases` restricts the split, as in the environment."""
    keywords = {
        "root": root if root is not None else config.root,
        "label": config.label,
        "shape": config.preset.shape,
        "split": split,
        "skip_bad": skip_bad,
        "fallback": config.dataset == "phantom",  # what was trained on scans is not tested on the phantom in passing
        "device": device,
        "autoreset_mode": "Disabled",
        **config.settings,
        "augment": False,
        "target_dice": None,
    }
    envs = make_envs(config.env, 1, cases=cases, **keywords)
    if cases is None and len(envs.cases) > LISTED_CASES:
        envs = make_envs(config.env, 1, cases=PHANTOM_CASES, **keywords)
    if envs.dataset.modalities != config.modalities:
        raise RunError(
            f"{envs.dataset.name}: expected volumes of {config.modalities} modalities, as in training, "
            f"found {envs.dataset.modalities}"
        )
    results = [r for index in envs.cases.indices for r in _play(agent, config.method, envs, int(index), seed)]
    envs.close()
    return results


def _play(agent: Agent, method: str, envs: MeccaVectorEnv, case: int, seed: int) -> list[Result]:
    observation, info = envs.reset(seed=seed, options={"cases": [case]})
    results = []
    over = False
    while not over:
        clicks = int(info["n_clicks"][0])
        start = time.perf_counter()
        observation, _, terminated, _, info = envs.step(agent.act(observation))
        over = bool(terminated[0])
        seconds = time.perf_counter() - start
        surface = surface_metrics(envs.state.prediction[0], envs.state.label[0])
        results.append(
            Result(
                method=method,
                dataset=envs.dataset.name,
                case=envs.case_name(0),
                seed=seed,
                step=int(envs.state.step[0]),
                clicks=clicks,
                dice=float(info["dice"][0]),
                assd=surface.assd,
                hd95=surface.hd95,
                nsd=surface.nsd,
                misunderstanding=float(info["misunderstanding"][0]),
                seconds=seconds,
            )
        )
    return results


def result_row(result: Result) -> dict[str, Any]:
    """A row of the file: six significant digits are more than two runs on two machines agree to."""
    return {c: f"{v:.6g}" if isinstance(v := getattr(result, c), float) else v for c in COLUMNS}


def table(results: Sequence[Result]) -> str:
    """Mean of every measure at each step, as text; Dice and NSD in per cent, Dice with its deviation over cases."""
    lines = [f"{'step':>4} {'clicks':>6} {'Dice %':>13} {'ASSD':>6} {'HD95':>6} {'NSD %':>6} {'misund. %':>9}"]
    for step in sorted({r.step for r in results}):
        here = [r for r in results if r.step == step]

        def mean(name: str, here: Sequence[Result] = here) -> float:
            return float(np.mean([getattr(r, name) for r in here]))

        deviation = float(np.std([r.dice for r in here]))
        lines.append(
            f"{step:>4} {mean('clicks'):>6.1f} {100 * mean('dice'):>6.2f} ±{100 * deviation:>5.2f} "
            f"{mean('assd'):>6.2f} {mean('hd95'):>6.2f} {100 * mean('nsd'):>6.1f} "
            f"{100 * mean('misunderstanding'):>9.2f}"
        )
    cases = len({r.case for r in results})
    return "\n".join([f"{results[0].dataset}, {cases} cases, {results[0].method}", *lines])
