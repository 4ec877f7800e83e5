"""What was measured is not measured again, and what has changed is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mecca_agents.online import learning
from mecca_agents.online.measured import MEASURED, Measured
from mecca_agents.runs.config import read_config, write_config
from mecca_agents.session import Model
from tests.mecca_agents.online.conftest import accept
from tests.mecca_agents.online.test_learning import _learn
from tests.support.volumes import write_nifti

CPU = torch.device("cpu")
CASES = ["a", "b"]


class _Played:
    """Plays nothing, and notes what it was asked for."""

    def __init__(self) -> None:
        self.cases: list[list[str]] = []

    def __call__(self, run: Path, project: Path, cases: list[str], device: torch.device) -> dict[str, float]:
        self.cases.append(list(cases))
        return {case: 0.1 * len(self.cases) for case in cases}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for kind in ("images", "labels"):
        for case in CASES:
            write_nifti(tmp_path / "project" / kind / f"{case}.nii.gz", np.ones((4, 4, 4), np.uint8))
    return tmp_path / "project"


@pytest.fixture
def run(begun: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(begun, tmp_path / "run"))


@pytest.fixture
def asked(project: Path, run: Path) -> Callable[..., list[list[str]]]:
    """What a new learner plays to know the Dice of cases."""

    def ask(cases: list[str] = CASES, device: str = "cpu") -> list[list[str]]:
        played = _Played()
        found = Measured(project, project, torch.device(device), played).dice_of(run, cases)
        assert list(found) == cases and all(0 < dice <= 1 for dice in found.values())
        return played.cases

    return ask


def test_only_what_is_new_is_played(asked: Callable[..., list[list[str]]], project: Path) -> None:
    assert asked(["a"]) == [["a"]]
    assert asked() == [["b"]]
    assert asked() == []
    text = (project / MEASURED).read_text()
    assert len(json.loads(text)) == 2 and not any(f'"{case}' in text for case in ("a.", "b."))
    asked(["b"])  # what is not asked for is forgotten
    assert len(json.loads((project / MEASURED).read_text())) == 1 and asked() == [["a"]]


def _other_mask(project: Path, run: Path) -> None:
    write_nifti(project / "labels" / "a.nii.gz", np.zeros((4, 4, 4), np.uint8))


def _other_scan(project: Path, run: Path) -> None:
    write_nifti(project / "images" / "a.nii.gz", np.zeros((5, 4, 4), np.uint8))


def _other_weights(project: Path, run: Path) -> None:
    with (run / "checkpoints" / "last" / "model.safetensors").open("ab") as file:
        file.write(b" ")


def _other_settings(project: Path, run: Path) -> None:
    write_config(run, replace(read_config(run), tolerance=0.5))


def _other_seeds(project: Path, run: Path) -> None:
    """Nothing on the disk."""


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (_other_mask, ["a"]),
        (_other_scan, ["a"]),
        (_other_weights, CASES),
        (_other_settings, CASES),
        (_other_seeds, CASES),
    ],
)
def test_what_has_changed_is_played_again(
    change: Callable[[Path, Path], Any],
    again: list[str],
    asked: Callable[..., list[list[str]]],
    project: Path,
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked()
    change(project, run)
    if change is _other_seeds:
        monkeypatch.setattr("mecca_agents.online.measured.USER_SEEDS", (7,))
    assert asked() == [again] and asked() == []


def test_a_mask_that_is_replaced_while_its_case_is_played_is_played_again(project: Path, run: Path) -> None:
    played: list[list[str]] = []

    def play(run: Path, project: Path, cases: list[str], device: torch.device) -> dict[str, float]:
        played.append(list(cases))
        if len(played) == 1:
            _other_mask(project, run)
        return {case: 0.1 * len(played) for case in cases}

    found = Measured(project, project, CPU, play).dice_of(run, CASES)
    assert played == [CASES, ["a"]] and found == {"a": 0.2, "b": 0.1}
    assert sorted(json.loads((project / MEASURED).read_text()).values()) == [0.1, 0.2]


@pytest.mark.parametrize(
    "content",
    ["", "{", "[1]", '{"a": null}', '{"a": NaN}', '{"a": 7}', f'{{"a": 1{"0" * 400}}}', "[" * 20000, "\x00"],
)
def test_a_damaged_file_is_thrown_away(content: str, asked: Callable[..., list[list[str]]], project: Path) -> None:
    asked()
    (project / MEASURED).write_text(content)
    assert asked() == [CASES] and asked() == []


def test_a_file_that_cannot_be_written_stops_nobody(asked: Callable[..., list[list[str]]], project: Path) -> None:
    (project / MEASURED).mkdir()
    assert asked() == [CASES] == asked()[0:1]


def test_a_second_learning_plays_only_what_is_new(
    begun: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights that a learning has left were measured when they were judged."""
    played: list[tuple[str, int]] = []

    def dice_of(run: Path, project: Path, cases: list[str], device: torch.device) -> dict[str, float]:
        played.append((run.name, len(cases)))
        return dict.fromkeys(cases, 0.5)

    monkeypatch.setattr(learning, "dice_of", dice_of)
    project = tmp_path / "project"
    accept(model, project, 8)
    _learn(project, begun, tmp_path / "one")
    assert played == [("begun", 2), ("all", 2)]
    accept(model, project, 4, first=8)
    found = _learn(project, tmp_path / "one", tmp_path / "two")
    assert len(found.kept_out) == 3 and played[2:] == [("one", 1), ("all", 3)]
    assert sorted(path.name for path in (project / "learning").iterdir() if path.suffix == ".json") == [MEASURED]
