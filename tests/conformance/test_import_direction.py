"""Imports and what they load: the environment never loads the agents, nor what is slow and optional."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

LATE = ["mecca_agents", "stable_baselines3", "monai", "matplotlib", "torchrl", "pettingzoo", "SimpleITK", "moviepy"]

EPISODE = """
import gymnasium, mecca_env
env = gymnasium.make("MECCA-Phantom-v0", shape=(16, 14, 12), horizon=1, clicks=(3,), cases=1)
env.reset(seed=0)
env.step(env.action_space.sample())
env.close()
"""


def loaded(program: str) -> set[str]:
    """The modules that a fresh process has loaded after the program."""
    code = f"{program}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("program", ["import mecca_env", "import mecca_env.vector_env, mecca_env.testing", EPISODE])
def test_the_environment_loads_neither_agents_nor_what_is_optional(program: str) -> None:
    modules = loaded(program)
    assert "mecca_env" in modules
    assert not modules & set(LATE)


def test_the_agents_load_the_environment() -> None:
    modules = loaded("import mecca_agents, mecca_env")
    assert {"mecca_agents", "mecca_env"} <= modules
    assert "stable_baselines3" not in modules


def test_importing_registers_every_id() -> None:
    program = "import json, gymnasium, mecca_env; assert set(mecca_env.ENV_IDS) <= set(gymnasium.registry)"
    assert "mecca_env.vector_env" not in loaded(program)  # entry points are strings
