"""The code of the README, environment.md, training.md and online.md runs, on the phantom and with a small network."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from mecca_agents import presets
from mecca_agents.runs.shipped import SHIPPED
from mecca_env.data.phantom import PhantomSource
from tests.docs.blocks import python_blocks
from tests.support import ROOT

SMALL = presets.BRIEF.replace(shape=(12, 12, 10), channels=4, dilations=(1, 2), updates=2)
DOCS = ROOT / "docs"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a scan and with the runs that the pages take for granted: the one that comes with the package."""
    for name in ("demo", "spleen"):
        shutil.copytree(SHIPPED / "phantom", tmp_path / "runs" / name)
    scan = PhantomSource().scan(1)
    image = np.pad(scan.image[0], 16, mode="edge")  # large enough for the box of the README
    nibabel.save(nibabel.Nifti1Image(image, scan.affine), tmp_path / "scan.nii.gz")
    for name in ("demo", "brief"):
        monkeypatch.setitem(presets.PRESETS, name, SMALL)
    monkeypatch.setattr("mecca_agents.evaluation.runner.PHANTOM_CASES", 2)
    monkeypatch.chdir(tmp_path)
    yield tmp_path


def _run(page: Path, skip: str | None = None) -> dict[str, Any]:
    """Run all blocks but those that begin with `skip`; the names that there are afterwards."""
    names: dict[str, Any] = {}
    for block in python_blocks(page):
        if skip is None or not block.startswith(skip):
            exec(compile(block.replace("updates=40", "updates=2"), page.name, "exec"), names)
    return names


@pytest.mark.slow
def test_readme(here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    names = _run(ROOT / "README.md", skip="# my_module.py")
    assert (here / "runs" / "first" / "metrics.csv").exists()
    assert {result.step for result in names["results"]} == {*range(1, 6)}
    assert names["info"]["voxel_reward"].shape == (8, 55, 55, 30)
    assert names["mask"].any() and (here / "mask.nii.gz").exists()
    assert "tensor([" in capsys.readouterr().out


@pytest.mark.slow
def test_environment(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    voxel, asked = count(1), []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return f"{next(voxel)} 3 4, {next(voxel)} 5 6"

    monkeypatch.setattr("builtins.input", answer)
    names = _run(DOCS / "environment.md")
    assert [prompt.partition("up to ")[2].split()[0] for prompt in asked] == ["25", "5", "5", "5", "5"]
    assert (here / "now.png").read_bytes().startswith(b"\x89PNG")
    assert names["envs"].state.n_clicks.tolist() == [10]
    assert torch.allclose(names["brier"](torch.tensor(0.5), torch.tensor(1.0), torch.tensor(True)), torch.tensor(0.25))


@pytest.mark.slow
def test_online(here: Path) -> None:
    for scan in ("scan12", "scan13"):
        shutil.copy(here / "scan.nii.gz", here / f"{scan}.nii.gz")
    names = _run(DOCS / "online.md")
    assert names["name"].startswith("spleen__scan12-") and names["mask"].any()
    assert len(list((here / "projects" / "spleens" / "labels").iterdir())) == 2


def test_the_commands_for_the_rows_of_table_5_turn_on_what_they_say() -> None:
    page = (DOCS / "training.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (yes )?\| (yes )?\| (yes )?\| `(.*?) ?--out .*` \|$", page, re.MULTILINE)
    assert len(rows) == 6
    for *ticks, flags in rows:
        on = [name for name, tick in zip(presets.MECHANISMS, ticks, strict=True) if tick]
        assert flags.split() == [f"--{name.replace('_', '-')}" for name in on]
    assert not any(getattr(presets.FAST.mecca, name) for name in presets.MECHANISMS)  # what these commands begin with


def test_training(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = _run(DOCS / "training.md")
    assert "AUROC" in capsys.readouterr().out
    assert nibabel.load(here / "mask.nii.gz").shape == names["mask"].shape
