"""A method of one's own, as the README shows it, trains and evaluates like any other."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from mecca_agents.agent import Agent
from mecca_agents.cli import main
from tests.support import ROOT

README = ROOT / "README.md"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    code = next(
        block for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL) if "my_module" in block
    )
    (tmp_path / "my_module.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_module", raising=False)
    return tmp_path


def test_it_is_found_in_the_folder_one_stands_in(
    module: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mecca_agents.evaluation.runner.PHANTOM_CASES", 2)
    train = "train my_module:Threshold --env MECCA-Phantom-v0 --shape 12 12 10 --updates 5 --out run"
    assert main(train.split()) == 0
    assert main(["evaluate", "run", "--out", "test.csv"]) == 0
    assert "my_module:Threshold" in capsys.readouterr().out
    assert isinstance(Agent.load("run"), sys.modules["my_module"].Threshold)


def test_a_class_that_is_no_agent_is_refused(module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (module / "other_module.py").write_text("class NoAgent:\n    pass\n")
    assert main("train other_module:NoAgent --env MECCA-Phantom-v0 --out run".split()) == 2
    assert "expected 'other_module:NoAgent' to be a subclass of mecca_agents.Agent" in capsys.readouterr().err
    assert not (module / "run").exists()
