"""Wrappers of torch vector envs, and one of the single env.

All but `NumpyConversion` stay in torch, on the env's device, in every autoreset mode.

from mecca_env.wrappers import EpisodeStatistics, FlattenAction, FlattenObservation

envs = EpisodeStatistics(FlattenAction(FlattenObservation(gym.make_vec("MECCA-Phantom-v0", num_envs=8))))
"""

from mecca_env.wrappers.flattening import FlattenAction, FlattenObservation
from mecca_env.wrappers.numpy_conversion import NumpyConversion
from mecca_env.wrappers.stacking import StackObservation
from mecca_env.wrappers.statistics import EpisodeStatistics
from mecca_env.wrappers.supervoxel_actions import SupervoxelActionVectorWrapper, SupervoxelActionWrapper

__all__ = [
    "EpisodeStatistics",
    "FlattenAction",
    "FlattenObservation",
    "NumpyConversion",
    "StackObservation",
    "SupervoxelActionVectorWrapper",
    "SupervoxelActionWrapper",
]
