"""Gymnasium's own checker, with warnings as errors, on every id."""

from __future__ import annotations

import math
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import mecca_env
from mecca_env.process.protocols import PROTOCOLS

VARIANTS: dict[str, dict[str, Any]] = {
    "guide": {"guide": True, "supervoxels": (12, 10, 8)},
    "continuous": {"action": "continuous"},
    "continuous guide": {"action": "continuous", "guide": True, "supervoxels": (12, 10, 8)},
    "region-centre": {"user": "region-centre", "hint": "geodesic"},
    "imprecise": {"user": "imprecise", "hint": "euclidean"},
    "supervoxel": {"hint": "supervoxel", "supervoxels": (12, 10, 8)},
    "boundary": {"reward": "boundary"},
    "unlabelled": {"labelled_fraction": 0.0, "target_dice": 0.5},
    "augmented": {"augment": True},
    "signed with the time": {"signed": True, "time": True, "user": {"largest-error": 1, "scribble": 1}},
    **{protocol: {"protocol": protocol} for protocol in PROTOCOLS},
    "masks": {"protocol": "mixed", "start": "mask", "augment": True},
}


class Window:
    """Stands in for a window on a screen, which a test machine need not have."""

    def __init__(self, **_: Any) -> None:
        self.frames: list[np.ndarray] = []
        shown.append(self)

    def show(self, frame: np.ndarray) -> None:
        self.frames.append(frame)

    def close(self) -> None:
        self.frames.clear()


shown: list[Window] = []


@pytest.fixture(autouse=True)
def screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mecca_env.vector_env.Window", Window)
    shown.clear()


def leave_out_what_is_unknown(env: Any) -> None:
    """Take what is NaN of unlabelled episodes out of `info`: for the checker no NaN is equal to another."""
    reset, step = env.reset, env.step

    def told(info: dict[str, Any]) -> dict[str, Any]:
        unknown = {key for key, value in info.items() if isinstance(value, float) and math.isnan(value)}
        assert unknown == (set() if info["labelled"] else {"dice", "misunderstanding", "misunderstanding_literal"})
        return {key: value for key, value in info.items() if key not in unknown}

    def told_reset(*, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        observation, info = reset(seed=seed, options=options)
        return observation, told(info)

    def told_step(action: Any) -> Any:
        *seen, info = step(action)
        return *seen, told(info)

    env.reset, env.step = told_reset, told_step


def check(env_id: str, **keywords: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make(env_id, **keywords).unwrapped
        if "labelled_fraction" in keywords:
            leave_out_what_is_unknown(env)
        check_env(env)


def test_every_registered_id_is_tested(listed_ids: set[str]) -> None:
    registered = {env_id for env_id in gym.registry if env_id.startswith("MECCA-")}
    assert registered == set(mecca_env.ENV_IDS) == listed_ids


def test_every_id(env_id: str, keywords: Any) -> None:
    check(env_id, **keywords(env_id))
    assert shown  # the checker has seen the human render mode too


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_kind_of_env(variant: str, keywords: Any) -> None:
    check("MECCA-Volumes-v0", **keywords("MECCA-Volumes-v0"), **VARIANTS[variant])


def test_several_modalities(keywords: Any) -> None:
    check("MECCA-BraTS-v0", **keywords("MECCA-BraTS-v0"), modalities=("flair", "t1ce"))


def test_the_published_size() -> None:
    check("MECCA-Phantom-v0")


@pytest.mark.parametrize("mode", ["rgb_array", "human"])
def test_every_render_mode(mode: str, keywords: Any) -> None:
    check("MECCA-Volumes-v0", **keywords("MECCA-Volumes-v0"), render_mode=mode)


def test_the_window_shows_every_state() -> None:
    env = gym.make("MECCA-Phantom-v0", shape=(16, 14, 12), horizon=2, render_mode="human")
    env.reset(seed=0)
    for _ in range(2):
        env.step(env.action_space.sample())
    (window,) = shown
    assert len(window.frames) == 3 and all(frame.dtype == np.uint8 for frame in window.frames)
    env.close()
    assert not window.frames
