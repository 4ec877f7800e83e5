"""Whether new weights count: only where they do no worse on accepted cases that were kept out of the learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mecca_agents.evaluation.play import play
from mecca_agents.evaluation.runner import evaluation_envs
from mecca_agents.evaluation.statistics import FEWEST_CASES, case_interval
from mecca_agents.online.memory import of_project
from mecca_agents.runs.loading import load_agent
from mecca_agents.tables import plural

USER_SEEDS = (0, 1)
"""Every case is played with so many simulated users, before and after."""

MOST_LOST = 0.01
"""How far below 0 the interval of the difference may begin: a point of Dice."""

MOST_LOST_ALONE = 0.05
"""What a single case may lose of Dice where there are too few for an interval."""

_ROUNDING = 1e-9  # 0.85 - 0.9 is a little more than five points


@dataclass(frozen=True)
class Verdict:
    """Two sets of weights compared on the same cases with the same simulated users.

    Attributes:
        before: Dice of the earlier weights at the end of an episode, by case.
        after: Of the new ones.
        difference: Mean of after less before.
        interval: 95 % bootstrap interval of that mean; None for fewer cases than `FEWEST_CASES`.
        counts: Whether the new weights do no worse.
    """

    before: dict[str, float]
    after: dict[str, float]
    difference: float
    interval: tuple[float, float] | None
    counts: bool

    @property
    def why(self) -> str:
        """The verdict in one sentence."""
        cases, points = plural(len(self.before), "case"), f"{100 * self.difference:+.1f} points of Dice"
        shown = f"no interval with fewer than {FEWEST_CASES} cases"
        worst, lost = _worst(self.before, self.after)
        if self.interval is None and lost < -MOST_LOST_ALONE - _ROUNDING:
            allowed = f"{100 * MOST_LOST_ALONE:.0f} points"
            shown += f"; {100 * lost:+.1f} on {worst}, and with so few none may lose more than {allowed}"
        if self.interval is not None:
            shown = f"95 % interval {100 * self.interval[0]:+.1f} to {100 * self.interval[1]:+.1f}"
        word = "the new weights count" if self.counts else "the earlier weights stay"
        return f"{word}: {points} on {cases} kept out ({shown})"


def judge(before: Mapping[str, float], after: Mapping[str, float]) -> Verdict:
    """The verdict: the mean over cases may not fall, nor its interval begin below `-MOST_LOST`.

    With too few cases for an interval, none of them may lose more than `MOST_LOST_ALONE`.

    Args:
        before: Dice by case, of the earlier weights.
        after: Of the new ones, on the same cases.

    Raises:
        ValueError: The cases are not the same, or there are none.
    """
    if not before or before.keys() != after.keys():
        raise ValueError(f"gate: expected the same cases before and after, got {sorted(before)} and {sorted(after)}")
    differences = [after[case] - before[case] for case in before]
    mean, interval = float(np.mean(differences)), case_interval(differences)
    guarded = (
        _worst(before, after)[1] >= -MOST_LOST_ALONE - _ROUNDING if interval is None else interval[0] >= -MOST_LOST
    )
    counts = mean >= 0 and guarded
    return Verdict(dict(before), {case: after[case] for case in before}, mean, interval, counts)


def _worst(before: Mapping[str, float], after: Mapping[str, float]) -> tuple[str, float]:
    """The case that has gained least, and how much that is."""
    case = min(before, key=lambda name: after[name] - before[name])
    return case, after[case] - before[case]


def dice_of(run: Path, project: Path, cases: Sequence[str], device: torch.device) -> dict[str, float]:
    """Dice of a run's last weights at the end of an episode, by case, mean over `USER_SEEDS`.

    Args:
        run: Its folder, or the name of one that comes with the package.
        project: Folder of the cases.
        cases: Their names.
        device: Where it is played.
    """
    agent, config = load_agent(run, device)
    found: dict[str, list[float]] = {case: [] for case in cases}
    envs = evaluation_envs(
        of_project(config, project),
        split="all",
        cases=list(cases),
        skip_bad=True,  # of these cases none is; others may just be put there
        device=device,
    )
    for seed in USER_SEEDS:
        for case in envs.cases.indices:
            *_, last = play(agent, envs, int(case), seed)
            found[last.case].append(float(last.after.dice[0]))
    envs.close()
    return {case: float(np.mean(values)) for case, values in found.items()}
