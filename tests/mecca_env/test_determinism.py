"""The same seed in another process, with another number of threads, gives the same bits."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow  # other interpreters

PROGRAM = """
import hashlib, sys
import gymnasium, numpy, torch
import mecca_env

threads, shape = int(sys.argv[1]), (32, 36, 24)  # large enough to be worth several threads
torch.set_num_threads(threads)
assert torch.get_num_threads() == threads
settings = {"shape": shape, "horizon": 2, "clicks": (9, 4), "user": "imprecise", "guide": True, "supervoxels": (20, 15)}
envs = gymnasium.make_vec("MECCA-Phantom-v0", num_envs=2, cases=3, **settings)
digest = hashlib.sha256()

def add(part):
    for value in part.values() if isinstance(part, dict) else [part]:
        add(value) if isinstance(value, dict) else digest.update(value.numpy().tobytes())

observation, info = envs.reset(seed=21)
add(observation), add(info)
rng = numpy.random.default_rng(0)
for _ in range(4):
    confidence = rng.random((2, *shape), dtype=numpy.float32)
    action = {"adjustment": rng.integers(6, size=(2, *shape)), "confidence": confidence}
    for part in envs.step(action):
        add(part)
print(digest.hexdigest())
"""


def digest(threads: int, salt: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": salt, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(threads)], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout.strip()


def test_one_seed_one_episode() -> None:
    first = digest(threads=1, salt="0")
    assert len(first) == 64
    assert digest(threads=1, salt="1") == first
    assert digest(threads=2, salt="0") == first
