"""TorchRL's `GymEnv`, which makes an env by its id and passes keywords of its own, to see whether they are taken."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from tests.support.envs import GRID, SETTINGS, Blobs

pytest.importorskip("torchrl", reason="needs the extra interop")

from torchrl.envs import GymEnv
from torchrl.envs.utils import check_env_specs

KEYWORDS: dict[str, Any] = {"dataset": Blobs(), **SETTINGS}


def make(**keywords: Any) -> GymEnv:
    """A small env."""
    return GymEnv("MECCA-Phantom-v0", categorical_action_encoding=True, **KEYWORDS, **keywords)


@pytest.mark.parametrize("keywords", [{}, {"action": "continuous"}, {"render_mode": "rgb_array"}], ids=str)
def test_it_passes_torchrls_check(keywords: dict[str, Any]) -> None:
    check_env_specs(make(**keywords), seed=0)


@pytest.mark.parametrize("skip", [1, 2])
def test_it_plays_what_gymnasiums_env_plays(skip: int) -> None:
    env, single = make(frame_skip=skip), gym.make("MECCA-Phantom-v0", **KEYWORDS)
    seen, (expected, _) = env.reset(seed=5), single.reset(seed=5)
    rng, over = np.random.default_rng(0), False
    while not over:
        action = rng.integers(6, size=GRID)
        assert all(np.array_equal(seen[key].numpy(), expected[key]) for key in expected)
        seen = env.step(seen.set("action", torch.from_numpy(action)))["next"]
        earned = 0.0
        for _ in range(skip):
            expected, reward, over, _, _ = single.step(action)
            earned += reward
            if over:
                break
        assert float(seen["reward"]) == pytest.approx(earned, abs=1e-6)
        assert bool(seen["terminated"]) is over and not seen["truncated"]


def test_a_keyword_that_nobody_knows_is_named() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'horizen'; the settings are shape, horizon"):
        make(horizen=3)
