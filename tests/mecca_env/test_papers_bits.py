"""With default settings an episode has the bits that it has had before prompts had signs, boxes and protocols."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from torch import Tensor

from tests.support.envs import full_actions, make_envs

EPISODES, NUM_ENVS = 100, 4
OBSERVED = ("volume", "probability", "hint")
TOLD = ("case_index", "labelled", "step", "dice", "clicks", "n_clicks", "voxel_reward", "misunderstanding")
HINTS = ("gaussian", "euclidean", "geodesic", "supervoxel")

BEFORE: dict[str, tuple[str, ...]] = {
    "edge": ("b8278ff4d8d0e710", "7423893fff883d8c", "67e9bb9c33256f18", "555901a320472a4c"),
    "guided": ("fab48f978f23c650", "79408242d7be73bb", "065b7059a54804cb", "c1219d4099587503"),
    "imprecise": ("10145813995c6361", "9017994624a648dc", "309974928ec5997d", "70735e6961e9342f"),
    "region-centre": ("2157944cfa8e71d5", "e2b93e99a0f4d4a2", "53cae912f1c48331", "5703683629cdbc3e"),
    "none": ("e820147b0d6b6fc0", "e820147b0d6b6fc0", "e820147b0d6b6fc0", "e820147b0d6b6fc0"),
}
"""For each user, of each of the hints: the first digits of the SHA-256 of a hundred episodes."""


def digest(**settings: Any) -> str:
    """Of a hundred episodes of the training split, crops, flips and rotations drawn."""
    found = hashlib.sha256()

    def take(tensor: Tensor) -> None:
        found.update(tensor.contiguous().numpy().tobytes())

    guide = settings["user"] == "guided"
    envs = make_envs(NUM_ENVS, augment=True, supervoxels=(12, 10, 8), guide=guide, **settings)
    observation, info = envs.reset(seed=7)
    for action in full_actions(envs, EPISODES // NUM_ENVS * envs.config.horizon):
        observation, reward, terminated, _, info = envs.step(action)
        for tensor in (*(observation[key] for key in OBSERVED), reward, terminated, *(info[key] for key in TOLD)):
            take(tensor)
    return found.hexdigest()[:16]


@pytest.mark.parametrize("hint", HINTS)
@pytest.mark.parametrize("user", BEFORE)
def test_the_bits_of_before(user: str, hint: str) -> None:
    assert digest(user=user, hint=hint) == BEFORE[user][HINTS.index(hint)]
