"""Reliability of a confidence, c against g of Eq. 7: AUROC, calibration error, ten rows; and what it could teach."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mecca_agents.evaluation.play import PlayedStep
from mecca_agents.learning.confidence import consistent, simulated_label
from mecca_agents.tables import columns, number
from mecca_env.metrics import dice

ROWS = 10
"""Rows of the reliability table, equally wide."""

BINS = 4096
LIMIT = 20.0
"""For the AUROC, confidences count as equal when their logits fall into the same of `BINS` parts of -LIMIT to LIMIT.

Equal parts of c itself would not do: networks that are sure crowd within 0.001 of 0 and 1."""


class Row(NamedTuple):
    """A row of the reliability table; its means are NaN where it has no voxels."""

    low: float  # confidences from here ...
    high: float  # ... to here, 1 included in the last row
    voxels: int
    confidence: float  # mean c
    right: float  # share of actions in the label's direction


class MaskDice(NamedTuple):
    """Mean Dice over cases after a step, in [0, 1]: of the policy, and of what its confidence makes of its actions."""

    policy: float  # the mask that was reached
    simulated_label: float  # the direction of the calibrated action, Eq. 10
    calibrated: float  # the mask, had every action with c of at most a half been turned round


class Reliability:
    """Collects confidences and whether the actions were right, in constant memory.

    An observer of evaluations: `reliability = Reliability(); evaluate(run, observers=[reliability])`. Agents without a
    confidence leave it empty.
    """

    def __init__(self) -> None:
        self._fine: dict[int, NDArray[np.int64]] = {}  # for each step (2, BINS): voxels with g = 0 and with g = 1
        self._count = np.zeros((2, ROWS), np.int64)
        self._sum = np.zeros(ROWS)
        self._dice: dict[int, NDArray[np.float64]] = {}  # for each step the sums of `MaskDice`, and of how many cases

    def __call__(self, played: PlayedStep) -> None:
        """Take in a step of an evaluation."""
        confidence = played.confidence
        if confidence is None:
            return
        raised, label = played.change > 0, played.after.label
        self.add(confidence, consistent(raised, label[0]), played.step)
        masks = (
            played.after.prediction[0],
            simulated_label(raised, confidence),
            played.mask_with(confidence <= 0.5),
        )
        found = [float(dice(mask[None], label)[0]) for mask in masks]
        self._dice[played.step] = self._dice.get(played.step, np.zeros(4)) + [*found, 1.0]

    def add(self, confidence: Tensor, right: Tensor, step: int) -> None:
        """Take in the actions of one step.

        Args:
            confidence: c, any shape, in [0, 1].
            right: g, bool, of the same shape.
            step: Number of the step.
        """
        c, g = confidence.flatten().double(), right.flatten().long()
        row = (c * ROWS).long().clamp_max(ROWS - 1)
        self._count += np.reshape(_host(torch.bincount(g * ROWS + row, minlength=2 * ROWS)), (2, ROWS))
        self._sum += np.bincount(_host(row), weights=_host(c), minlength=ROWS)
        bins = ((c.logit() + LIMIT) * (BINS / (2 * LIMIT))).clamp(0, BINS - 1).long()
        counts = np.reshape(_host(torch.bincount(g * BINS + bins, minlength=2 * BINS)), (2, BINS))
        self._fine[step] = self._fine.get(step, 0) + counts

    @property
    def voxels(self) -> int:
        """Number of actions taken in, over all voxels, cases and steps."""
        return int(self._count.sum())

    @property
    def right(self) -> float:
        """Share of them that went the right way; NaN where there are none."""
        return _share(int(self._count[1].sum()), self.voxels)

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps that were seen."""
        return tuple(sorted(self._fine))

    def auroc(self, step: int | None = None) -> float:
        """Chance that a right action has a higher confidence than a wrong one, ties counted half.

        Args:
            step: Of this step alone; None takes all.

        Returns:
            The area under the ROC curve; NaN where all actions are right, or all wrong.
        """
        chosen = self._fine.values() if step is None else [self._fine[step]]
        wrong, right = sum(chosen, np.zeros((2, BINS), np.int64)).astype(np.float64)
        below = np.cumsum(wrong) - wrong / 2
        pairs = wrong.sum() * right.sum()
        return float(right @ below / pairs) if pairs else math.nan

    def calibration_error(self) -> float:
        """Expected calibration error over the rows of the table: |mean c - share right|, weighted by voxels."""
        errors = [row.voxels * abs(row.confidence - row.right) for row in self.rows() if row.voxels]
        return sum(errors) / self.voxels if errors else math.nan

    def mask_dice(self, step: int) -> MaskDice:
        """What the confidence could teach at a step.

        Unlabelled cases are taught by simulated labels. A confidence has something to teach them where these, or the
        mask after the calibrated action, reach the policy's own Dice.

        Raises:
            KeyError: No such step of an evaluation was taken in.
        """
        *sums, cases = self._dice[step].tolist()
        return MaskDice(*(total / cases for total in sums))

    def rows(self) -> list[Row]:
        """The reliability table."""
        counts = self._count.sum(axis=0)
        return [
            Row(i / ROWS, (i + 1) / ROWS, int(n), _share(self._sum[i], n), _share(self._count[1, i], n))
            for i, n in enumerate(counts)
        ]

    def table(self) -> str:
        """All of it, as text.

        Raises:
            ValueError: Nothing was taken in.
        """
        if not self.voxels:
            raise ValueError("reliability: expected at least one confidence, found none; has the method one?")
        by_step = "  ".join(f"{step}: {number(self.auroc(step), '.3f')}" for step in self.steps)
        lines = [
            f"confidence in {self.voxels:,} actions, {100 * self.right:.2f} % of them in the label's direction",
            f"AUROC {number(self.auroc(), '.3f')} (by step  {by_step})",
            f"expected calibration error {100 * self.calibration_error():.2f} %",
            columns(["confidence", "actions %", "mean %", "right %"], [self._texts(row) for row in self.rows()]),
        ]
        if self._dice:
            means = [
                [str(step), *(f"{100 * value:.2f}" for value in self.mask_dice(step))] for step in sorted(self._dice)
            ]
            head = ["step", "policy, Dice %", "simulated label (Eq. 10)", "after the calibrated action"]
            lines += [
                columns(head, means),
                "A confidence has something to teach where the last two reach the policy's.",
            ]
        return "\n".join(lines)

    def _texts(self, row: Row) -> list[str]:
        shares = (row.voxels / self.voxels, row.confidence, row.right)
        return [f"{row.low:.1f} - {row.high:.1f}", *(number(100 * share) for share in shares)]


def _host(tensor: Tensor) -> NDArray[np.generic]:
    array: NDArray[np.generic] = tensor.cpu().numpy()
    return array


def _share(part: float, whole: int) -> float:
    return float(part / whole) if whole else math.nan
