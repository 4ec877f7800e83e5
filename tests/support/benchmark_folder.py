"""Writes folders as a benchmark leaves them, with results made up."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mecca_agents.presets import BRIEF
from mecca_agents.report.studies import COLUMNS, EDGE, FORMAT, FinishedCell, read_studies

CLICKS = (25, 30, 35, 40, 45)

Dice = Mapping[str, Sequence[float]]


def read_cells(folder: Path) -> list[FinishedCell]:
    """Every finished cell of a benchmark, by data set and name."""
    return [cell for study in read_studies(folder) for cell in study.cells]


def write_study(folder: Path, name: str = "Spleen", **settings: Any) -> Path:
    """The folder of a data set without any cell."""
    study = folder / name
    (study / "results").mkdir(parents=True, exist_ok=True)
    data = {
        "format": FORMAT,
        "env": f"MECCA-{name}-v0",
        "dataset": f"Task_{name}",
        "preset_name": "brief",
        "preset": BRIEF.flat(),
        "test_cases": ["a", "b"],
        "train_cases": [f"training{number}" for number in range(16)],
        **settings,
    }
    (study / "settings.json").write_text(json.dumps(data))
    return study


def write_cell(
    study: Path,
    method: str,
    dice: Dice,
    *,
    seed: int = 0,
    fraction: float = 1.0,
    labelled_cases: int | None = None,
    variant: str = "",
    imprecise: Dice | None = None,
    clicks: Sequence[int] = CLICKS,
    **about: Any,
) -> Path:
    """A finished cell.

    Args:
        study: Folder of the data set.
        method: The method.
        dice: For each case its Dice after every step, or the same at all five; ASSD is 10 (1 - Dice).
        seed: Of the training.
        fraction: Share of the cases that is labelled.
        labelled_cases: Number of them, in place of a share.
        variant: Row of Table 5.
        imprecise: The same of the imprecise user.
        clicks: Up to every step.
        about: Further columns, the same in every row, and entries of the JSON file.

    Returns:
        The CSV file.
    """
    amount = f"{100 * fraction:g}" if labelled_cases is None else f"{labelled_cases}cases"
    parts = [method.replace(":", "."), variant, amount, f"seed{seed}"]
    path = study / "results" / f"{'-'.join(part for part in parts if part)}.csv"
    columns = {key: about.pop(key) for key in list(about) if key in COLUMNS}
    rows = []
    for user, by_case in ((EDGE, dice), ("imprecise", imprecise or {})):
        for case, values in by_case.items():
            for step, (value, given) in enumerate(zip(values, clicks, strict=False), start=1):
                row = {"user": user, "method": method, "dataset": f"Task_{study.name}", "case": case}
                row |= {"seed": seed, "user_seed": 0}
                row |= {"step": step, "clicks": given, "dice": value, "assd": f"{10 * (1 - value):.6g}", "hd95": 1.0}
                row |= {"nsd": 0.9, "misunderstanding": 0.02, "seconds": 0.1}
                row |= {"protocol": "paper", "obedience": 0.5, "dice_scan": value, "nsd_scan": 0.8}
                rows.append(row | columns)
    write_csv(path, rows)
    data = {
        "cell": {
            **{"method": method, "fraction": fraction, "seed": seed, "variant": variant},
            "labelled_cases": labelled_cases,
        },
        "minutes": 4.2,
        "threads": 1,
        "device": "cpu",
        "commit": "0123456789" * 4,
        "updates": 150,
        "optimizer_steps": 600,
        "labelled_episodes": 300,
        "horizon": min(5, *(len(values) for values in dice.values()), len(clicks)),
        "seconds_per_step": 0.1,
    }
    path.with_suffix(".json").write_text(json.dumps(data | about))
    return path


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows of a cell's file."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def constant(**dice: float) -> dict[str, list[float]]:
    """The same Dice at every step of a case."""
    return {case: [value] * len(CLICKS) for case, value in dice.items()}


def timing(**total: float) -> dict[str, Any]:
    """Table 6: a fifth of a method's milliseconds is the environment's."""
    rows = {
        method.replace("_", "-"): {
            "agent_ms": 0.8 * ms,
            "step_ms": 0.2 * ms,
            "total_ms": ms,
            "interquartile_ms": [0.9 * ms, 1.1 * ms],
        }
        for method, ms in total.items()
    }
    return {"rows": rows, "device": "cpu", "threads": 1, "grid": [28, 24, 24], "cases": 10}


CASES = tuple(f"case{i}" for i in range(10))
_EASE = np.random.default_rng(0).normal(0, 0.03, len(CASES))


def rising(mean: float, gain: float = 0.01, seed: int = 0, spread: float = 0.002) -> dict[str, list[float]]:
    """Dice that rises to a mean at the last step, on cases of which some are hard for all methods.

    Args:
        mean: Of the cases, at the last step.
        gain: Of every step.
        seed: Of what is different in each training.
        spread: Standard deviation of that.
    """
    noise = np.random.default_rng(seed).normal(0, spread, len(CASES))
    ease = _EASE - _EASE.mean() + noise - noise.mean()
    return {case: [float(mean + ease[i] + gain * (step - 4)) for step in range(5)] for i, case in enumerate(CASES)}


def write_trainings(
    study: Path, method: str, mean: float, *, seeds: int = 5, luck: float = 0.002, spread: float = 0.002, **cell: Any
) -> None:
    """Trainings of a method whose means are evenly spread about a mean.

    Args:
        study: Folder of the data set.
        method: The method.
        mean: Dice of all of them at the last step.
        seeds: How many.
        luck: By how much the best and the worst of them are away from it.
        spread: As `rising` has it.
        cell: As `write_cell` has it; `imprecise` is the mean with the imprecise user.
    """
    imprecise = cell.pop("imprecise", None)
    for seed in range(seeds):
        off = luck * (2 * seed / (seeds - 1) - 1) if seeds > 1 else 0.0
        if imprecise is not None:
            cell["imprecise"] = rising(imprecise + off, seed=seed, spread=spread)
        write_cell(study, method, rising(mean + off, seed=seed, spread=spread), seed=seed, **cell)
