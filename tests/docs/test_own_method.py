"""Methods of one's own, as the README and docs/methods.md show them, train and are evaluated like any other."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mecca_agents import Agent, load_agent
from mecca_agents.cli import main
from tests.docs.blocks import python_blocks
from tests.support import ROOT

SHOWN = {"my_module": ("README.md", "Bold"), "threshold": ("docs/methods.md", "Threshold")}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with every module that is shown."""
    for name, (page, _) in SHOWN.items():
        (code,) = (block for block in python_blocks(ROOT / page) if block.startswith(f"# {name}.py:"))
        (tmp_path / f"{name}.py").write_text(code)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", SHOWN)
def test_it_is_found_in_the_folder_one_stands_in(
    name: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mecca_agents.evaluation.runner.PHANTOM_CASES", 2)
    method = f"{name}:{SHOWN[name][1]}"
    small = "--env MECCA-Phantom-v0 --preset brief --shape 12 12 10 --updates 5"
    assert main(f"train {method} {small} --out run".split()) == 0
    assert main(["evaluate", "run", "--out", "test.csv"]) == 0
    assert method in capsys.readouterr().out
    agent: Agent = load_agent("run")[0]
    assert isinstance(agent, getattr(sys.modules[name], SHOWN[name][1]))


def test_a_class_that_is_no_agent_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "other_module.py").write_text("class NoAgent:\n    pass\n")
    assert main("train other_module:NoAgent --env MECCA-Phantom-v0 --out run".split()) == 2
    assert "expected 'other_module:NoAgent' to be a subclass of mecca_agents.Agent" in capsys.readouterr().err
    assert not (here / "run").exists()
