"""The cells of a benchmark: one training and its test each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from mecca_agents.agent import find_method
from mecca_agents.presets import MECHANISMS, Preset
from mecca_env.arguments import read_count
from mecca_env.process.config import some_unlabelled

Work = TypeVar("Work")

ABLATION: dict[str, tuple[bool, bool, bool]] = {
    "none": (False, False, False),
    "reward": (True, False, False),
    "guide": (False, True, False),
    "labels": (False, False, True),
    "reward-guide": (True, True, False),
    "all": (True, True, True),
}
"""The rows of Table 5: which of self-adaptive reward, interaction guide and simulated labels of MECCA are on."""


@dataclass(frozen=True)
class Cell:
    """One training and its test.

    Attributes:
        method: Name of the method, or "module:class".
        fraction: Share of the training cases that are labelled.
        seed: Seed of everything.
        variant: "" for the method itself, MECCA with all its mechanisms, or a key of `ABLATION`.
        labelled_cases: So many of the training cases are labelled, in place of a share.
    """

    method: str
    fraction: float = 1.0
    seed: int = 0
    variant: str = ""
    labelled_cases: int | None = None

    @property
    def name(self) -> str:
        """Name of its files: `mecca-100-seed0`, `mecca-guide-25-seed0`, `unet-4cases-seed0`, `module.My-100-seed0`."""
        parts = [self.method.replace(":", "."), *([self.variant] if self.variant else [])]
        amount = f"{100 * self.fraction:g}" if self.labelled_cases is None else f"{self.labelled_cases}cases"
        return "-".join([*parts, amount, f"seed{self.seed}"])

    @property
    def all_labelled(self) -> bool:
        """Whether every training case is labelled."""
        return not some_unlabelled(self.settings)

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of its environment: which cases are labelled. Another seed labels other cases."""
        if self.labelled_cases is not None:
            return {"labelled_cases": self.labelled_cases, "labelled_draw": self.seed}
        return {} if self.fraction == 1.0 else {"labelled_fraction": self.fraction, "labelled_draw": self.seed}

    def preset(self, preset: Preset) -> Preset:
        """The settings it is trained with: those of the benchmark, but for what its variant switches.

        A row that is called after MECCA has its mechanisms, whatever presets leave out: all of them, where the preset
        has none on.
        """
        method = find_method(self.method)
        changes: dict[str, Any] = {"updates": max(preset.updates // method.passes(preset), 1) if method.learns else 1}
        if self.variant:
            changes |= dict(zip(MECHANISMS, ABLATION[self.variant], strict=True))
        elif "mecca" in getattr(method, "families", ()):
            preset = as_rows(preset)
        return preset.replace(**changes)


def as_rows(preset: Preset) -> Preset:
    """A preset as rows that are called after MECCA are trained: with all its mechanisms, where it has none on."""
    return preset if any(getattr(preset.mecca, name) for name in MECHANISMS) else preset.replace(**MECHANISMS)


def make_cells(
    methods: Iterable[str],
    fractions: Iterable[float] = (1.0,),
    seeds: Iterable[int] = (0,),
    ablation: bool = False,
    labelled_cases: Iterable[int] = (),
) -> list[Cell]:
    """Every cell, seed by seed, so that a benchmark that is stopped early has compared all methods.

    Args:
        methods: Names, or "module:class".
        fractions: Labelled shares of the training cases, each above 0; none, where there are `labelled_cases` alone.
        seeds: A training for each.
        ablation: Whether to add the rows of Table 5, at every fraction and number.
        labelled_cases: Numbers of labelled training cases, beside the fractions.

    Raises:
        ValueError: A method is unknown, or a number out of range.
    """
    methods, fractions, seeds = list(dict.fromkeys(methods)), list(fractions), list(seeds)
    labelled_cases = list(labelled_cases)
    for method in methods:
        find_method(method)
    for fraction in fractions:
        if not 0 < fraction <= 1:
            raise ValueError(f"fractions: expected numbers above 0 and up to 1, got {fraction!r}")
    for number in labelled_cases:
        read_count("labelled_cases", number)
    kinds = [(method, "") for method in methods] + [("mecca", row) for row in ABLATION if ablation]
    amounts = [*((1.0, number) for number in labelled_cases), *((fraction, None) for fraction in fractions)]
    if not kinds or not seeds or not amounts:
        raise ValueError("expected at least one method, one labelled amount and one seed")
    return [
        Cell(method, fraction, seed, row, number)
        for seed in seeds
        for fraction, number in amounts
        for method, row in kinds
    ]


def shard_of(cells: Sequence[Work], shard: str) -> list[Work]:
    """The cells that one of several machines has to do.

    Args:
        cells: All of them, or whatever else there is to do.
        shard: "2/5": every fifth cell, from the second.

    Raises:
        ValueError: It is not of this form, or there is no such shard.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", shard)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ValueError(f"shard: expected i/n with i from 1 to n, such as 2/5, got {shard!r}")
    return list(cells[int(match[1]) - 1 :: int(match[2])])
