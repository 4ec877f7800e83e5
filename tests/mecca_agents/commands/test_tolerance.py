"""`--tolerance`: image and label that lie a little apart go through every command once one says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mecca_agents.app.server import Settings
from mecca_agents.benchmark.cells import Cell
from mecca_agents.benchmark.plan import Plan, settle
from mecca_agents.cli import main
from mecca_agents.presets import PRESETS
from mecca_agents.runs import read_config
from mecca_env.data.base import DataError
from tests.support.volumes import AFFINE, ellipsoid, write_nifti, write_pairs

SHAPE = "--shape 10 9 8 --channels 4 --preset demo --device cpu".split()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three scans; the label of each lies 0.002 mm beside it."""
    for name in "abc":
        write_pairs(tmp_path / "data", names=(name,), suffix=".nii")
        moved = AFFINE + [[0, 0, 0, 0.002], *[[0] * 4] * 3]
        write_nifti(tmp_path / "data" / "labels" / f"{name}.nii", ellipsoid().astype(np.uint8), moved)
    return tmp_path / "data"


def test_data_check_says_how_to_go_on(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(root)]) == 1
    out = capsys.readouterr().out
    assert out.count("up to 0.002 mm apart, more than the tolerance (--tolerance MM)") == 3
    assert main(["data", "check", str(root), "--tolerance", "0.0021"]) == 0
    assert main(["data", "check", str(root), "--tolerance", "-1"]) == 1
    assert "tolerance: expected millimetres, 0 or more, found -1.0" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_remembers_it(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, folder = str(root.parent / "run"), ["--env", "MECCA-Volumes-v0", "--root", str(root)]
    asked = ["train", "iter-mrl", *folder, *SHAPE, "--updates", "1", "--out", run]
    assert main(asked) == 2 and "--tolerance MM" in capsys.readouterr().err
    assert main([*asked, "--tolerance", "0.01"]) == 0
    assert read_config(Path(run)).tolerance == 0.01
    assert main(["evaluate", run, "--split", "all", "--device", "cpu"]) == 0
    assert main(["train", "--resume", run]) == 0
    assert main(["evaluate", run, "--split", "all", "--device", "cpu", "--tolerance", "0.001"]) == 2


def test_a_run_from_before_it_was_there_has_none(tiny_run: Callable[..., Path], tmp_path: Path) -> None:
    text = (tiny_run("iter-mrl") / "config.json").read_text(encoding="utf-8")
    assert '"tolerance": null,\n' in text
    (tmp_path / "config.json").write_text(text.replace('"tolerance": null,\n', ""))
    assert read_config(tmp_path).tolerance is None


def test_a_benchmark_trains_and_tests_with_it(root: Path, tmp_path: Path) -> None:
    preset = PRESETS["demo"].replace(shape=(10, 9, 8))
    plan = {"out": tmp_path / "out", "env": "MECCA-Volumes-v0", "preset": preset, "root": root, "device": "cpu"}
    with pytest.raises(DataError, match=r"--tolerance MM"):
        settle(Plan(**plan), [Cell("iter-mrl")])
    settle(Plan(**plan, tolerance=0.01), [Cell("iter-mrl")])


def test_a_page_refuses_one_that_is_none(tmp_path: Path) -> None:
    assert Settings(tmp_path, tolerance=0.5).tolerance == 0.5
    with pytest.raises(DataError, match="tolerance: expected millimetres"):
        Settings(tmp_path, tolerance=-1)
