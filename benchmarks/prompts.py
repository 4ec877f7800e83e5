"""Time the step of every simulated user, beside the learner's update: who looks for errors works on the host.

    python -m benchmarks.prompts

Contenders take turns in one process, on one thread. Time nothing while something else runs.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import defaultdict
from typing import Any

import torch

from benchmarks.timing import median
from mecca_agents import PRESETS
from mecca_agents.agent import make_agent
from mecca_agents.runs.loading import make_task
from mecca_agents.tables import columns
from mecca_env.data.phantom import PhantomSource
from mecca_env.vector_env import MeccaVectorEnv

USERS: tuple[Any, ...] = ("none", "edge", "imprecise", "region-centre", "largest-error", "random-error", "scribble")
GRIDS = ((28, 24, 24), (64, 64, 64))
NUM_ENVS, CASES = 8, 8


def steps(shape: tuple[int, int, int], repeats: int) -> dict[str, float]:
    """Milliseconds of a step with one click in each of B episodes, by user; the mask is a threshold of the scan."""
    settings = {"shape": shape, "signed": True, "clicks": (1,) * 5, "cases": CASES}
    source = PhantomSource()
    envs = {user: MeccaVectorEnv(NUM_ENVS, source, user=user, **settings) for user in USERS}
    times, order = defaultdict(list), random.Random(0)
    seen = {user: one.reset(seed=0)[0] for user, one in envs.items()}
    for number in range(repeats):
        for user in order.sample(USERS, len(USERS)):
            noise = torch.rand(seen[user]["volume"].shape, generator=torch.Generator().manual_seed(number))
            action = torch.where(seen[user]["volume"] + noise > 1.0, 4, 1).to(torch.uint8)
            start = time.perf_counter()
            seen[user], *_ = envs[user].step(action)
            if (number + 1) % 5:  # a reset is in every fifth
                times[user].append(1000 * (time.perf_counter() - start))
    return {user: median(values) for user, values in times.items()}


def update(repeats: int = 3) -> float:
    """Milliseconds of an update of IteR-MRL with the preset `brief`."""
    preset = PRESETS["brief"]
    envs = MeccaVectorEnv(preset.num_envs, PhantomSource(), shape=preset.shape, cases=CASES)
    task = make_task(envs.config, 1)
    agent = make_agent("iter-mrl", preset, task, device=torch.device("cpu"), seed=0)
    observation, _ = envs.reset(seed=0)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        observation, _ = agent.learn(envs, observation, 0.0)
        times.append(1000 * (time.perf_counter() - start))
    return median(times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=60)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = [steps(shape, options.repeats) for shape in GRIDS]
    head = ["user", *(f"{'x'.join(map(str, shape))}, ms a step" for shape in GRIDS)]
    print(columns(head, [[user, *(f"{times[user]:.2f}" for times in found)] for user in USERS], gap="  "))
    print(f"\nan update of iter-mrl, preset brief, {GRIDS[0]}, five steps: {update():.0f} ms")


if __name__ == "__main__":
    main()
