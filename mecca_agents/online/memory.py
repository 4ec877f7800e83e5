"""What is played while an agent goes on learning: new cases, a bounded memory of earlier ones, and what came first."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from mecca_agents.online.project import ENV, AcceptedCase
from mecca_agents.online.prompts import OWN_SHARE
from mecca_agents.runs.config import RunConfig
from mecca_env.data.built_in import BUILT_IN

MOST_REMEMBERED = 64
"""Earlier cases of a project that are played again."""

PHANTOM = "MECCA-Phantom-v0"
"""What runs were trained on whose own data set was missing."""

STAND_IN = "MECCA-Shapes-v0"
"""What is played beside a project where nothing that a run was trained on is on this machine."""


def remembered(cases: Sequence[AcceptedCase], most: int = MOST_REMEMBERED) -> list[str]:
    """So many cases, by name, of every target as many as there are, up to one more or less.

    That is what GDumb (Prabhu, Torr and Dokania, 2020) keeps, but that which case of a target stays is no matter of
    chance: the same cases always give the same memory.

    Args:
        cases: Earlier ones.
        most: How many.
    """
    by_target: dict[str, list[str]] = {}
    for case in sorted(cases, key=lambda case: hashlib.sha256(f"remembered:{case.name}".encode()).digest()):
        by_target.setdefault(case.target, []).append(case.name)
    rounds = zip_longest(*(by_target[target] for target in sorted(by_target)))
    return sorted([name for name in chain.from_iterable(rounds) if name is not None][:most])


def first_data(config: RunConfig) -> list[dict[str, Any]]:
    """The data sets that a run was trained on before it saw a project, those that are still here, with their weights.

    Args:
        config: Of the run, or of one that has learned from projects since (`split` marks those).

    Returns:
        As `sources` of an environment; nothing where none is here.
    """
    own: dict[str, Any] = {"env": PHANTOM if config.stood_in else config.env, "weight": config.weight}
    own |= {} if config.root is None else {"root": config.root, "label": config.label}
    own |= {} if config.root is None or config.cases is None else {"cases": config.cases}
    every = [own, *(dict(source) for source in config.sources if "split" not in source)]
    return [source for source in every if _is_here(source)]


def mixture(
    config: RunConfig,
    project: Path,
    cases: Sequence[AcceptedCase],
    learned: Collection[str],
    prompts: Path | None = None,
) -> dict[str, Any]:
    """What a training plays: a third each of new cases, of remembered ones and of what came first.

    Args:
        config: Of the run that goes on learning.
        project: The folder of the cases.
        cases: Those that may be learned from.
        learned: Names of those that the run has learned from before.
        prompts: File of what people gave on them (`mecca_env.data.recorded`), given again in `OWN_SHARE` of their
            episodes; None: simulated users prompt in all.

    Returns:
        `env`, `root`, `label`, `cases`, `weight` and `sources`, as `mecca_agents.train` takes them.
    """
    new = [case.name for case in cases if case.name not in learned]
    old = remembered([case for case in cases if case.name in learned])
    first, *others = first_data(config) or [{"env": STAND_IN}]
    total = sum(source.get("weight", 1.0) for source in (first, *others))
    weighted: list[Mapping[str, Any]] = [
        {**source, "weight": source.get("weight", 1.0) / total} for source in (first, *others)
    ]
    given = {} if prompts is None else {"prompts": str(prompts.resolve()), "prompted": OWN_SHARE}
    parts = [
        {"env": ENV, "root": str(project.resolve()), "split": "all", "cases": names, **given, "weight": 1.0}
        for names in (new, old)
        if names
    ]
    own = {"root": None, "label": None, "cases": None, **weighted[0]}
    return {**own, "sources": [*weighted[1:], *parts]}


def of_project(config: RunConfig, project: Path) -> RunConfig:
    """A run's settings as if it had been trained on a project, for playing its cases."""
    return replace(config, env=ENV, dataset=project.name, root=str(project), label=None, cases=None, sources=())


def _is_here(source: Mapping[str, Any]) -> bool:
    """Whether a data set can be played: a built-in one, or one whose folder is there."""
    root = source.get("root")
    return Path(root).is_dir() if root is not None else str(source["env"]).split("-")[1] in BUILT_IN
