"""What docs/session.md shows runs, from its first block to its last, and what it says of sizes is so."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks import session as benchmark
from experiments import built_in
from mecca_agents.presets import PRESETS
from mecca_agents.runs import read_config
from mecca_agents.runs.shipped import SHIPPED
from mecca_agents.session import InteractiveSession, load_model
from tests.support import ROOT
from tests.support.volumes import ellipsoid, intensities, write_nifti

PAGE = ROOT / "docs" / "session.md"


def test_the_pages_code_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 5
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)
    printed = capsys.readouterr().out
    assert "intercnn trained on the built-in random shapes" in printed and printed.count("ASSD") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"scan.nii.gz", "mask.nii.gz", "session.json", "table7.csv"}
    session = names["session"]
    assert isinstance(session, InteractiveSession)


def test_the_size_it_gives_is_the_files(tmp_path: Path) -> None:
    size = sum(path.stat().st_size for path in (SHIPPED / "phantom").rglob("*") if path.is_file())
    assert f"{size / 1000:.0f} kB" in PAGE.read_text(encoding="utf-8")


def test_its_times_come_from_a_benchmark(tmp_path: Path) -> None:
    scan = write_nifti(tmp_path / "scan.nii.gz", np.kron(intensities(ellipsoid()), np.ones((2, 2, 2))))
    results = benchmark.run(SimpleNamespace(threads=1, run=None, device="cpu", scans=[scan], rounds=1))  # type: ignore[arg-type]
    assert results["shape"] == (48, 44, 32) and 0 < results["peak_gib"] < 100
    assert all(row["ms"] > 0 and row["cpu_ms"] >= 0 for row in results["rows"].values())
    assert {"open", "box: step", "whole scan: step"} <= set(results["rows"])
    assert "48 x 44 x 32" in benchmark.report(results)


def test_the_command_that_makes_the_built_in_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = PRESETS["brief"].replace(shape=(12, 12, 10), channels=4, dilations=(1, 2), updates=1)
    monkeypatch.setitem(PRESETS, "brief", small)
    monkeypatch.setattr(built_in, "SHIPPED", tmp_path / "package")
    built_in.make("phantom", tmp_path / "run")
    package, kept = tmp_path / "package" / "phantom", SHIPPED / "phantom"
    files = {str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file()}
    assert {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()} == files
    assert InteractiveSession(package, device="cpu").model.config.shape == (12, 12, 10)


def test_a_run_that_is_trained_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = built_in.RECIPES["general"]
    assert recipe.first is not None and recipe.first.settings["guide"]
    small = PRESETS["general"].replace(shape=(16, 16, 16), num_envs=1, channels=2, updates=1)
    monkeypatch.setitem(PRESETS, "general", small)
    monkeypatch.setitem(built_in.RECIPES, "general", replace(recipe, changes={"learning_rate": 1e-9}))
    monkeypatch.setattr(built_in, "SHIPPED", tmp_path / "package")
    built_in.make("general", tmp_path / "run")
    first, run = (load_model(tmp_path / name, device="cpu") for name in ("run-first", "run"))
    assert run.run.begun_from == str(tmp_path / "run-first") and first.run.seed != run.run.seed
    assert run.run.settings["user"] != first.run.environment["user"]
    for name, value in first.agent.weights().items():
        torch.testing.assert_close(value, run.agent.weights()[name], atol=1e-6, rtol=0)
    assert read_config(tmp_path / "package" / "general").begun_from == "1 episodes of the preset general"
