"""Episodes that `max_episode_steps` cuts short, as other libraries see them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.support.envs import GRID, SETTINGS, Blobs, make_envs


def test_stable_baselines3() -> None:
    adapter = pytest.importorskip("mecca_env.adapters.sb3")
    action = np.zeros((2, int(np.prod(GRID))), int)
    for limit, ends in ((2, [(False, False), (True, True)]), (3, [(False, False), (False, False), (True, False)])):
        envs = adapter.VoxelVecEnv(make_envs(2, max_episode_steps=limit))
        envs.reset()
        for done, cut in ends:
            _, _, dones, infos = envs.step(action)
            assert dones.tolist() == [done] * 2
            assert [info["TimeLimit.truncated"] for info in infos] == [cut] * 2
            assert [("terminal_observation" in info) for info in infos] == [done] * 2
            assert "terminated" not in infos[0]


def test_torchrl() -> None:
    adapter = pytest.importorskip("mecca_env.adapters.torchrl")
    keywords = {"dataset": Blobs(), **SETTINGS, "max_episode_steps": 2}
    env = adapter.MeccaTorchRLEnv("MECCA-Phantom-v0", 2, **keywords)
    rollout = env.rollout(4, break_when_any_done=False)["next"]
    ends = torch.tensor([False, True, False, True]).expand(2, 4)[..., None]
    assert torch.equal(rollout["truncated"], ends) and torch.equal(rollout["done"], ends)
    assert not rollout["terminated"].any()


def test_pettingzoo() -> None:
    adapter = pytest.importorskip("mecca_env.adapters.pettingzoo")
    settings = {"shape": (8, 8, 8), "horizon": 3, "clicks": (4, 2, 2), "max_episode_steps": 2}
    env = adapter.MeccaParallelEnv("MECCA-Phantom-v0", dataset=Blobs(), **settings)
    env.reset(seed=0)
    for cut in (False, True):
        actions = dict.fromkeys(env.agents, 0)
        _, _, ended, truncated, _ = env.step(actions)
        assert set(truncated.values()) == {cut} and set(ended.values()) == {False}
    assert not env.agents
