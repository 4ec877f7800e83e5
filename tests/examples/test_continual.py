"""The example that goes on learning in a stream runs, and each way of learning does what it says."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mecca_agents import train
from tests.support import ROOT

pytestmark = pytest.mark.slow  # trainings

EXAMPLE = ROOT / "examples" / "continual.py"
TINY = "--cases 1 --updates 1 --begin 1 --test-cases 1"


def test_it_prints_a_row_for_each_way(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["continual.py", *TINY.split()])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()[-5:]
    assert lines[0].split("  ")[-1].strip() == "not reached" and "forgetting" in lines[0]
    assert [line.split("  ")[0].strip() for line in lines[1:]] == ["never", "fine-tune", "memory", "memory and gate"]
    assert all(0 < float(line.split()[-6]) < 1 for line in lines[1:])


def test_the_memory_is_bounded_and_the_gate_takes_weights_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example: dict[str, Any] = runpy.run_path(str(EXAMPLE))
    options = example["Options"](drift="contrast", cases=4, updates=1, memory=3)
    preset, settings = example["PRESET"].replace(updates=1), {**example["PROMPTS"], "action": "continuous"}
    train("intercnn", "MECCA-Phantom-v0", tmp_path / "run", preset=preset, settings=settings, device="cpu")
    learner = example["Learner"]("memory and gate", tmp_path / "run", options)
    begun = {name: value.clone() for name, value in learner.agent.weights().items()}
    monkeypatch.setitem(learner.learn.__globals__, "judge", lambda before, after: SimpleNamespace(counts=False))

    def changed() -> bool:
        return any(not bool((value == begun[name]).all()) for name, value in learner.agent.weights().items())

    learner.judges.append(11)
    for case in range(3):
        learner.learn(case)
        assert not changed()
    learner.learn(3)
    assert learner.judges == [11, 3] and learner.memory == [0, 1, 2]
    for case in range(4, 7):
        learner.learn(case)
    assert len(learner.memory) == 3 and not {3, 11} & {*learner.memory}
    learner.learn(8)
    learner.judges.clear()  # nobody judges any more
    learner.learn(9)
    assert changed()
