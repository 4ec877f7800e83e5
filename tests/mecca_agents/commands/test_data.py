"""`mecca data check` sees what a training would see, and says what it has looked at."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from mecca_agents.cli import main
from mecca_env.data.base import DataError
from mecca_env.data.catalog import open_dataset
from mecca_env.data.checking import find_faults, look_at, look_at_dataset
from tests.support.agents import ENV, write_scans
from tests.support.volumes import ellipsoid, write_brats2020, write_mmwhs, write_nifti, write_pairs

TRAIN = "train random --preset brief --shape 8 9 10 --updates 1 --device cpu"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MECCA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MECCA_DATA", raising=False)


def without_atrium(root: Path) -> Path:
    """MM-WHS with a label map that has another structure, and no left atrium."""
    write_mmwhs(root)
    write_nifti(root / "mr_train" / "mr_train_1002_label.nii.gz", (ellipsoid() * 500).astype(np.uint16))
    return root


def test_the_env_brings_its_own_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = without_atrium(tmp_path / "MM-WHS")
    assert main(["data", "check", str(root)]) == 0
    assert capsys.readouterr().out.endswith("4 cases in the layout mmwhs, modalities: 1, foreground: all above 0\n")
    assert main(["data", "check", str(root), "--env", "MECCA-LeftAtrium-v0"]) == 1
    printed = capsys.readouterr().out
    assert "mr_train_1002_label.nii.gz: empty label; expected values [420], found 0, 500" in printed
    assert printed.endswith(": 1 fault; 4 cases in the layout mmwhs, modalities: 1, foreground: 420\n")
    assert main(["data", "check", str(root), "--env", "MECCA-LeftAtrium-v0", "--label", "500"]) == 0


def test_a_source_that_refuses_names_the_command_that_sees_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = without_atrium(tmp_path / "heart scans")
    with pytest.raises(DataError) as caught:
        open_dataset("LeftAtrium", root)
    command = re.findall(r"`(mecca data check [^`]*)` lists all", str(caught.value))[0]
    assert shlex.split(command)[3:] == [str(root), "--label", "420"]
    assert main(shlex.split(command)[1:]) == 1
    assert "empty label; expected values [420]" in capsys.readouterr().out
    brats = write_brats2020(tmp_path / "BraTS")
    (brats / "BraTS20_Training_001" / "BraTS20_Training_001_t1ce.nii.gz").unlink()
    assert find_faults(brats) == []
    with pytest.raises(DataError, match="--modalities flair t1ce` lists all"):
        open_dataset("BraTS", brats, modalities=("flair", "t1ce"))
    with pytest.raises(DataError, match="check .*BraTS --label each --modalities t1ce`"):
        open_dataset("BraTS", brats, "each", modalities=("t1ce",))
    with pytest.raises(DataError, match="check .*BraTS --modalities t1ce --tolerance 0.01`"):
        open_dataset("BraTS", brats, modalities=("t1ce",), tolerance=0.01)


def test_modalities_and_folders_of_the_env(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_brats2020(tmp_path / "BraTS2020")
    (root / "BraTS20_Training_002" / "BraTS20_Training_002_t2.nii.gz").unlink()
    assert main(["data", "check", "--env", "MECCA-BraTS-v0"]) == 2
    assert "MECCA_DATA is not set" in capsys.readouterr().err
    monkeypatch.setenv("MECCA_DATA", str(tmp_path))
    assert main(["data", "check", "--env", "MECCA-BraTS-v0"]) == 0
    assert f"{root}: no faults; 2 cases in the layout brats2020, modalities: 1" in capsys.readouterr().out
    assert main(["data", "check", "--env", "MECCA-BraTS-v0", "--modalities", "flair", "t2"]) == 1
    assert "BraTS20_Training_002_t2.nii.gz: missing image" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "expected ROOT or --env ID, got neither"),
        ("--env MECCA-Phantom-v0", "env: expected one that reads files, MECCA-BraTS-v0, .*, got 'MECCA-Phantom-v0'"),
        ("{} --env Spleen", "env: expected one that reads files, .*, got 'Spleen'"),
    ],
)
def test_what_cannot_be_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    assert main(["data", "check", *arguments.replace("{}", str(tmp_path)).split()]) == 2
    assert re.search(message, capsys.readouterr().err)
    with pytest.raises(DataError, match="data set: expected one of BraTS, .*, found 'Phantom'"):
        look_at_dataset("Phantom")


def test_notes_are_no_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_pairs(tmp_path / "data")
    (root / "images" / "a.json").write_text("{}")
    assert main(["data", "check", str(root)]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first == f"note: {root / 'images'}: left aside, no images: a.json" and "no faults; 3 cases" in last
    assert look_at(root).faults == [] and look_at(root).cases == 3


def test_one_case_alone_is_trained_on_and_says_how_it_is_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, run = write_scans(tmp_path / "Task09_Spleen", 1), tmp_path / "run"
    assert main(["data", "check", str(root)]) == 0
    assert "note: " in (printed := capsys.readouterr().out) and "(--split all)" in printed
    assert main([*TRAIN.split(), "--env", ENV, "--root", str(root), "--out", str(run)]) == 0
    said = capsys.readouterr().out
    assert f"next: mecca evaluate {run} --split all  (there is no other case to test on)\n" in said
    assert main(["evaluate", str(run)]) == 2
    assert "expected at least two cases to split, found 1; use split='all' (--split all)" in capsys.readouterr().err
    command = said.partition("next: mecca ")[2].partition("  (")[0]
    assert main(command.split()) == 0
    write_scans(root, 2)
    assert main([*TRAIN.split(), "--env", ENV, "--root", str(root), "--out", str(run), "--overwrite"]) == 0
    assert capsys.readouterr().out.endswith(f"next: mecca evaluate {run}\n")
    assert main(["evaluate", str(run)]) == 0


def test_names_that_are_not_utf8_are_named_by_every_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root, odd = write_pairs(tmp_path / "data"), b"/caf\xe9.nii.gz"
    for folder in ("images", "labels"):
        shutil.copy(root / folder / "a.nii.gz", os.fsdecode(os.fsencode(root / folder) + odd))
    train = [*TRAIN.split(), "--env", "MECCA-Volumes-v0", "--root", str(root), "--out", str(tmp_path / "run")]
    fault = f"{root / 'images'}/caf\\udce9.nii.gz: expected a name in UTF-8, found other bytes; rename it"
    assert main(["data", "check", str(root)]) == 1
    assert fault in capfd.readouterr().out
    assert main(train) == 2
    assert fault in capfd.readouterr().err
    with pytest.warns(UserWarning, match="cases left out"):
        assert main([*train, "--skip-bad"]) == 0
    assert main(["evaluate", str(tmp_path / "run")]) == 2
    assert fault in capfd.readouterr().err
    run = os.fsdecode(os.fsencode(tmp_path) + b"/run\xff")
    assert main([*train[:-1], run, "--skip-bad"]) == 2
    assert f"{tmp_path}/run\\udcff: expected a name in UTF-8" in capfd.readouterr().err
    assert main(["annotate", os.fsdecode(os.fsencode(root / "images") + odd), "--no-show"]) == 2
    assert fault in capfd.readouterr().err
