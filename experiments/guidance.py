"""Play a trained MECCA with users who are shown more or fewer of its least confident supervoxels.

    python -m experiments.guidance runs/hippocampus-mecca --split test

For each number of advised regions, over all steps that follow advice: Dice after the last step, the mean distance
between two clicks of one step, how much of what is wrong lies inside the advice, how much lies within two voxels of a
new click, and how many of the clicks allowed were made. Nothing is trained; with all regions the user clicks as without
a guide.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from mecca_agents import evaluate_agent, load_agent
from mecca_agents.evaluation.play import PlayedStep

NEAR = 2.0
"""Voxels; the default sigma of a click's Gaussian."""
ALL = 10_000
"""More regions than there are."""


@dataclass
class Clicks:
    """Places of the clicks of the steps after the first; an observer of an evaluation."""

    rows: list[tuple[float, float, float, float]] = field(default_factory=list)
    _seen: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.int64))

    def __call__(self, played: PlayedStep) -> None:
        """Note a step."""
        clicks, earlier = _clicks(played), {tuple(click) for click in self._seen}
        self._seen = clicks
        if played.step == 1:
            return  # before any advice
        new = np.array([click for click in clicks if tuple(click) not in earlier], dtype=np.int64).reshape(-1, 3)
        before = played.before
        wrong = (before.prediction[0] != before.label[0]).cpu().numpy()
        advice = np.ones_like(wrong) if before.advice is None else before.advice[0].cpu().numpy()
        allowed = played.envs.config.clicks[played.step - 1]
        self.rows.append(
            (_distance(new), _share(wrong, advice), _share(wrong, _near(new, wrong.shape)), len(new) / allowed)
        )

    def means(self) -> list[float]:
        """Of every number, over cases and steps where it is defined."""
        return [float(value) for value in np.nanmean(np.array(self.rows), axis=0)]


def _clicks(played: PlayedStep) -> np.ndarray:
    clicks = played.before.clicks[0].cpu().numpy()
    return clicks[(clicks >= 0).all(axis=1)]


def _distance(clicks: np.ndarray) -> float:
    if len(clicks) < 2:
        return float("nan")
    apart = np.linalg.norm(clicks[:, None] - clicks[None], axis=-1)
    return float(apart[np.triu_indices(len(clicks), 1)].mean())


def _near(clicks: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    away = np.ones(shape, dtype=bool)
    away[tuple(clicks.T)] = False
    return np.zeros(shape, dtype=bool) if away.all() else distance_transform_edt(away) <= NEAR


def _share(wrong: np.ndarray, where: np.ndarray) -> float:
    return float((wrong & where).sum() / wrong.sum()) if wrong.any() else float("nan")


def main() -> None:
    """Print a line for each run and number of regions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--split", default="test")
    parser.add_argument("--regions", type=int, nargs="+", default=[1, 5, 10, 20, 50, ALL])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    head = "wrong in advice %  wrong near clicks %  clicks made %"
    print(f"{'run':<24} {'regions':>7}  {'Dice %':>6}  {'apart':>5}  {head}")
    for run in options.runs:
        agent, config = load_agent(run)
        for regions in options.regions:
            clicks = Clicks()
            results = evaluate_agent(
                agent, config, split=options.split, settings={"advised": regions}, observers=[clicks]
            )
            last = max(result.step for result in results)
            dice = 100 * np.mean([result.dice for result in results if result.step == last])
            apart, advised, near, made = clicks.means()
            name = "all" if regions >= ALL else str(regions)
            print(
                f"{run.name:<24} {name:>7}  {dice:6.2f}  {apart:5.2f}  {100 * advised:17.1f}  {100 * near:19.1f}  "
                f"{100 * made:13.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
