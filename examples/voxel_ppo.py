"""PPO with a reward, a value and a ratio for every voxel, behind Stable-Baselines3's interface.

    python examples/voxel_ppo.py --out runs/voxel_ppo

RESULTS
"""

from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import tyro
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.vec_env import VecMonitor

import mecca_env  # noqa: F401  # registers the ids
from mecca_agents.sb3 import VoxelPPO
from mecca_env.adapters.sb3 import VoxelVecEnv, final_dice


@dataclass(frozen=True)
class Options:
    """Train on phantoms, test on others.

    Attributes:
        steps: Steps of all envs together.
        out: Folder for the model that did best in a test on the way, and for the last.
        seed: Of everything.
    """

    steps: int = 1600
    out: Path = Path("runs/voxel_ppo")
    seed: int = 0


def make_envs(split: str, num_envs: int) -> VecMonitor:
    """Phantoms of 16 x 16 x 12 voxels; observations stay tensors on the env's device."""
    envs = gym.make_vec("MECCA-Phantom-v0", num_envs=num_envs, shape=(16, 16, 12), split=split, cases=64)
    return VecMonitor(VoxelVecEnv(envs, numpy=False))


def main(options: Options) -> tuple[float, float]:
    """Dice on phantoms that were not trained on: of random actions and of what was learned."""
    test = make_envs("test", 32)
    policy = {"channels": 8, "dilations": (1, 2)}
    model = VoxelPPO("VoxelPolicy", make_envs("train", 4), 2e-3, batch_size=4, policy_kwargs=policy, seed=options.seed)
    # A callback counts the steps of each env, of which there are four.
    watch = EvalCallback(test, n_eval_episodes=32, eval_freq=100, best_model_save_path=str(options.out))
    model.learn(options.steps, callback=watch)
    model.save(options.out / "last")
    model = VoxelPPO.load(options.out / "last")
    before, after = final_dice(test), final_dice(test, model)
    print(f"VoxelPPO, {options.steps} steps: Dice {before:.3f} at random, {after:.3f} learned")
    return before, after


if __name__ == "__main__":
    main(tyro.cli(Options))
