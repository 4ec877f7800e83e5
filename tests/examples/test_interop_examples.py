"""The examples that bring other libraries or an algorithm of their own run, and learn, in a short mode."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

pytestmark = pytest.mark.slow  # trainings

EXAMPLES = ROOT / "examples"
LAST_LINE = re.compile(r"Dice on unseen cases: (\d\.\d+); of random actions: (\d\.\d+)")


def run(name: str, arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What the example prints when it is run with those arguments."""
    monkeypatch.setattr(sys, "argv", [name, *arguments.split()])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return capsys.readouterr().out


def test_the_floors_are_far_above_random_actions() -> None:
    floors = runpy.run_path(str(EXAMPLES / "floors.py"))
    few = floors["Options"](cases=3, test_cases=1)
    random, *others = (floors["floor"](name, floors["GRIDS"][0], few) for name in floors["FLOORS"])
    assert random < 0.3 and len(others) == 2 and min(others) > random + 0.3


@pytest.mark.parametrize(
    ("name", "library", "arguments"),
    [
        ("cleanrl_ppo.py", "torch", "--shape 10 10 8 --updates 10 --num_envs 4 --minibatches 4 --test_cases 6"),
        ("torchrl_ppo.py", "torchrl", "--shape 10 10 8 --updates 10 --num-envs 4 --minibatches 4 --test-cases 6"),
    ],
    ids=["cleanrl", "torchrl"],
)
def test_per_voxel_ppo_beats_random_actions(
    name: str, library: str, arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(library, reason="needs the extra interop")
    printed = run(name, arguments, monkeypatch, capsys)
    assert sum(line.startswith("update ") for line in printed.splitlines()) == 10
    match = LAST_LINE.search(printed)
    assert match is not None
    learned, random = map(float, match.groups())
    assert 0.05 < random < 0.3 and learned > random + 0.2


def test_voxels_that_look_around_beat_random_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pettingzoo", reason="needs the extra interop")
    printed = run("pettingzoo_random.py", "--episodes 2 --shape 8 9 10", monkeypatch, capsys)
    sight, random = (float(number) for number in re.findall(r"720 agents earn \S+ each, Dice (\d\.\d+)", printed))
    assert sight > random + 0.2


@pytest.mark.parametrize(
    ("name", "arguments", "better"),
    [
        ("sb3_supervoxels.py", "--steps 2400", 0.1),
        ("sb3_supervoxels.py", "--algorithm PPO --steps 640", -1.0),
        ("sb3_voxels.py", "--steps 400", -1.0),
        ("sb3_continuous.py", "--steps 640 --learning-starts 100", 0.1),
        ("voxel_ppo.py", "--steps 240 --out runs", 0.2),
        ("voxel_ppo.py", "--algorithm A2C --steps 100 --out runs", -1.0),
    ],
    ids=["supervoxels", "supervoxels-ppo", "voxels", "continuous", "voxel-ppo", "voxel-a2c"],
)
def test_stable_baselines3(
    name: str,
    arguments: str,
    better: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("stable_baselines3", reason="needs the extra sb3")
    monkeypatch.chdir(tmp_path)
    match = LAST_LINE.search(run(name, arguments, monkeypatch, capsys))
    assert match is not None
    learned, random = map(float, match.groups())
    assert 0.05 < random < 0.3 and learned > random + better  # some need more steps than a test has
    assert name != "voxel_ppo.py" or (tmp_path / "runs" / "last.zip").exists()
