"""What an evaluation has measured: a row for each case and step, and these as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mecca_agents.evaluation.statistics import case_interval
from mecca_agents.tables import columns, number, plural
from mecca_env.data.targets import scans_of

SINCE = ("protocol", "obedience", "dice_scan", "nsd_scan")
"""The columns that older result files do not have."""

COLUMNS = (
    *("method", "dataset", "case", "seed", "user_seed", "step", "clicks"),
    *("dice", "assd", "hd95", "nsd", "misunderstanding", "seconds"),
    *SINCE,
)
"""Columns of the result file. `seed` is the training's, `user_seed` the simulated user's, `step` counts predictions.
ASSD and HD95 are in voxels of the episode's grid, as in the paper; NSD forgives one voxel; `clicks` are all made up to
that step; `seconds` is the agent's and the environment's time for it. `protocol` is the one that was played, single
settings of it may be others; `obedience` is the share of the clicks up to that step that are on the right side of the
mask after it, nan before the first; `dice_scan` and `nsd_scan` are on the scan's own grid, NSD forgives 2 mm
(`mecca_agents.evaluation.protocols.scan_scores`)."""


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
    protocol: str = "paper"
    obedience: float = math.nan
    dice_scan: float = math.nan
    nsd_scan: float = math.nan


def result_row(result: Result) -> dict[str, Any]:
    """A row of the file: six significant digits are more than two runs on two machines agree to."""
    return {c: f"{v:.6g}" if isinstance(v := getattr(result, c), float) else v for c in COLUMNS}


def dice_by_step(results: Sequence[Result]) -> list[float]:
    """Mean Dice over cases after each step, in per cent; those of one scan count as one."""
    found = [[r for r in results if r.step == step] for step in sorted({r.step for r in results})]
    return [100 * mean_of_scans([r.case for r in here], [r.dice for r in here]) for here in found]


def table(results: Sequence[Result], note: str = "") -> str:
    """Mean of every measure at each step, as text; Dice, NSD and obedience in per cent.

    Cases of one scan count as one, their mean. Dice and ASSD come with the 95 % bootstrap interval of the mean, where
    there are at least eight. Columns that nothing was measured for are left out.

    Args:
        results: Of one evaluation.
        note: What the title has to say besides, how the agent was adapted for one.
    """
    head = ["step", "clicks", "Dice % [95 % interval]", "ASSD [95 % interval]", "HD95", "NSD %", "misund. %"]
    further = {"dice_scan": "scan Dice %", "nsd_scan": "scan NSD %", "obedience": "obeyed %"}
    shown = [name for name in further if not all(math.isnan(getattr(r, name)) for r in results)]
    lines = []
    for step in sorted({r.step for r in results}):
        here = [r for r in results if r.step == step]
        cases = [r.case for r in here]

        def mean(name: str, here: Sequence[Result] = here, cases: Sequence[str] = cases) -> float:
            return mean_of_scans(cases, [getattr(r, name) for r in here])

        lines.append(
            [
                str(step),
                f"{mean('clicks'):.1f}",
                _with_interval(here, "dice", 100),
                _with_interval(here, "assd"),
                f"{mean('hd95'):.2f}",
                f"{100 * mean('nsd'):.1f}",
                f"{100 * mean('misunderstanding'):.2f}",
                *(number(100 * mean(name), ".2f" if name == "dice_scan" else ".1f") for name in shown),
            ]
        )
    about = [results[0].dataset, plural(len({r.case for r in results}), "case"), results[0].method]
    about += [f"protocol {results[0].protocol}"] if results[0].protocol != "paper" else []
    title = ", ".join(about) + (f" ({note})" if note else "")
    return f"{title}\n{columns([*head, *(further[name] for name in shown)], lines, gap=' ')}"


def means_of_scans(cases: Sequence[str], values: Sequence[float]) -> list[float]:
    """The mean over the cases of each scan, since those of one scan are no independent sample.

    Args:
        cases: Names.
        values: One for each; where it is NaN the case is left out.
    """
    by_scan: dict[str, list[float]] = {}
    for scan, value in zip(scans_of(cases), values, strict=True):
        if not math.isnan(value):
            by_scan.setdefault(scan, []).append(value)
    return [float(np.mean(of_scan)) for of_scan in by_scan.values()]


def mean_of_scans(cases: Sequence[str], values: Sequence[float]) -> float:
    """The mean of these; NaN where there is no number."""
    means = means_of_scans(cases, values)
    return float(np.mean(means)) if means else math.nan


def _with_interval(results: Sequence[Result], name: str, scale: float = 1.0) -> str:
    cases = [result.case for result in results]
    values = means_of_scans(cases, [scale * getattr(result, name) for result in results])
    interval = case_interval(values)
    return f"{np.mean(values):.2f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")
