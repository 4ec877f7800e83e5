"""The env step of one episode in NumPy and SciPy, written twice: what the batched one is compared with.

`ReferenceEpisode` is tuned: float32 throughout, the label's surface found once, no copy of the volume, flat indices for
the draw, small separable Gaussians, `count_nonzero`. `FormulaEpisode` follows the formulas with the library's functions
and no thought of speed, as one writes it for oneself. The results of both are those of `mecca_env`: a test in
`tests/env` holds them together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mecca_env.process.config import EnvConfig

Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]
Voxels = NDArray[np.int64]


class ReferenceStep(NamedTuple):
    """The result of one step.

    Attributes:
        observation: `volume`, `probability` and `hint`, (D, H, W) float32; the latter two are new arrays.
        reward: Mean voxel gain.
        gain: Voxel gain (Eq. 9), (D, H, W) float32.
        dice: After the step.
        misunderstanding: Share of voxels that moved the wrong way by more than `config.wrong_way`.
        misunderstanding_literal: Share that moved the wrong way at all (Definition 1).
        clicks: The user's new clicks, (K, 3) int64.
    """

    observation: dict[str, Volume]
    reward: float
    gain: Volume
    dice: float
    misunderstanding: float
    misunderstanding_literal: float
    clicks: Voxels


class ReferenceEpisode:
    """One episode, from any state on.

    Args:
        config: Settings of the decision process: discrete actions, the gain as reward, edge clicks, Gaussian hints.
        volume: (D, H, W) float32.
        label: (D, H, W) bool.
        probability: (D, H, W) float32 on the grid of the adjustments' tenths.
        hint: (D, H, W) float32 in [0, 1].
        clicks: Clicks so far, (N, 3) int64.
        rng: Which of the eligible voxels are clicked.
    """

    def __init__(
        self,
        config: EnvConfig,
        volume: Volume,
        label: Mask,
        probability: Volume,
        hint: Volume,
        clicks: Voxels,
        rng: np.random.Generator,
    ) -> None:
        self.config, self.volume, self.label = config, volume, label
        self.probability, self.hint = probability, hint
        self._adjustments = np.array(config.adjustments, np.float32)
        self._edge = surface(label)
        self._clicked = np.zeros(label.shape, np.bool_)
        self._clicked[tuple(clicks.T)] = True
        self._rng = rng

    def step(self, action: NDArray[np.uint8], budget: int, clicks: Voxels | None = None) -> ReferenceStep:
        """Adjust every voxel, pay it, let the user click.

        Args:
            action: Indices into the adjustments, (D, H, W).
            budget: Most clicks that the user may make.
            clicks: The clicks to make, (K, 3); None draws them.
        """
        before = self.probability
        # Rounded to tenths, or 0.5 + 0.1 - 0.1 is the float above 0.5 and counts as foreground.
        after = np.clip(np.round(before + self._adjustments[action], 1), 0, 1)
        gain = self._cross_entropy(before) - self._cross_entropy(after)
        prediction = after > 0.5
        away = np.where(self.label, before - after, after - before)
        self.probability = after
        clicks = self.choose(prediction, budget) if clicks is None else clicks
        self._click(clicks)
        return ReferenceStep(
            observation={"volume": self.volume, "probability": after, "hint": self.hint},
            reward=float(gain.mean()),
            gain=gain,
            dice=dice(prediction, self.label),
            misunderstanding=np.count_nonzero(away > self.config.wrong_way + 1e-6) / away.size,
            misunderstanding_literal=np.count_nonzero(away > 0) / away.size,
            clicks=clicks,
        )

    def eligible(self, prediction: Mask) -> Mask:
        """Edges of the label that are not edges of the prediction and not clicked yet, (D, H, W) bool."""
        return self._edge & ~surface(prediction) & ~self._clicked

    def choose(self, prediction: Mask, budget: int) -> Voxels:
        """At most `budget` eligible voxels, (K, 3) int64, each equally likely."""
        candidates = np.flatnonzero(self.eligible(prediction))
        drawn = self._rng.choice(candidates, min(budget, len(candidates)), replace=False)
        return np.stack(np.unravel_index(drawn, prediction.shape), axis=-1)

    def _click(self, clicks: Voxels) -> None:
        self._clicked[tuple(clicks.T)] = True
        self.hint = self.hint.copy()
        for click in clicks:
            self._paste(click)

    def _paste(self, click: Voxels) -> None:
        paste_gaussian(self.hint, click, self.config.hint_sigma, self.config.hint_radius)

    def _cross_entropy(self, probability: Volume) -> Volume:
        own = np.where(self.label, probability, 1 - probability)
        chi: Volume = -np.log(np.clip(own, self.config.epsilon, 1 - self.config.epsilon))
        return chi


class FormulaEpisode(ReferenceEpisode):
    """The same step by the formulas: binary cross-entropy over both classes, both surfaces, Gaussians over the grid."""

    def eligible(self, prediction: Mask) -> Mask:
        """See `ReferenceEpisode.eligible`."""
        missed: Mask = surface(self.label) & ~surface(prediction) & ~self._clicked
        return missed

    def choose(self, prediction: Mask, budget: int) -> Voxels:
        """See `ReferenceEpisode.choose`."""
        candidates = np.argwhere(self.eligible(prediction))
        return candidates[self._rng.choice(len(candidates), min(budget, len(candidates)), replace=False)]

    def _paste(self, click: Voxels) -> None:
        offsets = np.indices(self.hint.shape) - click[:, None, None, None]
        gaussian = np.exp(-(offsets**2).sum(axis=0) / (2 * self.config.hint_sigma**2))
        gaussian[np.abs(offsets).max(axis=0) > self.config.hint_radius] = 0
        self.hint = np.maximum(self.hint, gaussian.astype(np.float32))

    def _cross_entropy(self, probability: Volume) -> Volume:
        clipped, truth = np.clip(probability, self.config.epsilon, 1 - self.config.epsilon), self.label.astype(float)
        chi: Volume = -(truth * np.log(clipped) + (1 - truth) * np.log(1 - clipped))
        return chi


def surface(mask: Mask) -> Mask:
    """Voxels of a mask with a face neighbour outside it."""
    inner: Mask = ndimage.binary_erosion(mask)
    return mask & ~inner


def dice(prediction: Mask, label: Mask) -> float:
    """2 |P and L| / (|P| + |L|); 1 where both are empty."""
    total = np.count_nonzero(prediction) + np.count_nonzero(label)
    return 2 * np.count_nonzero(prediction & label) / total if total else 1.0


def paste_gaussian(hint: Volume, click: Voxels, sigma: float, radius: int) -> None:
    """Merge a Gaussian of peak 1 around `click` (3,) into `hint`, by maximum, inside a cube of half side `radius`."""
    low = np.maximum(click - radius, 0)
    high = np.minimum(click + radius + 1, hint.shape)
    cube = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    offsets = (np.arange(a, b) - c for a, b, c in zip(low, high, click, strict=True))
    d, h, w = (np.exp(offset**2 / (-2 * sigma**2)).astype(np.float32) for offset in offsets)
    np.maximum(hint[cube], d[:, None, None] * h[:, None] * w, out=hint[cube])
