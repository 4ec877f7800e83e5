"""Stable-Baselines3's own A2C with an action for every voxel: the policy is P-Net with one distribution for all voxels.

    python examples/sb3_voxels.py
    python examples/sb3_voxels.py --steps 400    # a look, in seconds

The full mode takes half a minute of one CPU core, more by the clock where others share it, and reaches a Dice of 0.81
on phantoms it has not seen; random actions reach 0.17, a constant mask 0.82 (floors.py), so that it has learned nothing
that a constant does not know. The one reward of a volume says little about any voxel: progress is uneven, and with Adam
and learning rates of 4e-3 or more it ended at all background.
"""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium as gym
import tyro
from stable_baselines3 import A2C
from stable_baselines3.common.vec_env import VecMonitor

import mecca_env  # noqa: F401  # registers the ids
from mecca_agents.sb3 import VoxelActorCriticPolicy
from mecca_env.adapters.sb3 import VoxelVecEnv, final_dice


@dataclass(frozen=True)
class Options:
    """Train on phantoms, test on others.

    Attributes:
        steps: Steps of all envs together.
        seed: Of everything.
    """

    steps: int = 12_000
    seed: int = 0


def make_envs(split: str, num_envs: int) -> VecMonitor:
    """Phantoms of 12 x 12 x 10 voxels."""
    envs = gym.make_vec("MECCA-Phantom-v0", num_envs=num_envs, shape=(12, 12, 10), split=split, cases=64)
    return VecMonitor(VoxelVecEnv(envs))


def main(options: Options) -> tuple[float, float]:
    """Train, then test. Returns the Dice on unseen phantoms of what was learned and of random actions."""
    test = make_envs("test", 32)
    model = A2C(
        VoxelActorCriticPolicy,
        make_envs("train", 16),
        gamma=0.0,  # what an action gains is known at once
        normalize_advantage=True,
        policy_kwargs={"channels": 8, "dilations": (1, 2)},
        seed=options.seed,
        device="cpu",
    )
    model.learn(options.steps)
    return final_dice(test, model), final_dice(test)


if __name__ == "__main__":
    learned, random = main(tyro.cli(Options))
    print(f"Dice on unseen cases: {learned:.3f}; of random actions: {random:.3f}")
