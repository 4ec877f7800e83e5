"""What those who write a benchmark's folder and those who read it agree on: its version, and how much was labelled."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mecca_agents.tables import percent, plural

FORMAT = 2
"""Version of the folder's layout. 1 had no costs of a training, no numbers of labelled cases, and under `seed` the seed
of the simulated user."""


@dataclass(frozen=True)
class Labelled:
    """How much of the training cases was labelled. Numbers of cases sort before shares, all cases come last.

    Attributes:
        fraction: Share of them, above 0 and at most 1; 1 where it was a number.
        cases: So many, or None.
    """

    fraction: float = 1.0
    cases: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1 or (self.cases is not None and (self.cases < 1 or self.fraction != 1)):
            raise ValueError(
                "labelled: expected a fraction above 0 and at most 1, or a number of cases of at least 1, "
                f"got {self.fraction!r} and {self.cases!r}"
            )

    def __str__(self) -> str:
        return percent(self.fraction) if self.cases is None else plural(self.cases, "case")

    def __lt__(self, other: Labelled) -> bool:
        return self._order < other._order

    @property
    def _order(self) -> tuple[bool, float]:
        return (True, self.fraction) if self.cases is None else (False, self.cases)

    def of(self, scans: int) -> tuple[float, Labelled]:
        """To sort by: how many scans it is, of so many in training; 0: of endless ones, any share of which is more."""
        number = self.fraction * (scans or math.inf) if self.cases is None else self.cases
        return number, self

    @property
    def columns(self) -> dict[str, float | int | str]:
        """For a CSV file: the share or the number, and nothing for the other one."""
        share = self.cases is None
        return {"fraction": self.fraction if share else "", "labelled_cases": "" if self.cases is None else self.cases}


ALL_CASES = Labelled()
"""Every training case."""
