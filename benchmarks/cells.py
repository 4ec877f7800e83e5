"""The trainings that docs/results.md reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

DATASETS = {
    "hippocampus": ("MECCA-Hippocampus-v0", "Task04_Hippocampus"),
    "leftatrium": ("MECCA-LeftAtrium-v0", "LeftAtrium2018"),
}
SWITCHES = {"self_adaptive_reward": "r", "interaction_guide": "g", "simulated_labels": "l"}
TABLE_5 = {"none": "", "reward": "r", "guide": "g", "labels": "l", "reward-guide": "rg", "all": "rgl"}
"""The rows of Table 5: which of the switches are on."""
PRESET = "fast"
CONFIDENCE_SETTINGS = (
    *("alpha", "beta"),
    *("confidence_channels", "confidence_steps", "confidence_balance"),
)
"""Settings that matter only where a mechanism of MECCA is on."""
UNLABELLED_SETTINGS = ("delta", "labelled_share", "simulated_from")
"""Settings that matter only where simulated labels are learned from."""


@dataclass(frozen=True)
class Cell:
    """One training and its test.

    Attributes:
        dataset: Key of `DATASETS`.
        method: Name of the method.
        seed: Seed of everything.
        fraction: Share of the training cases that are labelled.
        on: Key of `TABLE_5`, the switches of MECCA that are on.
        num_envs: Episodes in a batch, where not the preset's.
        from_start: Whether simulated labels are learned from at once.
    """

    dataset: str
    method: str
    seed: int
    fraction: float = 1.0
    on: str = "all"
    num_envs: int | None = None
    from_start: bool = False

    @property
    def name(self) -> str:
        """Name of its files."""
        parts = [self.dataset, self.method]
        parts += [] if self.fraction == 1.0 else [f"{100 * self.fraction:g}"]
        parts += [] if self.fraction == 1.0 and self.on == "all" else [self.on]
        parts += [] if self.num_envs is None else [f"batch{self.num_envs}"]
        parts += ["early"] if self.from_start else []
        return "-".join([*parts, f"seed{self.seed}"])

    @property
    def has_confidence(self) -> bool:
        """Whether it trains a confidence network."""
        return self.method == "mecca" and self.on != "none"

    @property
    def simulates_labels(self) -> bool:
        """Whether it learns from unlabelled cases."""
        return self.method == "mecca" and self.fraction < 1.0 and "l" in TABLE_5[self.on]

    @property
    def changes(self) -> dict[str, Any]:
        """What differs from the preset."""
        on = TABLE_5[self.on]
        batch = {} if self.num_envs is None else {"num_envs": self.num_envs}
        early = {"simulated_from": 0.0} if self.from_start else {}
        return {**{name: initial in on for name, initial in SWITCHES.items()}, **batch, **early}


HIPPOCAMPUS = {
    (method, seed): Cell("hippocampus", method, seed) for method in ("mecca", "iter-mrl") for seed in range(3)
}
UNGUIDED = {seed: Cell("hippocampus", "mecca", seed, on="reward") for seed in range(3)}
LEFT_ATRIUM = {(method, 0): Cell("leftatrium", method, 0) for method in ("mecca", "iter-mrl")}
QUARTER = {on: Cell("hippocampus", "mecca", 0, 0.25, on) for on in TABLE_5}
HALF = Cell("hippocampus", "mecca", 0, 0.25, "none", num_envs=2)
"""As many labelled episodes as with simulated labels, and no others."""
FEW = {on: Cell("hippocampus", "mecca", 0, 0.025, on) for on in ("none", "labels")}
EARLY = {
    (fraction, on): Cell("hippocampus", "mecca", 0, fraction, on, from_start=True)
    for fraction, on in ((0.25, "labels"), (0.25, "all"), (0.025, "labels"))
}
"""Simulated labels as Eq. 11 has them, from the first update on."""
CELLS = (  # in an order that gives two shards about the same work
    *(HIPPOCAMPUS["mecca", 0], HIPPOCAMPUS["iter-mrl", 0], HIPPOCAMPUS["iter-mrl", 1], HIPPOCAMPUS["mecca", 1]),
    *(HIPPOCAMPUS["mecca", 2], HIPPOCAMPUS["iter-mrl", 2], LEFT_ATRIUM["iter-mrl", 0], LEFT_ATRIUM["mecca", 0]),
    *(QUARTER["all"], QUARTER["labels"], QUARTER["none"], QUARTER["reward"], QUARTER["reward-guide"], QUARTER["guide"]),
    *(FEW["labels"], FEW["none"], UNGUIDED[0], HALF, UNGUIDED[1], UNGUIDED[2], *EARLY.values()),
)
