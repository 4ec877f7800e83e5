"""From what the trials have written to the tables and the curves of docs/online.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.document import DOCS
from mecca_agents.evaluation.statistics import bootstrap_interval
from mecca_agents.report.evaluated.continual import Met, prompts_to
from mecca_agents.tables import grid
from mecca_env.atomic import atomically

PICTURE = DOCS / "images" / "online.png"
TARGET = 0.85
WHO = ("never", "learned")
_SMOOTH = 5  # cases that a point of a curve is the mean of
_COLOURS = {"never": "#D55E00", "learned": "#0072B2"}  # of Okabe and Ito


@dataclass(frozen=True)
class Told:
    """What a trial has written.

    Attributes:
        folder: Of the trial.
        cases: One for each case so far, in order.
        clean: Dice of clean cases by organ, by the number of cases that were learned from.
    """

    folder: Path
    cases: list[dict[str, Any]]
    clean: dict[int, dict[str, list[float]]]

    @cached_property
    def organs(self) -> list[str]:
        """In the order in which they came."""
        return list(dict.fromkeys(case["organ"] for case in self.cases))

    def dice(self, who: str) -> NDArray[np.float64]:
        """In per cent, after the last prompt, of each case."""
        return np.array([100 * case[who]["dice"][-1] for case in self.cases])

    def met(self, who: str, organ: str, later: bool) -> list[Met]:
        """The cases of an organ, its later half alone where that is asked for."""
        of = [case for case in self.cases if case["organ"] == organ]
        return [Met(tuple(c[who]["dice"]), tuple(c[who]["clicks"])) for c in (of[len(of) // 2 :] if later else of)]


def read_trial(folder: Path) -> Told | None:
    """What a trial has written so far; None where nothing is there."""
    cases = [json.loads(path.read_text()) for path in sorted(folder.glob("case_*.json"))]
    clean = {int(path.stem[-3:]): json.loads(path.read_text()) for path in sorted(folder.glob("clean_*.json"))}
    return Told(folder, cases, clean) if cases else None


def tables(trials: dict[str, list[Told]]) -> str:
    """All numbers, as Markdown.

    Args:
        trials: Those of each protocol, one for each order; with wrong masks, under another name.
    """
    return "\n\n".join([_met_table(trials), _kept_table(trials), _learning_table(trials)])


def _met_table(trials: dict[str, list[Told]]) -> str:
    """Each organ's later half when it came."""
    rows = []
    for name, several in trials.items():
        for organ in several[0].organs:
            cells = [name, organ]
            for number in (0, 1):
                both = [[_score(told, who, organ)[number] for told in several] for who in WHO]
                cells += [*(f"{np.mean(values):.1f}" for values in both), _change(both, relative=number == 1)]
            rows.append(cells)
    head = ["prompts", "later half of the", "Dice %, never", "learned", "difference"]
    return grid([*head, f"prompts to {TARGET:.2f}, never", "learned", "change"], rows, padded=False)


def _score(told: Told, who: str, organ: str) -> tuple[float, float]:
    met = told.met(who, organ, later=True)
    return 100 * float(np.mean([case.dice[-1] for case in met])), prompts_to(met, TARGET)[0]


def _change(both: Sequence[Sequence[float]], relative: bool) -> str:
    """Mean difference over the orders, with the least and the most of them."""
    never, learned = (np.array(values) for values in both)
    change = 100 * (learned - never) / never if relative else learned - never
    return f"{change.mean():+.1f}{' %' if relative else ''} ({change.min():+.1f} to {change.max():+.1f})"


def _kept_table(trials: dict[str, list[Told]]) -> str:
    """Clean cases of each organ as the stream goes on, over all orders."""
    numbers = sorted({number for several in trials.values() for told in several for number in told.clean})
    rows = []
    for name, several in trials.items():
        for organ in several[0].clean[numbers[0]]:
            means = [[np.mean(told.clean[n][organ]) for told in several if n in told.clean] for n in numbers]
            cells = [f"{100 * np.mean(of):.1f}" if of else "" for of in means]
            pairs = [(told.clean[min(told.clean)][organ], told.clean[max(told.clean)][organ]) for told in several]
            gains = 100 * np.concatenate([np.subtract(last, first) for first, last in pairs])
            shown = f"{gains.mean():+.1f}"
            if len(gains) > 1:
                low, high = bootstrap_interval(gains)
                shown += f" [{low:+.1f}, {high:+.1f}]"
            rows.append([name, organ, *cells, shown])
    head = ["prompts", "Dice % on clean", *(f"after {number}" for number in numbers), "gain [95 %]"]
    return grid(head, rows, padded=False)


def _learning_table(trials: dict[str, list[Told]]) -> str:
    """What the gate said, and what it took."""
    rows = []
    for name, several in trials.items():
        learnings = [case["learning"] for told in several for case in told.cases if "updates" in case["learning"]]
        if learnings:
            counted = 100 * np.mean([each["counts"] for each in learnings])
            medians = (np.median([each[key] for each in learnings]) for key in ("updates", "all_seconds"))
            cells = [str(len(several)), str(len(learnings)), *(f"{value:.0f}" for value in (counted, *medians))]
            rows.append([name, *cells])
    head = ["prompts", "orders", "learnings", "new weights counted %", "updates", "seconds with judging (medians)"]
    return grid(head, rows, padded=False)


def draw(trials: dict[str, list[Told]], path: Path) -> None:
    """Dice when a case came against its number, the mean of all orders and the band from the least to the most."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6 * len(trials), 3.2), layout="constrained")
    for axes, (name, several) in zip(figure.subplots(1, len(trials), squeeze=False)[0], trials.items(), strict=True):
        length = min(len(told.cases) for told in several)
        for who in WHO:
            curves = np.array([smoothed(told.dice(who)[:length]) for told in several])
            x = np.arange(1, length + 1)
            axes.fill_between(x, curves.min(axis=0), curves.max(axis=0), color=_COLOURS[who], alpha=0.2, linewidth=0)
            axes.plot(x, curves.mean(axis=0), color=_COLOURS[who], label={"never": "never learns"}.get(who, "learns"))
        organs = [case["organ"] for case in several[0].cases[:length]]
        for change in [n for n in range(1, length) if organs[n] != organs[n - 1]]:
            axes.axvline(change + 0.5, color="0.5", linestyle="--", linewidth=1)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("case")
        axes.set_ylabel("Dice %")
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    atomically(path, lambda temporary: figure.savefig(temporary, dpi=110, format="png"))


def smoothed(values: NDArray[np.float64], width: int = _SMOOTH) -> NDArray[np.float64]:
    """The mean of each value and of up to `width - 1` before it."""
    return np.array([values[max(n + 1 - width, 0) : n + 1].mean() for n in range(len(values))])
