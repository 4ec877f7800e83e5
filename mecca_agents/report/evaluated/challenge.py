"""The scores of the CVPR 2025 challenge of interactive segmentation, of one evaluation under its protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mecca_agents.evaluation.protocols import InteractiveScores, ScanScores, interactive_scores
from mecca_agents.evaluation.results import Result, mean_of_scans
from mecca_agents.report.click_tables import TARGETS, clicks_to_reach
from mecca_agents.tables import columns, plural
from mecca_env.process.config import EnvConfig
from mecca_env.process.protocols import PROTOCOLS

PROTOCOL = "cvpr25"
"""The protocol of the environment that it is."""

FEWEST_STEPS = 3
"""With fewer predictions there is no area under a curve: one for the box and one for each of two clicks."""


def other_than_challenge(settings: Mapping[str, Any]) -> list[str]:
    """Names of the prompts in which settings of an environment differ from those of the challenge."""
    known = {name: value for name, value in settings.items() if name in EnvConfig.__dataclass_fields__}
    played, own = EnvConfig(**known), EnvConfig(protocol=PROTOCOL)
    return [name for name in PROTOCOLS[PROTOCOL] if getattr(played, name) != getattr(own, name)]


def challenge_table(results: Sequence[Result], bound: ScanScores, other: Sequence[str] = ()) -> str:
    """Areas under the curves over the clicks, final scores, clicks to a target and the time for a prompt, as text.

    Everything is on the scan's own grid, and a mean over cases; those of one scan, its classes, count once. NoC is what
    `mecca_agents.report.click_tables.clicks_to_reach` says, with the share of the cases that never get there.

    Args:
        results: Of one evaluation.
        bound: What the label itself scores after a trip to the episode's grid and back.
        other: Names of the prompts that were not the challenge's own; the title names them.

    Returns:
        The table; nothing where another protocol was played, or too few steps.
    """
    steps = max(result.step for result in results)
    if results[0].protocol != PROTOCOL or steps < FEWEST_STEPS:
        return ""
    by_case: dict[str, list[Result]] = {}
    for result in sorted(results, key=lambda result: result.step):
        by_case.setdefault(result.case, []).append(result)
    cases = list(by_case)
    scores = [interactive_scores([ScanScores(r.dice_scan, r.nsd_scan) for r in of]) for of in by_case.values()]
    means = [mean_of_scans(cases, [getattr(score, name) for score in scores]) for name in InteractiveScores._fields]
    best = interactive_scores([bound] * steps)
    head = ["", "DSC_AUC", "NSD_AUC", "DSC final", "NSD final"]
    lines = [[results[0].method, *map(_text, means)], ["label (bound)", *map(_text, best)]]
    dice, clicks = (
        np.array([[float(getattr(r, name)) for r in of] for of in by_case.values()]) for name in ("dice_scan", "clicks")
    )
    for target in TARGETS:
        needed, failed = clicks_to_reach(dice, clicks, target)
        head += [f"NoC@{100 * target:.0f}", "failed %"]
        lines[0] += [
            f"{mean_of_scans(cases, needed.tolist()):.1f}",
            f"{100 * mean_of_scans(cases, failed.astype(float).tolist()):.0f}",
        ]
        lines[1] += ["", ""]
    head.append("s/prompt")
    lines[0].append(f"{np.mean([result.seconds for result in results]):.3g}")
    lines[1].append("")
    but = f", but for {', '.join(other)}" if other else ""
    title = f"CVPR 2025 challenge{but}, on the scan's own grid, mean over {plural(len(cases), 'case')}"
    return f"{title}\n{columns(head, lines, left=1)}"


def _text(value: float) -> str:
    return f"{value:.4f}"
