"""Training that begins with another run: its weights, its settings, and what does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mecca_agents import PRESETS, RunError, load_agent, train
from mecca_agents.cli import main

TINY = PRESETS["general"].replace(shape=(12, 12, 10), channels=2, levels=2, num_envs=1, updates=1)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "first"
    train("intercnn", "MECCA-Phantom-v0", folder, preset=TINY, settings={"protocol": "one-click"}, device="cpu")
    return folder


def test_a_training_begins_where_another_ended(run: Path, tmp_path: Path) -> None:
    words = ["train", "--from", str(run), "--env", "MECCA-Shapes-v0", "--out", str(tmp_path / "b"), "--device", "cpu"]
    assert main([*words, "--learning-rate", "1e-9", "--seed", "5"]) == 0
    (before, first), (after, second) = load_agent(run), load_agent(tmp_path / "b")
    weights = after.weights()
    for key, value in before.weights().items():
        torch.testing.assert_close(weights[key], value, atol=1e-6, rtol=0)
    assert second.begun_from == str(run) and first.begun_from is None
    assert (second.method, second.preset) == ("intercnn", first.preset.replace(learning_rate=1e-9))
    assert second.environment["protocol"] == "one-click" and second.dataset == "shapes"


def test_prompts_and_method_may_be_given(run: Path, tmp_path: Path) -> None:
    words = ["--env", "MECCA-Phantom-v0", "--device", "cpu", "--from", str(run)]
    assert main(["train", *words, "--out", str(tmp_path / "b"), "--user", "scribble"]) == 0
    assert load_agent(tmp_path / "b")[1].environment["user"] == "scribble"
    with pytest.raises(RunError, match="expected a run of deepigeos to begin with, found one of intercnn"):
        train("deepigeos", "MECCA-Phantom-v0", tmp_path / "c", preset=TINY, begin_from=run, device="cpu")
    assert not (tmp_path / "c").exists()


def test_other_networks_are_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--env", "MECCA-Phantom-v0", "--device", "cpu", "--from", str(run), "--out", str(tmp_path / "b")]
    assert main(["train", *words, "--channels", "3"]) != 0
    assert "expected weights of the same networks to begin with" in capsys.readouterr().err
    assert main(["train", "--env", "MECCA-Phantom-v0", "--from", "nothing", "--out", str(tmp_path / "b")]) != 0
    assert "nothing: expected a run with a config.json, found none" in capsys.readouterr().err
