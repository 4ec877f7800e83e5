"""Drawn crops that miss the label give way to the upright one; nothing else does."""

from __future__ import annotations

import numpy as np
import torch

from mecca_env.data.base import PreparedCase
from mecca_env.data.selection import Cases
from mecca_env.episodes.maker import EpisodeMaker
from mecca_env.episodes.stream import EpisodeStream
from mecca_env.process.config import EnvConfig
from tests.support.volumes import prepared


class Corners:
    """One case whose label is two voxels in opposite corners of its box."""

    name, modalities = "corners", 1

    def __init__(self) -> None:
        label = np.zeros((60, 60, 20), bool)
        label[15, 15, 10] = label[45, 45, 10] = True
        self._case = prepared(label, rotation=45.0)

    def __len__(self) -> int:
        return 1

    def case_name(self, index: int) -> str:
        return "corners"

    def case(self, index: int) -> PreparedCase:
        return self._case


def test_a_turned_crop_that_misses_the_label_gives_way_to_the_upright_one() -> None:
    config = EnvConfig(shape=(16, 16, 12), rotation=45.0)
    maker = EpisodeMaker(Cases(Corners(), "train", range(1)), config, torch.device("cpu"))
    stream = EpisodeStream(0)
    made = [maker.make(stream) for _ in range(60)]
    assert all(episode.label.any() for episode, _ in made)
    upright = [placement for _, placement in made if placement.angle == 0.0]
    assert 0 < len(upright) < len(made)
