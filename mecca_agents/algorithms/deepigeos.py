"""DeepIGeoS (Wang et al., 2019): P-Net proposes, R-Net refines the last segmentation from all clicks so far.

R-Net "simply combines current and previous hint information to refine the previous segmentation" (Shen et al., 2023,
Sec. 4.3): it sees the scan, the probability of the step before, at the first step P-Net's proposal, and the clicks as a
map of geodesic distances (`hint="geodesic"`). As in the original, P-Net is trained first and R-Net then, along the
episode and with P-Net as it is. Half of the updates go to each, so that the method makes as many passes over volumes as
every other; R-Net starts from P-Net's weights for what both see. The original tells clicks on missed from clicks on
falsely marked regions; here, as for every method, the user clicks edges, which are neither, and there is one map. Its
CRF is left out: all methods are compared on their networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mecca_agents.agent import Learned, Observation, TaskSpec
from mecca_agents.learning.mask_predictor import MaskPredictor, VolumePredictor
from mecca_agents.learning.rollout import stack_observation, stack_volume
from mecca_agents.networks.evidence import Informed
from mecca_agents.presets import Preset
from mecca_env.vector_env import MeccaVectorEnv

PROPOSING = 0.5
"""Share of the training that goes to P-Net; the rest goes to R-Net."""


class DeepIGeoS(VolumePredictor):
    """The method; an `Agent`.

    Args:
        preset: Its settings.
        task: What it plays; continuous actions.
        device: Where its networks live.
        seed: Fixes its initial weights.
    """

    name = "deepigeos"
    sees_hints = True
    footnote = (
        "One map of edge clicks stands for the original's two, of missed and of falsely marked regions; "
        "its CRF is left out."
    )

    def __init__(self, preset: Preset, task: TaskSpec, *, device: torch.device, seed: int) -> None:
        super().__init__(preset, task, device=device, seed=seed)
        self.add_cnn("proposal", task.modalities, {"mask": 1})
        self.add_cnn("refinement", task.channels, {"mask": 1}, pulled=("mask",))
        self.networks["refinement"].register_buffer("begun", torch.zeros((), dtype=torch.bool, device=device))

    @classmethod
    def env_settings(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Geodesic hints, too."""
        return {**super().env_settings(preset, settings), "hint": "geodesic"}

    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        """P-Net in the first half of the training, R-Net in the second, each with the whole learning-rate schedule."""
        if progress < PROPOSING:
            self.trained = ("proposal",)
            return super().learn(envs, observation, progress / PROPOSING)
        self.trained = ("refinement",)
        if not self.networks["refinement"].begun:
            self.begin_refining()
        return MaskPredictor.learn(self, envs, observation, (progress - PROPOSING) / (1 - PROPOSING))

    def logits(self, observation: Observation) -> Tensor:
        """Of foreground, from scan, previous segmentation and hint, (B, D, H, W); P-Net's until R-Net is trained."""
        volume = stack_volume(observation)
        if not self.networks["refinement"].begun:
            return self.outputs("proposal", volume)["mask"].squeeze(1)
        inputs = stack_observation({**observation, "probability": self.previous(observation).squeeze(1)})
        return self.outputs("refinement", inputs)["mask"].squeeze(1)

    @torch.no_grad()
    def previous(self, observation: Observation) -> Tensor:
        """The segmentation that is to be refined, (B, 1, D, H, W): P-Net's where no voxel has left a half yet."""
        probability = observation["probability"].unsqueeze(1)
        first = (probability == 0.5).flatten(1).all(1)
        if bool(first.any()):
            proposal = self.outputs("proposal", stack_volume(observation)[first])["mask"].sigmoid()
            probability = probability.index_put((first,), proposal)
        return probability

    @torch.no_grad()
    def begin_refining(self) -> None:
        """Let R-Net begin with P-Net's weights, and with none for the channels that only R-Net sees."""
        refinement = self.networks["refinement"]
        own = (refinement.network if isinstance(refinement, Informed) else refinement).state_dict()
        for key, value in self.networks["proposal"].state_dict().items():
            if own[key].shape == value.shape:
                own[key].copy_(value)
            else:  # a layer that sees more of the input, behind what P-Net sees
                own[key].zero_()[:, : value.shape[1]].copy_(value)
        refinement.get_buffer("begun").fill_(True)
