"""Whether what was learned from choices counts: they can be foreseen, and Dice or choices kept out speak for it."""

from __future__ import annotations

from dataclasses import dataclass

from mecca_agents.online.gate import Verdict


@dataclass(frozen=True)
class Share:
    """A share of choices that were not learned from.

    Attributes:
        right: How many.
        total: Of how many.
        level: Of its interval.
    """

    right: int
    total: int
    level: float = 0.95

    @property
    def interval(self) -> tuple[float, float]:
        """Interval of the share (Wilson, 1927)."""
        from scipy.stats import binomtest  # half a second, which most commands do not need

        found = binomtest(self.right, self.total).proportion_ci(self.level, method="wilson")
        return float(found.low), float(found.high)

    @property
    def above_chance(self) -> bool:
        """Whether the interval begins above a half."""
        return self.interval[0] > 0.5

    @property
    def most(self) -> bool:
        """Whether it is more than a half."""
        return 2 * self.right > self.total

    def __str__(self) -> str:
        """In words."""
        share, level, low, high = (100 * value for value in (self.right / self.total, self.level, *self.interval))
        return f"{self.right} of {self.total} ({share:.0f} %, {level:.0f} % interval {low:.0f} to {high:.0f})"


@dataclass(frozen=True)
class ChoiceVerdict:
    """Whether weights that were led by choices count.

    Attributes:
        foreseen: Choices that reward models of other cases foresee (`foresight.foreseen_across`).
        leaning: Choices kept out in which the new weights lean more to what was taken than the earlier ones; None where
            there are no new weights, since the choices cannot be foreseen.
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
        return self.leaning.most if self.dice is None else self.dice.counts

    @property
    def why(self) -> str:
        """The verdict in one sentence."""
        if not self.foreseen.above_chance or self.leaning is None:
            return f"the earlier weights stay: reward models of other cases foresee {self.foreseen} of the choices"
        if self.dice is not None:
            return self.dice.why
        word = "the new weights count" if self.counts else "the earlier weights stay"
        return f"{word}: they lean to what was taken in {self.leaning} of the choices kept out; no accepted masks"
