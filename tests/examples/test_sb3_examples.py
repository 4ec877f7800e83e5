"""The examples run, in a short mode."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from mecca_agents import presets
from tests.support import ROOT

pytestmark = pytest.mark.slow  # trainings

EXAMPLES = ROOT / "examples"


def test_own_method_becomes_a_row_of_the_report(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = EXAMPLES / "own_method.py"
    assert len(example.read_text().splitlines()) < 60
    small = presets.DEMO.replace(shape=(12, 12, 10), channels=4, dilations=(1, 2), num_envs=2)
    monkeypatch.setitem(presets.PRESETS, "demo", small)
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])  # as for a script, whose own folder comes first
    monkeypatch.delitem(sys.modules, "own_method", raising=False)
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(example), run_name="__main__")
    printed = capsys.readouterr().out
    assert "cells: 3 done" in printed and "failed" not in printed.partition("# Report")[0]
    assert any(line.startswith("| own_method:Shallow") for line in printed.splitlines())
    assert (tmp_path / "runs" / "own_method" / "report" / "table1.csv").exists()
