"""Cells as tasks of a local Ray."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from mecca_agents.benchmark.cells import Cell
from mecca_agents.benchmark.plan import Plan
from mecca_agents.presets import FAST
from tests.support import ROOT

pytestmark = pytest.mark.slow  # processes of Ray

ray = pytest.importorskip("ray")

EXAMPLE = ROOT / "examples" / "benchmark_on_ray.py"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("benchmark_on_ray", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "benchmark_on_ray", module)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    spec.loader.exec_module(module)
    here = {"env_vars": {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=here)
    yield module
    ray.shutdown()


def test_two_cells_on_a_local_ray_and_one_that_fails(example: ModuleType, tmp_path: Path) -> None:
    preset = FAST.replace(shape=(12, 12, 10), num_envs=2, updates=7, channels=4, dilations=(1, 2))
    plan = Plan(tmp_path / "out", "MECCA-Phantom-v0", preset, cases=4, test_cases=2, device="cpu")
    cells = [Cell("pnet"), Cell("iter-mrl"), Cell("tests.support.agents:Raising")]
    failed = example.run_on_ray(plan, cells)
    assert list(failed) == ["tests.support.agents.Raising-100-seed0"]
    assert "gradient of the tiny network became inf" in plan.failure(cells[2]).read_text()
    assert [plan.status(cell) for cell in cells] == ["done", "done", "failed"]
