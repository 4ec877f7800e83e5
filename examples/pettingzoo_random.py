"""Voxels as PettingZoo agents: at random, and each by a rule from what it sees: `pip install -e ".[interop]"`.

    python examples/pettingzoo_random.py

Takes five seconds of one CPU core. By the rule, nothing learned, the Dice is 0.77; at random it is 0.17.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from mecca_env.adapters.pettingzoo import MeccaParallelEnv

RAISE, LOWER = 5, 0  # +0.4 and -0.4


def look_around(observation: NDArray[np.float32]) -> int:
    """The action of a voxel that sees images, probability and hint of its 27 nearest, (3, 3, 3, 3) float32."""
    return RAISE if observation[0].mean() > 0.5 else LOWER


def play(env: MeccaParallelEnv, seed: int, by_sight: bool) -> tuple[float, float]:
    """One episode. Returns the mean return of the agents and the Dice at the end."""
    observations, infos = env.reset(seed=seed)
    for number, agent in enumerate(env.agents):
        env.action_space(agent).seed(seed + number)
    earned = 0.0
    while env.agents:
        actions = {
            agent: look_around(observations[agent]) if by_sight else env.action_space(agent).sample()
            for agent in env.agents
        }
        observations, rewards, _, _, infos = env.step(actions)
        earned += sum(rewards.values()) / len(rewards)
    return earned, next(iter(infos.values()))["dice"]


def main(episodes: int, shape: tuple[int, int, int]) -> tuple[float, float]:
    """Play by sight and at random. Returns the mean Dice of both."""
    env = MeccaParallelEnv("MECCA-Phantom-v0", shape=shape)
    scores = []
    for name, by_sight in (("looks around", True), ("random", False)):
        earned, dice = zip(*(play(env, seed, by_sight) for seed in range(episodes)), strict=True)
        scores.append(float(np.mean(dice)))
        print(f"{name}: {len(env.possible_agents)} agents earn {np.mean(earned):.3f} each, Dice {scores[-1]:.3f}")
    env.close()
    return scores[0], scores[1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--shape", type=int, nargs=3, default=(12, 12, 10))
    given = parser.parse_args()
    main(given.episodes, tuple(given.shape))
