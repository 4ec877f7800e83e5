"""Stable-Baselines3's own SAC with continuous actions: what is added to the probability of each supervoxel.

    python examples/sb3_continuous.py
    python examples/sb3_continuous.py --steps 300 --learning-starts 100    # a look, in seconds

The full mode takes half a minute of one CPU core, more by the clock where others share it, and reaches a Dice of 0.67
on phantoms it has not seen; random actions reach 0.16. A constant mask reaches 0.82 (floors.py): so few supervoxels
cannot express more than 0.73 of these phantoms, whatever is learned about them.
"""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium as gym
import tyro
from stable_baselines3 import SAC
from stable_baselines3.common.vec_env import VecMonitor

import mecca_env  # noqa: F401  # registers the ids
from mecca_env.adapters.sb3 import VoxelVecEnv, final_dice
from mecca_env.wrappers import SupervoxelActionVectorWrapper


@dataclass(frozen=True)
class Options:
    """Train on phantoms, test on others.

    Attributes:
        steps: Steps of all envs together.
        learning_starts: Steps of random actions before them.
        gradient_steps: Optimiser steps after every step of all envs.
        seed: Of everything.
    """

    steps: int = 10_000
    learning_starts: int = 1000
    gradient_steps: int = 2
    seed: int = 0


def make_envs(split: str, num_envs: int) -> VecMonitor:
    """Phantoms of 24 x 24 x 16 voxels with about 60 supervoxels, the same in all steps of an episode."""
    settings = {"shape": (24, 24, 16), "supervoxels": (60,) * 5, "split": split, "cases": 64, "action": "continuous"}
    envs = gym.make_vec("MECCA-Phantom-v0", num_envs=num_envs, **settings)
    return VecMonitor(VoxelVecEnv(SupervoxelActionVectorWrapper(envs)))


def main(options: Options) -> tuple[float, float]:
    """Train, then test. Returns the Dice on unseen phantoms of what was learned and of random actions."""
    test = make_envs("test", 32)
    model = SAC(
        "MultiInputPolicy",
        make_envs("train", 16),
        gamma=0.0,  # what an action gains is known at once
        learning_rate=1e-3,
        learning_starts=options.learning_starts,
        gradient_steps=options.gradient_steps,
        buffer_size=options.steps,
        batch_size=128,
        seed=options.seed,
        device="cpu",
    )
    model.learn(options.steps)
    return final_dice(test, model), final_dice(test)


if __name__ == "__main__":
    learned, random = main(tyro.cli(Options))
    print(f"Dice on unseen cases: {learned:.3f}; of random actions: {random:.3f}")
