"""Evaluation plays what was trained on: the same data set, never augmented, never cut short."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mecca_agents.evaluation import evaluate
from mecca_agents.presets import PRESETS
from mecca_agents.runs import RunError, read_config
from mecca_agents.training import train
from mecca_env.data.base import DataError

PRESET = replace(PRESETS["demo"], shape=(10, 9, 8), channels=4, updates=1, num_envs=2)


def _decathlon(root: Path, channels: int = 1) -> Path:
    rng = np.random.default_rng(0)
    entries = []
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    for number in range(5):
        image = rng.normal(size=(20, 20, 16, channels)[: 4 if channels > 1 else 3]).astype(np.float32)
        label = np.zeros((20, 20, 16), np.uint8)
        label[6:13, 7:14, 5:10] = 1
        name = f"scan_{number}.nii.gz"
        nib.save(nib.Nifti1Image(image, np.eye(4)), root / "imagesTr" / name)
        nib.save(nib.Nifti1Image(label, np.eye(4)), root / "labelsTr" / name)
        entries.append(f'{{"image": "./imagesTr/{name}", "label": "./labelsTr/{name}"}}')
    modality = ", ".join(f'"{c}": "MRI"' for c in range(channels))
    (root / "dataset.json").write_text(f'{{"modality": {{{modality}}}, "training": [{", ".join(entries)}]}}')
    return root


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run on a data set that was found through MECCA_DATA."""
    monkeypatch.setenv("MECCA_DATA", str(tmp_path))
    _decathlon(tmp_path / "Task09_Spleen")
    settings = {"augment": True, "target_dice": 0.01, "extension": (1, 3)}
    train("iter-mrl", "MECCA-Spleen-v0", tmp_path / "run", preset=PRESET, settings=settings, device="cpu")
    return tmp_path / "run"


def test_it_finds_the_data_set_again_without_the_variable(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MECCA_DATA")
    results = evaluate(run, device="cpu")
    assert {result.dataset for result in results} == {"Task09_Spleen"}
    trained_on = read_config(run).train_cases
    assert len(trained_on) == 4 and not {result.case for result in results} & set(trained_on)


def test_it_never_plays_the_phantom_in_place_of_scans(run: Path, tmp_path: Path) -> None:
    (tmp_path / "Task09_Spleen").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="Task09_Spleen"):
        evaluate(run, device="cpu")


def test_neither_augmentation_nor_a_target_of_the_training_is_taken_over(run: Path) -> None:
    results = evaluate(run, device="cpu")
    assert [result.step for result in results] == [1, 2, 3, 4, 5]
    one, two = ([replace(r, seconds=0.0) for r in evaluate(run, device="cpu", seed=seed)] for seed in (0, 0))
    assert one == two


def test_volumes_of_other_modalities_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="expected volumes of 1 modalities, as in training, found 2"):
        evaluate(run, root=_decathlon(tmp_path / "two", channels=2), device="cpu")
