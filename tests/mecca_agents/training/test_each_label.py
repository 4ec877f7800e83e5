"""`--label each`, from a training that is stopped and resumed to the masks of its evaluation and a benchmark's plan."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mecca_agents.benchmark import Plan, settle
from mecca_agents.cli import main
from mecca_agents.presets import PRESETS
from mecca_agents.runs import RunConfig, read_config
from mecca_agents.runs.config import write_config
from mecca_agents.training import resume
from tests.support.agents import ENV, PRESET
from tests.support.runs import assert_same_run, log_of, train_tiny
from tests.support.volumes import SHAPE, write_organs

CONFIG = RunConfig("random", ENV, "scans", None, None, {}, PRESETS["demo"], modalities=1, seed=0)
TEST = [f"a-label{value}" for value in (1, 2, 4)]


@pytest.fixture(scope="module")
def organs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five scans of three values each; the test split is one of them."""
    return write_organs(tmp_path_factory.mktemp("data") / "organs", "abcde")


@pytest.mark.parametrize("label", ["each", None, (1, 4)])
def test_it_comes_back_from_the_settings_of_a_run(tmp_path: Path, label: object) -> None:
    written = replace(CONFIG, label=label)  # type: ignore[arg-type]
    write_config(tmp_path, written)
    assert read_config(tmp_path) == written


def test_a_stopped_training_goes_on_with_the_same_cases(
    tmp_path: Path, organs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = PRESET.replace(updates=4)
    train_tiny(tmp_path / "whole", organs, preset=preset, label="each")
    with monkeypatch.context() as patch:
        patch.setattr("mecca_agents.training.display.Display.show", _power_cut)
        with pytest.raises(ConnectionAbortedError):
            train_tiny(tmp_path / "run", organs, preset=preset, label="each")
    assert len(log_of(tmp_path / "run")) == 3
    resume(tmp_path / "run", stream=io.StringIO())
    assert_same_run(tmp_path / "run", tmp_path / "whole")
    assert read_config(tmp_path / "run").label == "each" and len(read_config(tmp_path / "run").train_cases) == 12


def _power_cut(self: object, tally: object) -> None:
    if getattr(tally, "updates", 0) == 3:
        raise ConnectionAbortedError


def test_commands_train_with_it_and_evaluate_each_value_into_a_mask_of_its_own(tmp_path: Path, organs: Path) -> None:
    run = tmp_path / "run"
    command = f"train random --env {ENV} --root {organs} --out {run} --preset brief --shape 8 9 10 --updates 1"
    assert main([*command.split(), "--device", "cpu", "--label", "each"]) == 0
    assert read_config(run).label == "each"
    assert main(["evaluate", str(run), "--out", str(tmp_path / "out.csv"), "--masks", str(tmp_path / "masks")]) == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        assert sorted({row["case"] for row in csv.DictReader(file)}) == TEST
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == [f"{case}.nii.gz" for case in TEST]
    masks = [np.asarray(nib.load(tmp_path / "masks" / f"{case}.nii.gz").dataobj) for case in TEST]
    assert all(mask.shape == SHAPE and mask.any() for mask in masks) and not np.array_equal(masks[0], masks[2])


def test_another_word_is_refused_by_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["data", "check", "nowhere", "--label", "every"])
    assert stop.value.code == 2
    words = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert "--label" in words and "['every'] does not match choices ('each',)" in words


def test_a_check_of_the_data_looks_around_each_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_organs(tmp_path / "organs", "ab")
    (root / "images" / "a-label4.nii.gz").write_bytes((root / "images" / "a.nii.gz").read_bytes())
    (root / "labels" / "a-label4.nii.gz").write_bytes((root / "labels" / "a.nii.gz").read_bytes())
    assert main(["data", "check", str(root), "--label", "1", "2"]) == 0
    assert main(["data", "check", str(root), "--label", "each"]) == 1
    assert "found a-label4, which is also the value 4 of a" in capsys.readouterr().out


def test_a_benchmark_settles_on_its_cases(tmp_path: Path, organs: Path) -> None:
    plan = Plan(tmp_path, ENV, PRESETS["demo"], root=organs, label="each", device="cpu")
    found = settle(plan)
    assert found["test_cases"] == TEST and len(found["train_cases"]) == 12
    assert json.loads((plan.folder / "settings.json").read_text())["label"] == "each"
    assert main(["benchmark", "--env", ENV, "--out", str(tmp_path), "--root", str(organs), "--methods", "random",
                 "--preset", "demo", "--label", "each", "--list"]) == 0  # fmt: skip
    with pytest.raises(ValueError, match="label was 'each', now None"):
        settle(replace(plan, label=None))
