"""A simulated person who chooses between two proposals: by Dice, and with a share of wrong choices."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from mecca_env.metrics import dice


class DiceChooser:
    """Takes the mask that overlaps more with the label, but for some choices.

    Args:
        wrong: Share of choices that are wrong; a half is choosing by chance.
        seed: Of which these are.

    Raises:
        ValueError: It is no share.
    """

    def __init__(self, wrong: float = 0.0, seed: int = 0) -> None:
        if not 0 <= wrong <= 1:
            raise ValueError(f"wrong: expected a share from 0 to 1, got {wrong!r}")
        self.wrong = wrong
        self._rng = np.random.default_rng(seed)

    def choose(self, masks: tuple[NDArray[np.bool_], NDArray[np.bool_]], label: NDArray[np.bool_]) -> int:
        """The index of the mask that is taken; of two equally good ones, either.

        Args:
            masks: (X, Y, Z) each.
            label: What is to be segmented, (X, Y, Z).
        """
        true = torch.from_numpy(label)[None]
        one, other = (float(dice(torch.from_numpy(mask)[None], true)[0]) for mask in masks)
        better = int(other > one) if one != other else int(self._rng.integers(2))
        return better ^ int(self._rng.random() < self.wrong)
