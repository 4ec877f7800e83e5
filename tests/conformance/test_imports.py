"""Which import loads what, in one fresh interpreter: nothing above, nothing slow, nothing that is optional."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support import ROOT

grimp = pytest.importorskip("grimp", reason='needs the graph of imports: pip install -e ".[dev]"')
pytestmark = pytest.mark.slow

LATE = {"mecca_agents", "stable_baselines3", "monai", "matplotlib", "torchrl", "pettingzoo", "SimpleITK", "moviepy"}

STAGES = {
    "mecca_env": "import mecca_env, gymnasium; assert set(mecca_env.ENV_IDS) <= set(gymnasium.registry)",
    "modules": "import mecca_env.vector_env, mecca_env.testing",
    "made": "gymnasium.make('MECCA-Phantom-v0')",
    "episode": """
env = gymnasium.make("MECCA-Phantom-v0", shape=(16, 14, 12), horizon=1, clicks=(3,), cases=1)
env.reset(seed=0)
env.step(env.action_space.sample())
env.close()
""",
    "mecca_agents": "import mecca_agents",
}
"""Programs that run one after the other, in one process."""

MISSING = {
    "mecca_env.adapters.pettingzoo": ("pettingzoo", "interop"),
    "mecca_env.adapters.torchrl": ("torchrl", "interop"),
    "mecca_env.adapters.sb3": ("stable_baselines3", "sb3"),
    "mecca_agents.sb3": ("stable_baselines3", "sb3"),
}
"""What a module needs, and the extra that brings it."""

PROGRAM = """
import importlib, json, sys
stages, missing = json.load(sys.stdin)
loaded, said = {}, {}
for name, code in stages.items():
    exec(code)
    loaded[name] = sorted(sys.modules)
for module, (library, _) in missing.items():
    sys.modules[library] = None
    try:
        importlib.import_module(module)
    except ImportError as error:
        said[module] = str(error)
print(json.dumps([loaded, said]))
"""


@pytest.fixture(scope="module")
def found() -> Any:
    """The modules that are loaded after each of `STAGES`, and what each of `MISSING` says without its library."""
    sent = json.dumps([STAGES, MISSING])
    program = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(program, cwd=ROOT, input=sent, capture_output=True, text=True, check=True)
    loaded, said = json.loads(done.stdout.splitlines()[-1])
    return {name: set(modules) for name, modules in loaded.items()}, said


@pytest.mark.parametrize("stage", ["mecca_env", "modules", "made", "episode"])
def test_the_environment_loads_neither_agents_nor_what_is_optional(found: Any, stage: str) -> None:
    modules = found[0][stage]
    assert "mecca_env" in modules
    assert not modules & LATE


def test_entry_points_are_strings(found: Any) -> None:
    assert "mecca_env.vector_env" not in found[0]["mecca_env"]


def test_numba_is_loaded_by_the_first_step_alone(found: Any) -> None:
    assert "numba" not in found[0]["made"]


def test_the_agents_load_the_environment_and_nothing_optional(found: Any) -> None:
    modules = found[0]["mecca_agents"]
    assert {"mecca_agents", "mecca_env"} <= modules
    assert "stable_baselines3" not in modules


@pytest.mark.parametrize("module", MISSING)
def test_without_its_library_a_module_names_the_extra(found: Any, module: str) -> None:
    extra = MISSING[module][1]
    said = found[1][module]
    assert said.endswith(f'install it in a clone of the repository with pip install -e ".[{extra}]"')
    assert said.startswith(f"{module} needs ")


def test_no_package_imports_a_module_in_it_that_imports_the_package() -> None:
    """That would be a circle which import-linter, comparing siblings, does not see."""
    graph = grimp.build_graph("mecca_env", "mecca_agents", "benchmarks", "experiments", cache_dir=None)
    assert len(graph.modules) > 200
    for module in graph.modules:
        for package in graph.find_modules_directly_imported_by(module):
            if module.startswith(f"{package}."):
                chain = graph.find_shortest_chain(package, module)
                assert chain is None, f"{module} imports {package}, which comes back to it by {chain}"
