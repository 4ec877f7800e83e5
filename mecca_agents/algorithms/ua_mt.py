"""UA-MT (Yu et al., 2019): uncertainty-aware mean teacher, semi-supervised and without hints.

A student learns from labelled cases by cross-entropy and, on unlabelled cases, to agree with a teacher, the moving
average of its own weights, wherever the teacher is certain:

    m = mean of K predictions of the teacher, each with other noise on the scan and other features dropped
    u = -m ln m - (1 - m) ln(1 - m)
    loss = cross-entropy(student, label)                        labelled cases
         + w(t) mean over {u < H(t)} of (student - teacher)^2   unlabelled cases
    teacher <- a teacher + (1 - a) student

w rises to its final value over the training like exp(-5 (1 - t)^2) and H from 3/4 ln 2 to ln 2 likewise. Where all
cases are labelled there is nothing to agree on, and this is a P-Net trained with dropout. The original's network is a
V-Net with dropout; here it is P-Net, as for every method, with dropout before its classifier.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor

from mecca_agents.agent import Observation, TaskSpec, only_labelled
from mecca_agents.learning.mask_predictor import VolumePredictor
from mecca_agents.learning.network_agent import in_mode
from mecca_agents.learning.rollout import stack_volume
from mecca_agents.presets import Preset
from mecca_agents.runtime.distributed import total
from mecca_env.vector_env import MeccaVectorEnv

DECAY = 0.99
"""Of the teacher's moving average, once it is long enough."""

CONSISTENCY_WEIGHT = 0.1
"""Final weight of the agreement with the teacher."""

PASSES = 8
"""Predictions of the teacher that the uncertainty is measured on."""

NOISE, MOST_NOISE = 0.1, 0.2
"""Standard deviation of the noise on the z-scored scan, and what it is clipped to."""

CERTAIN = (0.75, 1.0)
"""Entropy, as a share of ln 2, below which the teacher is believed, at the start and at the end."""

DROPOUT = 0.5


class MeanTeacher(VolumePredictor):
    """The method; an `Agent`. The constants of this module are those of the original (Yu et al., 2019).

    Args:
        preset: Its settings.
        task: What it plays; continuous actions.
        device: Where its networks live.
        seed: Fixes its initial weights, its noise and what is dropped.
    """

    name = "ua-mt"
    plays_unlabelled: ClassVar[bool] = True
    footnote = "Its network is P-Net with dropout, the original's a V-Net; its teacher is for unlabelled cases."

    def __init__(self, preset: Preset, task: TaskSpec, *, device: torch.device, seed: int) -> None:
        super().__init__(preset, task, device=device, seed=seed)
        self.add_cnn("student", task.modalities, {"mask": 1}, dropout=DROPOUT)
        self.add_cnn("teacher", task.modalities, {"mask": 1}, dropout=DROPOUT, optimized=False)
        self.networks["teacher"].register_buffer("averaged", torch.zeros((), dtype=torch.int64, device=device))
        self.networks.eval()

    @classmethod
    def env_settings(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Continuous actions; labelled and unlabelled cases side by side, where there are both."""
        share = {"labelled_share": preset.labelled_share} if only_labelled(settings) else {}
        return {"action": "continuous", **share}

    def logits(self, observation: Observation) -> Tensor:
        """Of foreground, by the student from the scan alone, (B, D, H, W)."""
        with self._training() if torch.is_grad_enabled() else torch.no_grad():
            return self._logits("student", stack_volume(observation))

    def loss(self, logits: Tensor, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Tensor:
        """Cross-entropy on labelled cases and agreement with the teacher on the others, a scalar."""
        labelled = envs.state.labelled
        loss = super().loss(logits, envs, observation, progress)
        count = total((~labelled).sum())
        if not bool(count):
            return loss
        rise = math.exp(-5.0 * (1.0 - progress) ** 2)
        volume = stack_volume(observation)[~labelled]
        with self._training(), torch.no_grad():
            teacher = self._logits("teacher", self._noisy(volume)).sigmoid()
            mean = torch.stack([self._logits("teacher", self._noisy(volume)).sigmoid() for _ in range(PASSES)]).mean(0)
        believed = uncertainty(mean) < (CERTAIN[0] + (CERTAIN[1] - CERTAIN[0]) * rise) * math.log(2.0)
        apart = ((logits[~labelled].sigmoid() - teacher).square() * believed).sum()
        return loss + CONSISTENCY_WEIGHT * rise * apart / total(believed.sum()).clamp_min(1)

    @torch.no_grad()
    def after_descent(self) -> None:
        """Move the teacher towards the student."""
        teacher, student = self.networks["teacher"], self.networks["student"]
        averaged = teacher.get_buffer("averaged").add_(1)
        decay = min(1.0 - 1.0 / float(averaged), DECAY)
        for mine, theirs in zip(teacher.parameters(), student.parameters(), strict=True):
            mine.lerp_(theirs, 1.0 - decay)

    def _logits(self, name: str, volume: Tensor) -> Tensor:
        return self.outputs(name, volume)["mask"].squeeze(1)

    def _noisy(self, volume: Tensor) -> Tensor:
        noise = torch.randn(volume.shape, generator=self.generator, dtype=volume.dtype, device=volume.device)
        return volume + (NOISE * noise).clamp_(-MOST_NOISE, MOST_NOISE)

    @contextmanager
    def _training(self) -> Iterator[None]:
        """A context in which features are dropped, by draws that follow from the method's own generator."""
        seed = int(torch.randint(2**62, (), generator=self.generator, device=self.device))
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            with in_mode(self.networks, True):
                yield


def uncertainty(probability: Tensor) -> Tensor:
    """Entropy of foreground against background in nats, of the same shape as `probability` in [0, 1]."""
    return -(torch.xlogy(probability, probability) + torch.xlogy(1.0 - probability, 1.0 - probability))
