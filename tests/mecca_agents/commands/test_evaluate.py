"""A run on another data set than it was trained on, with another label, under another protocol."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mecca_agents.cli import main
from mecca_agents.evaluation import COLUMNS, evaluate
from mecca_agents.evaluation.runner import evaluation_envs
from mecca_env.data.base import DataError
from tests.mecca_agents.evaluation.test_runner import PLAYED_ON_PHANTOM
from tests.support.volumes import write_npz, write_organs, write_pairs

Runs = Callable[..., Path]


def test_it_is_tested_on_another_data_set_with_that_ones_layout(
    tiny_run: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, run = write_pairs(tmp_path / "other"), tiny_run("iter-mrl")
    results = evaluate(run, env="MECCA-Volumes-v0", root=root, split="all", device="cpu")
    assert {result.dataset for result in results} == {"other"} and {result.case for result in results} == set("abc")
    monkeypatch.setenv("MECCA_DATA", str(tmp_path))
    (tmp_path / "other").rename(tmp_path / "Task04_Hippocampus")  # where that id looks, and not where the run was
    results = evaluate(run, env="MECCA-Hippocampus-v0", split="all", device="cpu")
    assert {result.dataset for result in results} == {"Task04_Hippocampus"}


def test_another_data_set_that_is_missing_is_never_the_phantom(tiny_run: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MECCA_DATA", raising=False)
    with pytest.raises(DataError, match="Decathlon liver: MECCA_DATA is not set"):
        evaluate(tiny_run("iter-mrl"), env="MECCA-Liver-v0", device="cpu")
    with pytest.raises(DataError, match="Decathlon liver: MECCA_DATA is not set"):  # nor of what was trained on it
        evaluation_envs(PLAYED_ON_PHANTOM, env="MECCA-Liver-v0")


def test_the_label_is_the_other_data_sets_or_the_one_that_is_given(tiny_run: Runs, tmp_path: Path) -> None:
    root, run = write_organs(tmp_path / "organs", "ab"), tiny_run("iter-mrl")
    for label, cases in ((None, 2), ("each", 6), ((1, 4), 2), (4, 2)):
        results = evaluate(run, env="MECCA-Volumes-v0", root=root, label=label, split="all", device="cpu")  # type: ignore[arg-type]
        assert len({result.case for result in results}) == cases
    each = evaluate(run, root=root, label="each", split="all", device="cpu")  # of the same id
    assert {result.case for result in each} == {f"{scan}-label{value}" for scan in "ab" for value in (1, 2, 4)}


def test_the_command_plays_another_protocol_and_says_what_the_agent_does_not_see(
    tiny_run: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = write_npz(tmp_path / "files", "ab"), tmp_path / "out.csv"
    words = ["evaluate", str(tiny_run("iter-mrl")), "--env", "MECCA-Volumes-v0", "--root", str(root), "--split", "all"]
    more = ["--protocol", "cvpr25", "--label", "each", "--out", str(out), "--curves", str(tmp_path / "curve.png")]
    assert main([*words, *more, "--masks", str(tmp_path / "masks"), "--device", "cpu"]) == 0
    printed = capsys.readouterr().out.splitlines()
    note = "adapted: the agent sees the larger value of both hint maps and no box"
    assert printed[0] == note
    assert printed[1] == f"files, 2 cases, iter-mrl, protocol cvpr25 ({note})"
    assert printed[2].endswith("misund. % scan Dice % scan NSD % obeyed %")
    assert printed[9].startswith("obedience: of 10 prompts") and printed[10].startswith("bound: the label itself")
    assert "CVPR 2025 challenge, on the scan's own grid, mean over 2 cases" in printed
    assert any(line.startswith("label (bound)") for line in printed)
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS and {row["protocol"] for row in rows} == {"cvpr25"}
    assert [(row["step"], row["clicks"]) for row in rows[:6]] == [(str(step + 1), str(step)) for step in range(6)]
    assert [row["obedience"] == "nan" for row in rows[:6]] == [True, *[False] * 5]
    assert all(0 <= float(row["dice_scan"]) <= 1 and 0 <= float(row["nsd_scan"]) <= 1 for row in rows)
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == [
        *("a-label1.nii.gz", "a.npz", "b-label1.nii.gz", "b.npz"),
    ]


def test_single_flags_overrule_the_protocol(tiny_run: Runs, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    words = ["evaluate", str(tiny_run("iter-mrl")), "--out", str(out), "--protocol", "one-click", "--horizon", "3"]
    assert main([*words, "--user", "edge", "--clicks", "0", "2", "2", "--device", "cpu"]) == 0
    with out.open(newline="") as file:
        assert [(row["protocol"], row["clicks"]) for row in csv.DictReader(file)] == [
            ("one-click", clicks) for clicks in "024"
        ]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--protocol best", "mecca: --protocol: expected one of paper, cvpr25"),
        ("--signed", "mecca: iter-mrl: expected prompts as in training, without signs"),
        ("--curves curve.pdf", "mecca: curve.pdf: expected a name that ends in .png, found 'curve.pdf'"),
        ("--curves nowhere/curve.png", "mecca: nowhere/curve.png: expected an existing folder nowhere, found none"),
    ],
)
def test_what_cannot_be_is_known_before_the_work(
    tiny_run: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: str, message: str
) -> None:
    words = ["evaluate", str(tiny_run("iter-mrl")), "--masks", str(tmp_path / "masks"), *flags.split()]
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.err.startswith(message) and told.err.count("\n") == 1 and not told.out
    assert not (tmp_path / "masks").exists()


def test_a_run_of_a_protocol_is_tested_under_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_pairs(tmp_path / "data", "abcde")
    command = f"train iter-mrl --env MECCA-Volumes-v0 --root {root} --out {tmp_path / 'run'} --shape 10 9 8"
    small = "--preset brief --updates 1 --channels 4 --dilations 1 2 --num-envs 2 --device cpu"
    assert main([*command.split(), *small.split(), "--protocol", "one-click", "--time"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run"), "--device", "cpu"]) == 0
    assert capsys.readouterr().out.startswith("data, 1 case, iter-mrl, protocol one-click\nstep")
    assert main(["evaluate", str(tmp_path / "run"), "--protocol", "paper", "--device", "cpu"]) == 2
    assert "expected prompts with signs and a box and the time" in capsys.readouterr().err


def test_scores_on_the_scans_grid_are_of_the_masks_that_are_written(tiny_run: Runs, tmp_path: Path) -> None:
    import nibabel as nib

    from mecca_agents.evaluation.protocols import scan_scores

    root = write_pairs(tmp_path / "data")
    results = evaluate(tiny_run("iter-mrl"), root=root, split="all", masks=tmp_path / "masks", device="cpu")
    for last in (result for result in results if result.step == 5):
        mask, label = (nib.load(folder / f"{last.case}.nii.gz") for folder in (tmp_path / "masks", root / "labels"))
        expected = scan_scores(
            np.asarray(mask.dataobj) > 0, np.asarray(label.dataobj) > 0, spacing=label.header.get_zooms()
        )
        assert (last.dice_scan, last.nsd_scan) == pytest.approx(expected, abs=1e-6)
