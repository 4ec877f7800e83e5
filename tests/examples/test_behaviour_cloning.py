"""The example that clones an expert from recorded episodes alone."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file

from mecca_agents import presets
from mecca_agents.report.comparison import by_method, by_step
from mecca_agents.report.studies import read_studies
from mecca_agents.runs.checkpoints import checkpoint_folder
from mecca_agents.training import resume, train
from tests.support import ROOT

pytestmark = pytest.mark.slow  # trainings

minari = pytest.importorskip("minari")
pytest.importorskip("h5py")

EXAMPLES = ROOT / "examples"
SMALL = presets.DEMO.replace(shape=(12, 12, 10), channels=8, dilations=(1, 2), learning_rate=5e-3, updates=6)


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The example, as a script finds it: in the first folder of `sys.path`."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.setitem(presets.PRESETS, "demo", SMALL)
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    monkeypatch.chdir(tmp_path)
    sys.modules.pop("behaviour_cloning", None)
    yield importlib.import_module("behaviour_cloning")
    sys.modules.pop("behaviour_cloning", None)


def test_the_clone_beats_random_actions_and_the_data_set_is_used_again(
    example: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    options = example.Options(out=Path("out"), cases=6, updates=80, test_cases=4)
    example.main(options)
    assert "cells: 3 done" in capsys.readouterr().out
    (study,) = read_studies(options.out)
    rows = by_method(study.cells)
    assert by_step(rows["behaviour_cloning:Clone"])[-1] > by_step(rows["random"])[-1] + 0.3
    file = minari.load_dataset(example.DATASET).storage.data_path / "main_data.hdf5"
    before = file.stat().st_mtime_ns
    example.main(options)
    assert "cells: 3 done before" in capsys.readouterr().out and file.stat().st_mtime_ns == before
    with pytest.raises(SystemExit, match="expected 7 episodes, found 6; name another in"):
        example.main(replace(options, cases=7))


def test_it_learns_what_was_recorded_and_nothing_else(example: ModuleType, tmp_path: Path) -> None:
    example.main(example.Options(out=Path("out"), cases=2, updates=1, test_cases=1))
    agent = train("behaviour_cloning:Clone", example.ENV, tmp_path / "run", preset=SMALL, cases=1, device="cpu")
    seen, action = agent.draw(8)  # type: ignore[attr-defined]
    recorded = list(minari.load_dataset(example.DATASET).iterate_episodes())
    for row in range(8):
        assert any(
            torch.equal(seen["probability"][row], torch.from_numpy(episode.observations["probability"][step]))
            and torch.equal(seen["volume"][row], torch.from_numpy(episode.observations["volume"][step]))
            and torch.equal(action[row], torch.from_numpy(episode.actions[step]).long())
            for episode in recorded
            for step in range(len(episode))
        )


def test_it_goes_on_bit_for_bit(example: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example.main(example.Options(out=Path("out"), cases=2, updates=1, test_cases=1))
    given = {"preset": SMALL, "cases": 1, "device": "cpu", "checkpoint_every": 2}
    train("behaviour_cloning:Clone", example.ENV, tmp_path / "whole", **given)
    learn = example.Clone.learn

    def broken(self: object, envs: object, observation: object, progress: float) -> object:
        if progress >= 0.5:
            raise ConnectionAbortedError
        return learn(self, envs, observation, progress)

    with monkeypatch.context() as patch:
        patch.setattr(example.Clone, "learn", broken)
        with pytest.raises(ConnectionAbortedError):
            train("behaviour_cloning:Clone", example.ENV, tmp_path / "run", **given)
    resume(tmp_path / "run")
    one, two = (load_file(checkpoint_folder(tmp_path / name) / "model.safetensors") for name in ("whole", "run"))
    assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)
