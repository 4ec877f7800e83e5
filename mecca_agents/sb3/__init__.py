"""Policy and algorithms for Stable-Baselines3, `pip install -e ".[sb3]"`; the envs' side is `mecca_env.adapters.sb3`.

`VoxelActorCriticPolicy` is a policy for stock `A2C` at full voxel resolution; `VoxelPPO` and `VoxelA2C` have
Stable-Baselines3's interface and a reward for every voxel.
"""

from __future__ import annotations

from mecca_env.extras import missing

try:
    import stable_baselines3  # noqa: F401
except ImportError as error:
    raise ImportError(missing("mecca_agents.sb3", "Stable-Baselines3", "sb3")) from error

from mecca_agents.sb3.a2c import VoxelA2C
from mecca_agents.sb3.policy import VoxelActorCriticPolicy
from mecca_agents.sb3.ppo import VoxelPPO

__all__ = ["VoxelA2C", "VoxelActorCriticPolicy", "VoxelPPO"]
