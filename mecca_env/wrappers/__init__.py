"""Wrappers of torch vector envs, and one of the single env.

All but `NumpyConversion`, around which Gymnasium's own go, stay in torch, on the env's device; all work in every
autoreset mode.

from gymnasium.wrappers.vector import RecordEpisodeStatistics
from mecca_env.wrappers import FlattenAction, NumpyConversion

envs = RecordEpisodeStatistics(NumpyConversion(FlattenAction(gym.make_vec("MECCA-Phantom-v0", num_envs=8))))
"""

from mecca_env.wrappers.flattening import FlattenAction
from mecca_env.wrappers.numpy_conversion import NumpyConversion
from mecca_env.wrappers.supervoxel_actions import SupervoxelActionVectorWrapper, SupervoxelActionWrapper

__all__ = ["FlattenAction", "NumpyConversion", "SupervoxelActionVectorWrapper", "SupervoxelActionWrapper"]
