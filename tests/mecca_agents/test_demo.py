"""`mecca demo`: what it leaves, and that its preset learns."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from mecca_agents.cli import main
from mecca_agents.demo import TESTING, TIMED, Estimate, demo
from mecca_agents.presets import PRESETS
from mecca_agents.runs.tally import Tally


@pytest.mark.slow
def test_it_leaves_a_table_and_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mecca_agents.demo.TEST_CASES", 2)
    monkeypatch.setattr("mecca_agents.demo.TRAINING_CASES", 8)
    assert main(["demo", "--updates", "1", "--out", str(tmp_path / "demo")]) == 0
    printed = capsys.readouterr().out
    assert "Dice % untrained  Dice % trained" in printed
    floor = re.search(r"the mean of the training phantoms' labels, reaches (\d+\.\d) % at every step", printed)
    assert floor is not None and 65 < float(floor[1]) < 90
    assert (tmp_path / "demo" / "episode.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "demo" / "test.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 10


def test_it_says_once_how_long_it_takes_as_its_first_updates_do(capsys: pytest.CaptureFixture[str]) -> None:
    estimate, tally = Estimate(160), Tally()
    for update in range(30):
        tally.add({}, seconds=15.0 if update == 0 else 1.5, steps=20)
        estimate(tally)
        assert (capsys.readouterr().out != "") is (update + 1 == TIMED)
    quick, tally = Estimate(20), Tally()
    for _ in range(TIMED):
        tally.add({}, seconds=1.5, steps=20)
        quick(tally)
    assert (
        capsys.readouterr().out == f"This takes up to about {1.5 * (20 + TESTING) / 60:.1f} minutes on this machine.\n"
    )


@pytest.mark.slow
def test_its_preset_learns_in_two_thirds_of_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a tenth of its weight for the critic's loss, this training falls to background and stays there."""
    monkeypatch.setattr("mecca_agents.demo.TEST_CASES", 4)
    results = demo(tmp_path / "demo", updates=PRESETS["demo"].updates * 2 // 3)
    for step in range(1, 6):
        assert np.mean([result.dice for result in results if result.step == step]) > 0.75
