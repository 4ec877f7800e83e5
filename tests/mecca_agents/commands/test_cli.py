"""The command line end to end on the phantom, and what it says when it is used wrongly."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from mecca_agents.cli import main
from mecca_agents.evaluation import COLUMNS
from mecca_agents.presets import FAMILIES, PRESETS
from mecca_agents.runs import read_config
from tests.support.agents import ENV, write_scans

TRAIN = "train iter-mrl --env MECCA-Phantom-v0 --shape 10 9 8 --preset demo --updates 2 --checkpoint-every 1".split()


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_train_then_evaluate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mecca_agents.evaluation.runner.PHANTOM_CASES", 2)
    run = tmp_path / "run"
    assert main([*TRAIN, "--out", str(run)]) == 0
    assert [row["update"] for row in _rows(run / "metrics.csv")] == ["0", "1"]
    assert (run / "checkpoints" / "last" / "model.safetensors").exists()
    assert main(["evaluate", str(run), "--out", str(tmp_path / "test.csv")]) == 0
    rows = _rows(tmp_path / "test.csv")
    assert tuple(rows[0]) == COLUMNS
    assert [(row["dataset"], row["step"]) for row in rows[:5]] == [("phantom", str(step)) for step in range(1, 6)]
    clicks = [int(row["clicks"]) for row in rows[:5]]
    assert clicks[0] == 25 and clicks == sorted(clicks) and clicks[-1] <= 45  # fewer where too few edges are wrong
    assert len(rows) == 10
    assert "phantom, 2 cases, iter-mrl" in capsys.readouterr().out


@pytest.mark.slow
def test_evaluation_is_reproducible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mecca_agents.evaluation.runner.PHANTOM_CASES", 2)
    assert main([*TRAIN, "--out", str(tmp_path / "run")]) == 0
    for name in ("one.csv", "two.csv"):
        assert main(["evaluate", str(tmp_path / "run"), "--out", str(tmp_path / name)]) == 0
    one, two = (
        [{k: v for k, v in row.items() if k != "seconds"} for row in _rows(tmp_path / n)]
        for n in ("one.csv", "two.csv")
    )
    assert one == two


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train mecc --env MECCA-Phantom-v0 --out {}/run", "method: expected one of random, oracle"),
        ("train no_such_module:Agent --env MECCA-Phantom-v0 --out {}/run", "cannot load 'no_such_module:Agent'"),
        ("train iter-mrl --env MECCA-Foo-v0 --out {}/run", "env: expected one of MECCA-BraTS-v0"),
        ("train iter-mrl --env MECCA-Phantom-v0 --preset quick --out {}/run", "expected one of paper, paper-grid"),
        ("train iter-mrl --env MECCA-Phantom-v0 --shape 4 9 9 --out {}/run", "shape: expected integers of at least 8"),
        (
            "train iter-mrl --env MECCA-Phantom-v0 --updates 0 --out {}/run",
            "updates: expected an integer of at least 1, got 0",
        ),
        (
            "train iter-mrl --env MECCA-Phantom-v0 --gamma 1.5 --out {}/run",
            "gamma: expected a number from 0 to 1, got 1.5",
        ),
        (
            "train iter-mrl --env MECCA-Phantom-v0 --precision bf16 --device cpu --out {}/run",
            "precision: expected float32 in a training on a CPU, got 'bf16', which is for GPUs",
        ),
        ("train iter-mrl --env MECCA-Phantom-v0 --device tpu --out {}/run", "device: expected auto, cpu or cuda"),
        ("train iter-mrl --env MECCA-Spleen-v0 --root {}/nothing --out {}/run", "nothing"),
        ("train iter-mrl --env MECCA-Phantom-v0 --out {}", "exists already"),
        ("train", "expected METHOD, --env and --out, or --resume RUN; missing: METHOD, --env, --out"),
        ("train mecca --env MECCA-Phantom-v0", "or --resume RUN; missing: --out"),
        ("train mecca --env MECCA-Phantom-v0 --out {}/run --gamma 0.9 --labelled-fraction 2", "a number in [0, 1]"),
        (
            "train mecca --env MECCA-Phantom-v0 --out {}/run --interaction-guide --no-interaction-guide",
            "--interaction-guide: expected this or --no-interaction-guide, got both",
        ),
        ("train --resume {}/none", "expected a run with a config.json"),
        (
            "train mecca --resume {} --updates 9 --no-simulated-labels --seed 0",
            "got method, --seed, --simulated-labels, --updates",
        ),
        ("evaluate {}/none", "expected a run with a config.json"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    assert main(arguments.replace("{}", str(tmp_path)).split()) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("mecca: ")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nSee the documentation"),
        RuntimeError("CUDA error: out of memory\nCompile with TORCH_USE_CUDA_DSA"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        MemoryError(),
    ],
)
def test_memory_that_runs_out_is_one_line_with_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr("mecca_agents.algorithms.iter_mrl.IterMRL.learn", lambda *arguments: _raise(error))
    assert main([*TRAIN, "--out", str(tmp_path / "run"), "--device", "cpu"]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("mecca: ")]
    assert len(lines) == 1 and "out of memory" in lines[0] and "--num-envs, --channels or --shape" in lines[0]


def test_an_unforeseen_error_keeps_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "mecca_agents.algorithms.iter_mrl.IterMRL.learn", lambda *arguments: _raise(RuntimeError("a bug"))
    )
    with pytest.raises(RuntimeError, match="a bug"):
        main([*TRAIN, "--out", str(tmp_path / "run"), "--device", "cpu"])


def _raise(error: Exception) -> None:
    raise error


def test_every_setting_has_a_flag_and_is_stored_with_the_run(tmp_path: Path) -> None:
    root, run = write_scans(tmp_path / "Task09_Spleen"), tmp_path / "run"
    flags = {
        "shape": (8, 9, 10),
        "num_envs": 2,
        "updates": 1,
        "channels": 4,
        "dilations": (1, 2),
        "learning_rate": 0.5,
        "gamma": 0.25,
        "reward_weight": "action",
        "credit": "mean",
        "delta": (0.5, 0.75),
        "confidence_steps": None,
        "self_adaptive_reward": True,
        "simulated_labels": True,
        "interaction_guide": False,
    }
    command = f"train mecca --env {ENV} --root {root} --out {run} --preset brief --labelled-fraction 0.5 --device cpu"
    assert main([*command.split(), *(word for item in flags.items() for word in _as_flag(*item))]) == 0
    config = read_config(run)
    assert config.preset == PRESETS["brief"].replace(**flags)
    assert config.settings["labelled_fraction"] == 0.5 and config.settings["guide"] is False
    assert config.environment["labelled_fraction"] == 0.5 and config.environment["horizon"] == 5
    assert {"python", "mecca", "torch", "gymnasium", "numpy"} == set(config.versions)


def test_a_number_of_labelled_cases_and_their_draw_are_flags(tmp_path: Path) -> None:
    root, run = write_scans(tmp_path / "Task09_Spleen", 6), tmp_path / "run"
    command = (
        f"train random --env {ENV} --root {root} --out {run} --preset brief --shape 8 9 10 --updates 1 --device cpu"
    )
    assert main([*command.split(), "--labelled-cases", "2", "--labelled-draw", "3"]) == 0
    asked = {"labelled_cases": 2, "labelled_draw": 3}
    assert read_config(run).settings == {"labelled_share": 1.0, **asked}
    assert {name: read_config(run).environment[name] for name in asked} == asked


def _as_flag(name: str, value: object) -> list[str]:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", *(str(part) for part in (value if isinstance(value, tuple) else (value,)))]


def test_help_shows_the_presets_and_says_what_every_setting_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", "--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    table = {
        line.split()[0]: line.split()[1:] for line in printed.splitlines() if line.startswith("  ") and line.split()
    }
    assert table["paper"] == list(PRESETS)[1:]
    assert table["updates"] == [str(preset.updates) for preset in PRESETS.values()]
    assert "gamma" not in table  # the same in all
    for name in FAMILIES:
        assert re.search(f"--{name.replace('_', '-')}[ ,]", printed)
    groups = re.findall(r"settings(?:\.([a-z-]+))? options", printed)
    assert groups == ["", "network", "actor-critic", "mecca", "ppo", "mask"]
    assert "Discount (Sec. 4.1)." in printed and "(default" not in printed


def test_data_check_lists_every_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for name, image, label in (
        ("good", rng.normal(size=(12, 12, 12)), np.pad(np.ones((4, 4, 4)), 4)),
        ("flat", np.zeros((12, 12, 12)), np.pad(np.ones((4, 4, 4)), 4)),
        ("empty", rng.normal(size=(12, 12, 12)), np.zeros((12, 12, 12))),
    ):
        nib.save(nib.Nifti1Image(image.astype(np.float32), np.eye(4)), tmp_path / "images" / f"{name}.nii.gz")
        nib.save(nib.Nifti1Image(label.astype(np.uint8), np.eye(4)), tmp_path / "labels" / f"{name}.nii.gz")
    (tmp_path / "labels" / "lonely.nii.gz").write_bytes((tmp_path / "labels" / "good.nii.gz").read_bytes())
    assert main(["data", "check", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "3 faults" in printed
    assert all(name in printed for name in ("flat", "empty", "lonely")) and "good" not in printed
    for name in ("images/flat", "labels/flat", "images/empty", "labels/empty", "labels/lonely"):
        (tmp_path / f"{name}.nii.gz").unlink()
    assert main(["data", "check", str(tmp_path)]) == 0
    assert "no faults" in capsys.readouterr().out
