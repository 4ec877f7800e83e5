"""Training that begins with another run: its weights, its settings, and what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mecca_agents import PRESETS, RunError, load_agent, train
from mecca_agents.cli import main
from mecca_agents.presets import MECHANISMS
from mecca_env import EnvConfig

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


@pytest.fixture(scope="module")
def quarter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of MECCA with unlabelled cases, a guide, a hint and clicks of its own."""
    folder = tmp_path_factory.mktemp("runs") / "quarter"
    preset = PRESETS["fast"].replace(**MECHANISMS, shape=(12, 12, 10), channels=2, num_envs=1, updates=1)
    settings = {"labelled_fraction": 0.25, "clicks": (3, 2, 1), "horizon": 3, "hint": "edt"}
    train("mecca", "MECCA-Phantom-v0", folder, preset=preset, cases=8, settings=settings, device="cpu")
    return folder


class TestFlagsOverruleTheRun:
    """What is given counts, what the run was trained with otherwise."""

    def asked(self, monkeypatch: pytest.MonkeyPatch, run: Path, *flags: str) -> tuple[dict[str, Any], Any]:
        """The environment's settings and the preset that a training would be given."""
        taken: dict[str, Any] = {}
        monkeypatch.setattr("mecca_agents.training.loop.train", lambda *_, **keywords: taken.update(keywords))
        monkeypatch.setattr("mecca_agents.commands.train._trained", lambda _: 0)
        assert main(["train", "--from", str(run), "--env", "MECCA-Phantom-v0", "--out", "b", *flags]) == 0
        return taken["settings"], taken["preset"]

    def test_prompts_are_taken_and_labels_are_not(self, quarter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        settings, _ = self.asked(monkeypatch, quarter)
        assert settings == {"clicks": (3, 2, 1), "horizon": 3, "hint": "edt"}

    def test_labelled_cases(self, quarter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        settings, _ = self.asked(monkeypatch, quarter, "--labelled-cases", "8")
        assert settings["labelled_cases"] == 8 and "labelled_fraction" not in settings

    def test_a_mechanism(self, quarter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        settings, preset = self.asked(monkeypatch, quarter, "--no-interaction-guide")
        assert "guide" not in settings and not preset.mecca.interaction_guide

    def test_a_protocol_replaces_all_prompts(self, quarter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        settings, _ = self.asked(monkeypatch, quarter, "--protocol", "one-click", "--no-interaction-guide")
        assert settings == {"hint": "edt", "protocol": "one-click", "horizon": EnvConfig(protocol="one-click").horizon}

    def test_another_horizon(self, quarter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        settings, _ = self.asked(monkeypatch, quarter, "--horizon", "4")
        assert tuple(settings["clicks"]) == (3, 2, 1, 1)


def test_other_networks_are_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--env", "MECCA-Phantom-v0", "--device", "cpu", "--from", str(run), "--out", str(tmp_path / "b")]
    assert main(["train", *words, "--channels", "3"]) != 0
    assert "expected weights of the same networks to begin with" in capsys.readouterr().err
    assert main(["train", "--env", "MECCA-Phantom-v0", "--from", "nothing", "--out", str(tmp_path / "b")]) != 0
    assert "nothing: expected a run with a config.json, found none" in capsys.readouterr().err
