"""InterCNN (Bredell et al., 2018): a CNN that sees its previous mask and all clicks, trained over the sequence.

One update plays one episode in every env:

    for t in 1..T:
        q = P-Net(volume, probability, hint of all clicks so far)
        one optimiser step on the cross-entropy of q and the label
        probability <- q, and the user clicks again

The mask of one step is the input of the next; no gradient flows through it. The original makes ten interactions; here,
as for every method, there are as many as the episode has steps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mecca_agents.agent import Observation, TaskSpec
from mecca_agents.learning.mask_predictor import MaskPredictor
from mecca_agents.learning.rollout import stack_observation
from mecca_agents.presets import Preset


class InterCNN(MaskPredictor):
    """The method; an `Agent`.

    Args:
        preset: Its settings.
        task: What it plays; continuous actions.
        device: Where its network lives.
        seed: Fixes its initial weights.
    """

    name = "intercnn"
    footnote = "The original makes ten interactions; here there are as many as the episode has steps."

    def __init__(self, preset: Preset, task: TaskSpec, *, device: torch.device, seed: int) -> None:
        super().__init__(preset, task, device=device, seed=seed)
        self.add_cnn("segmentation", task.channels, {"mask": 1}, pulled=("mask",))

    def logits(self, observation: Observation) -> Tensor:
        """Of foreground, from scan, previous probability and hint, (B, D, H, W)."""
        return self.outputs("segmentation", stack_observation(observation))["mask"].squeeze(1)
