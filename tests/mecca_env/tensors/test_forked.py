"""Forked processes step envs, though torch has shared out work to several threads before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
import torch

from mecca_env.kernels.backend import over_rows
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.envs import make_envs, random_actions

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

PATIENCE = 600.0
"""Seconds after which a process that should take one is taken to hang."""


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Torch's threads have had work."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.rand(1 << 20).mul_(2).sum()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def in_child(work: Callable[[], object]) -> int:
    """Exit code of a forked process that does this, 0 where `work` returned; -9 where it hung and was ended."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -signal.SIGKILL


def play(envs: MeccaVectorEnv) -> list[float]:
    """Two steps."""
    return [float(envs.step(action)[1].sum()) for action in random_actions(envs, 2)]


def make_large() -> MeccaVectorEnv:
    """Grids that torch thinks are worth two threads."""
    return make_envs(2, shape=(48, 44, 40))


@pytest.mark.usefixtures("two_threads")
def test_a_child_makes_and_steps_an_env() -> None:
    envs = make_large()
    envs.reset(seed=0)
    expected = play(envs)

    def work() -> None:
        twin = make_large()
        twin.reset(seed=0)
        assert play(twin) == expected

    assert in_child(work) == 0


@pytest.mark.usefixtures("two_threads")
def test_a_child_goes_on_with_its_parents_env() -> None:
    envs, twin = make_large(), make_large()
    envs.reset(seed=0), twin.reset(seed=0)
    play(envs), play(twin)
    expected = play(envs)

    def work() -> None:
        assert play(twin) == expected

    assert in_child(work) == 0


@pytest.mark.usefixtures("two_threads")
def test_the_threads_of_loops_are_the_childs_own() -> None:
    rows = torch.zeros(4)

    def share_out() -> None:
        over_rows(lambda part: part.fill(1), rows)

    def work() -> None:
        torch.set_num_threads(2)
        share_out()
        assert rows.sum() == 4

    share_out()
    rows.zero_()
    assert in_child(work) == 0


@pytest.mark.usefixtures("two_threads")
def test_the_parent_keeps_its_threads() -> None:
    def work() -> None:
        assert torch.get_num_threads() == 1

    assert in_child(work) == 0
    assert torch.get_num_threads() == 2


PROGRAM = """
import gymnasium as gym, numpy as np, torch
import mecca_env
from mecca_env.wrappers import SupervoxelActionWrapper
from stable_baselines3.common.vec_env import SubprocVecEnv

class Steps(torch.utils.data.IterableDataset):
    def __init__(self, env):
        self.env = env
    def __iter__(self):
        for number in range(2):
            yield self.env.reset(seed=number)[0]["volume"]

def main():
    torch.set_num_threads(2)
    settings = {"shape": (48, 44, 40), "horizon": 2, "clicks": (9, 4), "cases": 2, "supervoxels": (9, 9)}
    env = SupervoxelActionWrapper(gym.make("MECCA-Phantom-v0", **settings))
    expected = env.reset(seed=0)[0]["volume"]
    actions = [env.action_space.sample() for _ in range(2)]
    rewards = [env.step(action)[1] for action in actions]
    wrappers = [SupervoxelActionWrapper]
    several = gym.make_vec(
        "MECCA-Phantom-v0", num_envs=2, vectorization_mode="async", wrappers=wrappers, **settings
    )
    assert np.array_equal(several.reset(seed=0)[0]["volume"][0], expected)
    assert [float(several.step(np.stack([action] * 2))[1][0]) for action in actions] == rewards
    several.close()
    print("Gymnasium")
    make = lambda: SupervoxelActionWrapper(gym.make("MECCA-Phantom-v0", **settings))
    several = SubprocVecEnv([make] * 2, start_method="fork")
    several.seed(0)
    assert np.array_equal(several.reset()["volume"][0], expected)
    assert [float(several.step(np.stack([action] * 2))[1][0]) for action in actions] == np.float32(rewards).tolist()
    several.close()
    print("Stable-Baselines3")
    first, *_ = torch.utils.data.DataLoader(Steps(env), batch_size=None, num_workers=1)
    assert np.array_equal(first, expected)
    print("torch")

main()
"""


@pytest.mark.slow
def test_processes_of_libraries() -> None:
    pytest.importorskip("stable_baselines3")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.stdout.split() == ["Gymnasium", "Stable-Baselines3", "torch"], done.stderr
