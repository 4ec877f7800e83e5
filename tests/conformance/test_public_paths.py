"""Paths that other people's programs import; they stay where they are."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest

import mecca_agents
import mecca_env

PATHS = [
    "mecca_env.env:MeccaEnv",
    "mecca_env.vector_env:MeccaVectorEnv",
    "mecca_env.testing:check_vector_env",
    "mecca_env.wrappers:NumpyConversion",
    "mecca_env.wrappers:SupervoxelActionVectorWrapper",
    "mecca_env.rendering:render_frame",
    "mecca_env.rendering:scene_of",
    "mecca_env.metrics:dice",
    "mecca_env.data.saving:save_mask",
    "mecca_env.data.reading:read_volume",
    "mecca_env.data.phantom:PhantomSource",
    "mecca_env.data.shapes:ShapesSource",
    "mecca_agents.agent:Agent",
    "mecca_agents.agent:METHODS",
    "mecca_agents.presets:PRESETS",
    "mecca_agents.presets:Preset",
    "mecca_agents.session:InteractiveSession",
    "mecca_agents.training:train",
    "mecca_agents.training:resume",
    "mecca_agents.runs:RunConfig",
    "mecca_agents.runs:RunError",
    "mecca_agents.runs:load_agent",
    "mecca_agents.runs:read_config",
    "mecca_agents.benchmark:benchmark",
    "mecca_agents.benchmark:Plan",
    "mecca_agents.benchmark:Cell",
    "mecca_agents.report:report",
    "mecca_agents.evaluation:evaluate",
    "mecca_agents.evaluation:evaluate_agent",
    "mecca_agents.evaluation:Reliability",
    "mecca_agents.cli:main",
    "benchmarks.voxel_ppo:VoxelPPO",
]
OPTIONAL = [
    ("stable_baselines3", "mecca_env.adapters.sb3:VoxelVecEnv"),
    ("stable_baselines3", "mecca_agents.sb3:VoxelPPO"),
    ("stable_baselines3", "mecca_agents.sb3:VoxelA2C"),
    ("torchrl", "mecca_env.adapters.torchrl"),
    ("pettingzoo", "mecca_env.adapters.pettingzoo:MeccaParallelEnv"),
]


def _there(path: str) -> bool:
    module, _, name = path.partition(":")
    return not name or hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize("path", PATHS)
def test_a_public_path_leads_somewhere(path: str) -> None:
    assert _there(path)


@pytest.mark.parametrize(("library", "path"), OPTIONAL)
def test_so_does_one_of_another_librarys_view(library: str, path: str) -> None:
    pytest.importorskip(library, reason=f"{library} is not installed")
    assert _there(path)


@pytest.mark.parametrize("package", [mecca_env, mecca_agents])
def test_what_a_package_says_it_has_is_there(package: ModuleType) -> None:
    assert package.__all__ and all(hasattr(package, name) for name in package.__all__)
