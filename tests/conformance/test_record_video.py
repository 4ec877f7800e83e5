"""Gymnasium's video recorders work on both kinds of env."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from tests.support.envs import SETTINGS, Blobs, make_envs, random_actions

pytest.importorskip("moviepy", reason="recording needs the extra video")


def videos(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.mp4"))
    assert all(path.read_bytes()[4:8] == b"ftyp" and path.stat().st_size > 1000 for path in found)
    return found


def test_single(tmp_path: Path) -> None:
    bare = gym.make("MECCA-Phantom-v0", dataset=Blobs(), render_mode="rgb_array", **SETTINGS)
    env = gym.wrappers.RecordVideo(bare, str(tmp_path / "v"), episode_trigger=lambda _: True, disable_logger=True)
    for seed in range(2):
        env.reset(seed=seed)
        over = False
        while not over:
            _, _, over, _, _ = env.step(env.action_space.sample())
    env.close()
    assert len(videos(tmp_path / "v")) == 2


@pytest.mark.filterwarnings("ignore:.*autoreset mode is same-step")
def test_vector(tmp_path: Path) -> None:
    bare = make_envs(3, render_mode="rgb_array")
    frames = None
    folder = str(tmp_path / "v")
    envs = gym.wrappers.vector.RecordVideo(bare, folder, video_length=4, step_trigger=lambda step: step == 0)
    envs.reset(seed=0)
    for action in random_actions(bare, 5):
        envs.step(action)
        frames = bare.render()
    envs.close()
    assert len(videos(tmp_path / "v")) == 1
    assert frames is not None and len(frames) == 3
    assert all(frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3 for frame in frames)
