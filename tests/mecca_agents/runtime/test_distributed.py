"""Several processes on their parts of a batch: the weights of one process on the whole of it, restarts, refusals."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mecca_agents.presets import PRESETS
from mecca_agents.runs.checkpoints import MODEL, checkpoint_folder
from mecca_agents.runs.envs import make_envs
from mecca_agents.runtime.distributed import Part, part_of
from mecca_agents.training import resume, train
from mecca_env.episodes.snapshot import join_snapshots, snapshot_rows
from tests.support import ROOT
from tests.support.agents import ENV, write_scans

pytestmark = pytest.mark.slow  # torchrun

PRESET = PRESETS["demo"].replace(
    shape=(10, 9, 8),
    channels=4,
    confidence_channels=4,
    num_envs=4,
    updates=4,
    delta=(0.52, 0.52),  # an untrained network is certain of something, and of not everything
    # Sampled actions do not change for a rounding error; the nearest to an expected adjustment may.
    policy_head="actions",
)
COMMON = ["--shape", *"10 9 8".split(), "--channels", "4", "--num-envs", "4", "--policy-head", "actions"]
COMMON += ["--updates", "4", "--preset", "demo", "--checkpoint-every", "2", "--device", "cpu"]
FLAGS = [*COMMON, "--confidence-channels", "4", "--delta", "0.52", "0.52"]


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scans(tmp_path_factory.mktemp("data") / "Task09_Spleen", count=9)


@pytest.fixture(scope="module")
def alone(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process on the whole batch."""
    out = tmp_path_factory.mktemp("runs") / "alone"
    given: dict[str, Any] = {"root": scans, "checkpoint_every": 2, "device": "cpu", "stream": io.StringIO()}
    train("mecca", ENV, out, preset=PRESET, settings={"labelled_fraction": 0.5}, **given)
    return out


def torchrun(*arguments: str, restarts: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command line in two processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [f"--max-restarts={restarts}", "-m", "mecca_agents.cli", *arguments]
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(checkpoint_folder(run) / MODEL)


def log(run: Path) -> list[dict[str, float]]:
    with (run / "metrics.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def same(run: Path, other: Path) -> None:
    """The same weights to 1e-6, and the same log: what is counted exactly, the rest but for rounding."""
    mine, theirs = weights(run), weights(other)
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=1e-6, msg=name)
    for one, two in zip(log(run), log(other), strict=True):
        assert one == pytest.approx(two, rel=1e-4, abs=1e-5)


def test_two_processes_make_the_weights_of_one_even_when_one_is_killed(
    alone: Path, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    arguments = [
        "train",
        "tests.support.together:Dying",
        "--env",
        ENV,
        "--root",
        str(scans),
        "--labelled-fraction",
        "0.5",
    ]
    done = torchrun(*arguments, *FLAGS, "--out", str(out), restarts=1, TOGETHER_ONCE=str(tmp_path / "once"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "once").exists()  # it was killed, and started again
    assert done.stdout.count("trained in") == 1
    assert {"mask_share", "confidence_loss", "dice"} <= log(out)[0].keys()
    assert any(0.0 < row["mask_share"] < 1.0 for row in log(out))  # Algorithm 1 with its mask was put to the test
    same(out, alone)


def test_two_processes_go_over_the_same_steps_in_the_same_order(scans: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"root": scans, "checkpoint_every": 2, "device": "cpu", "stream": io.StringIO()}
    # Where a gradient is next to nothing, Adam's first steps make a share of the learning rate of a rounding error.
    preset = PRESET.replace(n_steps=1, epochs=2, learning_rate=2e-4)
    train("ppo", ENV, tmp_path / "alone", preset=preset, **given)
    flags = ["--n-steps", "1", "--epochs", "2", "--learning-rate", "2e-4", "--out", str(tmp_path / "run")]
    done = torchrun("train", "ppo", "--env", ENV, "--root", str(scans), *COMMON, *flags)
    assert done.returncode == 0, done.stderr
    same(tmp_path / "run", tmp_path / "alone")


def test_a_run_of_two_processes_goes_on_in_one(alone: Path, scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = [
        "train",
        "tests.support.together:Dying",
        "--env",
        ENV,
        "--root",
        str(scans),
        "--labelled-fraction",
        "0.5",
    ]
    died = torchrun(*arguments, *FLAGS, "--out", str(out), TOGETHER_ONCE=str(tmp_path / "once"))
    assert died.returncode != 0
    state = json.loads((checkpoint_folder(out) / "state.json").read_text())
    assert state["updates"] == 2
    config = out / "config.json"
    config.write_text(config.read_text().replace("tests.support.together:Dying", "mecca"))
    resume(out, device="cpu", stream=io.StringIO())
    same(out, alone)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["tests.support.agents:Tiny", "--num-envs", "4"],
            "expected one that learns in several processes, tests.support.agents:Tiny learns in one",
        ),
        (["iter-mrl", "--num-envs", "3"], "num_envs: expected a multiple of the 2 processes, got 3"),
    ],
)
def test_what_several_processes_cannot_do_is_refused(arguments: list[str], said: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    refused = torchrun("train", *arguments, "--env", "MECCA-Phantom-v0", "--device", "cpu", "--out", str(out))
    assert refused.returncode != 0 and said in refused.stderr
    assert not out.exists()


def test_one_process_plays_the_whole_batch() -> None:
    assert part_of(5) == Part(0, 5, 5)


def test_snapshots_of_parts_are_the_snapshot_of_the_whole(scans: Path) -> None:
    keywords: dict[str, Any] = {"root": scans, "shape": (8, 8, 8), "labelled_fraction": 0.5, "labelled_share": 0.5}
    whole = make_envs(ENV, 4, **keywords)
    parts = [make_envs(ENV, 2, **keywords) for _ in range(2)]
    whole.reset(seed=3), parts[0].reset(seed=3), parts[1].reset(seed=5)
    generator = torch.Generator().manual_seed(0)
    for _ in range(7):  # into the second episode
        action = torch.randint(6, (4, 8, 8, 8), generator=generator)
        whole.step(action), parts[0].step(action[:2]), parts[1].step(action[2:])
    joined, expected = join_snapshots([part.snapshot() for part in parts]), whole.snapshot()
    assert joined.host == expected.host
    assert joined.tensors.keys() == expected.tensors.keys()
    assert all(torch.equal(value, joined.tensors[name]) for name, value in expected.tensors.items())
    for first, part in zip((0, 2), parts, strict=True):
        piece, own = snapshot_rows(expected, first, 2), part.snapshot()
        assert piece.host == own.host and piece.tensors.keys() == own.tensors.keys()
        assert all(torch.equal(value, piece.tensors[name]) for name, value in own.tensors.items())
        part.restore(piece)
