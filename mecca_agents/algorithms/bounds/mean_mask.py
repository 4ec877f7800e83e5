"""The mean label of the training cases, thresholded: what a constant knows, that sees neither scan nor click.

The crop of an episode is made from the label's box (Sec. 4.1), so labels lie at the same place of the grid and take up
about the same share of it: one mask for all cases fits many of them well. What does not beat it has learned nothing.

Every labelled training case is looked at once, in the crop of an evaluation (`augment=False`), each update taking its
share of them; of an endless source as many as the preset has episodes. The mask is where the mean lies above the
threshold whose mask has the best Dice with all training labels taken together. That is half of this best Dice (Lipton
et al., 2014, "Optimal thresholding of classifiers to maximize F1 measure"), so the mean alone tells it, and no test
case is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mecca_agents.agent import Learned, Observation, TaskSpec
from mecca_agents.learning.mask_predictor import VolumePredictor
from mecca_agents.presets import FAMILIES, Preset
from mecca_env.vector_env import MeccaVectorEnv

SURE = 100.0
"""A logit whose sigmoid is 1 in float32."""


class MeanMask(VolumePredictor):
    """The method; an `Agent`.

    Args:
        preset: Its settings, of which the numbers of updates and of episodes matter.
        task: What it plays; continuous actions.
        device: Where the mean lives.
        seed: Changes nothing but which cases of an endless source are looked at, by the environment's.
    """

    name = "mean-mask"
    footnote = "The mean label of the training cases, thresholded: one mask for all, which sees neither scan nor click."
    learns_together = False

    def __init__(self, preset: Preset, task: TaskSpec, *, device: torch.device, seed: int) -> None:
        super().__init__(preset, task, device=device, seed=seed)
        self.known = MeanLabel(task.shape)
        self.add_network("label", lambda: self.known, optimized=False)

    @classmethod
    def without_effect(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, str]:
        """All but those that say how much is looked at."""
        return {name: "it takes a mean" for name in FAMILIES if name not in ("shape", "num_envs", "updates")}

    @classmethod
    def env_settings(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The crop of an evaluation in training, too."""
        return {**super().env_settings(preset, settings), "augment": False}

    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        """Look at this update's share of the training cases. No step is taken, so there is no Dice to log."""
        before = int(self.known.count)
        for options in self.looks(envs, progress):
            observation, _ = envs.reset(options=options)
            begun = torch.tensor(options.get("reset_mask", [True] * envs.num_envs), device=self.device)
            self.known.add(envs.state.label[begun & envs.state.labelled])
        known = int(self.known.count)
        numbers = {"cases": known, "threshold": threshold(self.known.mean)}
        counts = {"optimizer_steps": 0, "labelled_episodes": known - before}
        return Learned(observation, {key: float(value) for key, value in (numbers | counts).items()})

    def looks(self, envs: MeccaVectorEnv, progress: float) -> Iterable[dict[str, Any]]:
        """The options of each reset that shows what is due at this progress and was not looked at yet."""
        if envs.cases.endless:
            return [{}]
        updates, listed = self.preset.updates, envs.cases.pool(labelled=True)
        due = -(-len(listed) * (round(progress * updates) + 1) // updates)
        left: list[int] = listed[int(self.known.count) : due].tolist()
        batches = [left[first : first + envs.num_envs] for first in range(0, len(left), envs.num_envs)]
        missing = [envs.num_envs - len(batch) for batch in batches]
        return [
            {"cases": [*batch, *[None] * rest], "reset_mask": [True] * len(batch) + [False] * rest}
            for batch, rest in zip(batches, missing, strict=True)
        ]

    def logits(self, observation: Observation) -> Tensor:
        """`SURE` in the mask and minus that elsewhere, (B, D, H, W), whatever is observed."""
        mean = self.known.mean
        return torch.where(mean > threshold(mean), SURE, -SURE).expand_as(observation["probability"])


class MeanLabel(nn.Module):
    """A running mean of labels.

    Args:
        shape: Grid, (D, H, W).

    Attributes:
        mean: Share of the labels that hold each voxel, (D, H, W) float32.
        count: Number of labels, int64.
    """

    mean: Tensor
    count: Tensor

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape, dtype=torch.float32))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def add(self, labels: Tensor) -> None:
        """Take labels into the mean, (N, D, H, W) bool."""
        if len(labels):
            self.count += len(labels)
            self.mean.lerp_(labels.float().mean(0), len(labels) / int(self.count))


def threshold(mean: Tensor) -> float:
    """Above which the mean of labels makes the mask with the best Dice with all of them together: half this Dice.

    Args:
        mean: Share of the labels that hold each voxel, of any shape, in [0, 1].

    Returns:
        In [0, 0.5]; 0 where the mean is 0 everywhere.
    """
    highest = mean.double().flatten().sort(descending=True).values
    sizes = torch.arange(1, len(highest) + 1, device=mean.device)
    return float((highest.cumsum(0) / (sizes + highest.sum())).max())
