"""Whether what was learned from choices counts: by Dice on accepted masks, or by choices that were kept out."""

from __future__ import annotations

from dataclasses import dataclass

from mecca_agents.online.gate import Verdict


@dataclass(frozen=True)
class Share:
    """A share of choices that were kept out of the learning.

    Attributes:
        right: How many.
        total: Of how many.
    """

    right: int
    total: int

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the share (Wilson, 1927)."""
        from scipy.stats import binomtest  # half a second, which most commands do not need

        found = binomtest(self.right, self.total).proportion_ci(method="wilson")
        return float(found.low), float(found.high)

    @property
    def above_chance(self) -> bool:
        """Whether the interval begins above a half."""
        return self.interval[0] > 0.5

    def __str__(self) -> str:
        """In words."""
        low, high = self.interval
        percent = 100 * self.right / self.total
        return f"{self.right} of {self.total} ({percent:.0f} %, 95 % interval {100 * low:.0f} to {100 * high:.0f})"


@dataclass(frozen=True)
class ChoiceVerdict:
    """Whether weights that were led by choices count.

    Attributes:
        foreseen: Choices kept out that the reward model foresees.
        leaning: Choices kept out in which the new weights lean more to what was taken than the earlier ones; None where
            there are no new weights, since the reward model foresees nothing.
        dice: The gate of accepted masks; None where there are too few that were kept out.
    """

    foreseen: Share
    leaning: Share | None
    dice: Verdict | None

    @property
    def counts(self) -> bool:
        """Where the choices can be foreseen, Dice decides, and without accepted masks the leaning."""
        if not self.foreseen.above_chance or self.leaning is None:
            return False
        return self.leaning.above_chance if self.dice is None else self.dice.counts

    @property
    def why(self) -> str:
        """The verdict in one sentence."""
        if self.leaning is None:
            return f"the earlier weights stay: of the choices kept out, the reward model foresees {self.foreseen}"
        if self.dice is not None:
            return self.dice.why
        word = "the new weights count" if self.counts else "the earlier weights stay"
        return f"{word}: they lean to what was taken in {self.leaning} of the choices kept out; no accepted masks"
