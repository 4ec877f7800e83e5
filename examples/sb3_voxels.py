"""Stable-Baselines3's own A2C with an action for every voxel: the policy is P-Net with one distribution for all voxels.

    python examples/sb3_voxels.py

RESULTS
"""

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

    steps: int = 20_000
    seed: int = 0


def make_envs(split: str, num_envs: int) -> VecMonitor:
    """Phantoms of 16 x 16 x 12 voxels."""
    envs = gym.make_vec("MECCA-Phantom-v0", num_envs=num_envs, shape=(16, 16, 12), split=split, cases=64)
    return VecMonitor(VoxelVecEnv(envs))


def main(options: Options) -> tuple[float, float]:
    """Dice on phantoms that were not trained on: of random actions and of what was learned."""
    test = make_envs("test", 32)
    model = A2C(
        VoxelActorCriticPolicy,
        make_envs("train", 16),
        learning_rate=lambda left: 1e-3 * left,
        gamma=0.0,  # what an action gains is known at once
        use_rms_prop=False,
        normalize_advantage=True,
        policy_kwargs={"channels": 8, "dilations": (1, 2)},
        seed=options.seed,
        device="cpu",
    )
    model.learn(options.steps)
    before, after = final_dice(test), final_dice(test, model)
    print(f"A2C on voxels, {options.steps} steps: Dice {before:.3f} at random, {after:.3f} learned")
    return before, after


if __name__ == "__main__":
    main(tyro.cli(Options))
