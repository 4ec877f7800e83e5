"""A training on the built-in phantom, compared with the untrained network and with a constant, and a picture of it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from tqdm import tqdm

from mecca_agents.agent import make_agent
from mecca_agents.evaluation.figures import FigureWriter
from mecca_agents.evaluation.runner import COLUMNS, Result, dice_by_step, evaluate_agent, result_row
from mecca_agents.presets import PRESETS
from mecca_agents.runs.config import read_config
from mecca_agents.runs.loading import task_of
from mecca_agents.runs.tally import Tally
from mecca_agents.tables import columns, write_rows
from mecca_agents.training.loop import train

METHOD, ENV = "mecca", "MECCA-Phantom-v0"

FLOOR = "mean-mask"
"""The method that sees neither scan nor click: what a training has to beat."""

TRAINING_CASES = 64
"""Phantoms that the demo trains on, so that most episodes find theirs made already."""

TEST_CASES = 12
"""Phantoms that the demo is tested on; none of them is trained on."""

TESTING = 20
"""Updates that take about as long as the tests and the picture."""

TIMED = 8
"""Updates after which the demo says how long it will take."""


def demo(out: Path | str, *, updates: int | None = None, seed: int = 0) -> list[Result]:
    """Train on the phantom, print a table against the untrained network and the mean mask, and save table and picture.

    Args:
        out: Folder of the run; `test.csv` and `episode.png` are left there. An earlier run in it is replaced.
        updates: Number of updates, in place of the preset's.
        seed: Seed of everything.

    Returns:
        The trained agent's results, one for each case and step.

    Raises:
        mecca_agents.runs.RunError: The folder holds something else, or cannot be written.
    """
    folder = Path(out)
    preset = PRESETS["demo"]
    if updates is not None:
        preset = preset.replace(updates=updates)
    print(f"Training {METHOD} on the built-in phantom, {preset.updates} updates of {preset.num_envs} episodes.")
    agent = train(
        METHOD,
        ENV,
        folder,
        preset=preset,
        cases=TRAINING_CASES,
        seed=seed,
        device="cpu",
        overwrite=True,
        on_update=Estimate(preset.updates),
    )
    config = read_config(folder)
    untrained = make_agent(METHOD, preset, task_of(config), device=torch.device("cpu"), seed=seed)
    print(f"Testing on {TEST_CASES} phantoms that were not trained on.")
    before, after = (evaluate_agent(a, config, cases=TEST_CASES, seed=seed) for a in (untrained, agent))
    write_rows(folder / "test.csv", COLUMNS, [result_row(result) for result in after])
    evaluate_agent(agent, config, cases=1, seed=seed, observers=[FigureWriter(folder, METHOD)])
    picture = (folder / f"{after[0].case}.png").replace(folder / "episode.png")
    print(comparison(before, after))
    print(f"One mask for all, the mean of the training phantoms' labels, reaches {floor(seed):.1f} % at every step.")
    print(f"Table: {folder / 'test.csv'}   picture: {picture}")
    return after


def floor(seed: int) -> float:
    """Dice in per cent of the mask that knows the training phantoms' labels and looks at neither scan nor click."""
    preset = PRESETS["demo"].replace(updates=1)  # one update looks at all of them
    with TemporaryDirectory() as folder:
        run, quiet = Path(folder) / "run", io.StringIO()
        agent = train(FLOOR, ENV, run, preset=preset, cases=TRAINING_CASES, seed=seed, device="cpu", stream=quiet)
        return dice_by_step(evaluate_agent(agent, read_config(run), cases=TEST_CASES, seed=seed))[-1]


class Estimate:
    """Says once, after the first updates, how long the demo takes on this machine.

    Args:
        updates: How many there will be in all.
    """

    def __init__(self, updates: int) -> None:
        self._updates = updates
        self._clock = [0.0]

    def __call__(self, tally: Tally) -> None:
        """Note an update; `tally` counts it already."""
        self._clock.append(tally.seconds)
        if tally.updates == TIMED:
            each = np.median(np.diff(self._clock))  # the first one compiles, and phantoms are still being drawn beside
            minutes = (tally.seconds + each * (self._updates - TIMED + TESTING)) / 60
            most = "less than a minute" if minutes < 1 else f"up to about {minutes:.1f} minutes"
            tqdm.write(f"This takes {most} on this machine.")  # beside a progress bar, not into it


def comparison(before: Sequence[Result], after: Sequence[Result]) -> str:
    """Mean Dice of two agents at each step, as text."""
    lines = []
    for step, dice in enumerate(zip(dice_by_step(before), dice_by_step(after), strict=True), start=1):
        clicks = np.mean([result.clicks for result in after if result.step == step])
        lines.append([str(step), f"{clicks:.0f}", *(f"{value:.1f}" for value in dice)])
    return columns(["step", "clicks", "Dice % untrained", "Dice % trained"], lines)
