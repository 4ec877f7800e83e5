"""Whether a project's logs hold enough choices between two proposals to learn from, without a look at its scans."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from mecca_agents.online.project import KEPT_OUT, kept_out
from mecca_agents.online.record import cases_of

FEWEST_TO_LEARN, FEWEST_TO_JUDGE = 24, 8
"""Choices; with fewer there is next to nothing to learn, or no saying whether it was chance."""


@dataclass(frozen=True)
class ChoiceCount:
    """Choices of a project.

    Attributes:
        learn: That a learning would learn from.
        judge: That it would judge by.
    """

    learn: int = 0
    judge: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.learn + self.judge

    @property
    def enough(self) -> bool:
        """Whether a learning takes them."""
        return self.learn >= FEWEST_TO_LEARN and self.judge >= FEWEST_TO_JUDGE


def parts(learn: int, judge: int) -> ChoiceCount:
    """The choices to learn from and to judge by, where there are so many in cases that are learned from and kept out.

    Where those of the cases kept out are too few to judge by, one choice of four goes over to them.
    """
    moved = -(-learn // KEPT_OUT) if judge < FEWEST_TO_JUDGE else 0
    return ChoiceCount(learn - moved, judge + moved)


def count_choices(choices: Mapping[str, int], cases: Collection[str], run: Path) -> ChoiceCount:
    """The choices that `learn_from_choices` would learn from and judge by.

    Args:
        choices: How many the log of each case holds.
        cases: All cases.
        run: Folder of the run that would go on.

    Raises:
        mecca_agents.runs.RunError: Its `learned.json` is damaged.
    """
    held = kept_out(sorted({*cases, *choices}), *cases_of(run))
    judge = sum(count for case, count in choices.items() if case in held)
    return parts(sum(choices.values()) - judge, judge)
