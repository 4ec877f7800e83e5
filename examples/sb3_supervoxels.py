"""Stable-Baselines3's own A2C and PPO, one decision for each supervoxel, no custom code: `pip install -e ".[sb3]"`.

    python examples/sb3_supervoxels.py
    python examples/sb3_supervoxels.py --algorithm PPO --steps 20000
    python examples/sb3_supervoxels.py --steps 400    # a look, in seconds

The full mode takes 20 (A2C) and 35 (PPO) seconds of one CPU core, more by the clock where others share it, and reaches
a Dice of 0.69 on phantoms it has not seen, with either; random actions reach 0.16. A constant mask reaches 0.82
(floors.py): so few supervoxels cannot express more than 0.73 of these phantoms, whatever is learned about them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import gymnasium as gym
import tyro
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.vec_env import VecMonitor

import mecca_env  # noqa: F401  # registers the ids
from mecca_env.adapters.sb3 import VoxelVecEnv, final_dice
from mecca_env.wrappers import SupervoxelActionVectorWrapper


@dataclass(frozen=True)
class Options:
    """Train on phantoms, test on others.

    Attributes:
        algorithm: A2C or PPO.
        steps: Steps of all envs together.
        seed: Of everything.
    """

    algorithm: Literal["A2C", "PPO"] = "A2C"
    steps: int = 10_000
    seed: int = 0


def make_envs(split: str, num_envs: int) -> VecMonitor:
    """Phantoms of 24 x 24 x 16 voxels with about 60 supervoxels, the same in all steps of an episode."""
    settings = {"shape": (24, 24, 16), "supervoxels": (60,) * 5, "split": split, "cases": 64}
    envs = gym.make_vec("MECCA-Phantom-v0", num_envs=num_envs, **settings)
    return VecMonitor(VoxelVecEnv(SupervoxelActionVectorWrapper(envs)))


def main(options: Options) -> tuple[float, float]:
    """Train, then test. Returns the Dice on unseen phantoms of what was learned and of random actions."""
    envs, test = make_envs("train", 16), make_envs("test", 32)
    # What an action gains is known at once: a discount of 0 keeps other steps' luck out of its credit.
    common = {"gamma": 0.0, "seed": options.seed, "device": "cpu"}
    if options.algorithm == "A2C":
        adam = {"learning_rate": 1e-3, "use_rms_prop": False, "normalize_advantage": True}
        model = A2C("MultiInputPolicy", envs, **adam, **common)
    else:
        model = PPO("MultiInputPolicy", envs, n_steps=40, batch_size=128, n_epochs=5, **common)
    model.learn(options.steps)
    return final_dice(test, model), final_dice(test)


if __name__ == "__main__":
    learned, random = main(tyro.cli(Options))
    print(f"Dice on unseen cases: {learned:.3f}; of random actions: {random:.3f}")
