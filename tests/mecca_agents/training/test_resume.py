"""A run that was stopped, however it was, goes on as if it had not been: the same weights and log, bit for bit."""

from __future__ import annotations

import io
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from mecca_agents.cli import main
from mecca_agents.presets import PRESETS
from mecca_agents.runs import RunError, read_config
from mecca_agents.runs.checkpoints import checkpoint_folder
from mecca_agents.runs.tally import Tally
from mecca_agents.runtime.stopping import Stopped
from mecca_agents.training import loop, resume
from tests.support.agents import ENV, write_scans
from tests.support.runs import assert_same_run, log_of, train_tiny

SMALL = PRESETS["demo"].replace(shape=(10, 9, 8), channels=4, confidence_channels=4, num_envs=2, updates=4)


def test_resuming_with_other_code_says_so_and_changes_no_record(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record, told = (stopped / "config.json").read_bytes(), io.StringIO()
    config = read_config(stopped)
    monkeypatch.setattr("mecca_agents.training.loop.COMMIT", "0a0a")
    monkeypatch.setattr("mecca_agents.training.loop.versions", lambda: {**config.versions, "torch": "1.0"})
    resume(stopped, stream=told)
    line = next(line for line in told.getvalue().splitlines() if "bit for bit" in line)
    assert line.startswith(f"{stopped}: torch {config.versions['torch']}, now 1.0; commit ")
    assert "now 0a0a: the result may not be bit for bit that of an unbroken run" in line
    assert (stopped / "config.json").read_bytes() == record


def test_resuming_with_the_same_code_says_nothing(stopped: Path) -> None:
    told = io.StringIO()
    resume(stopped, stream=told)
    assert "bit for bit" not in told.getvalue()


def test_the_commit_of_a_run_is_that_of_the_code_that_was_loaded(
    tmp_path: Path, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "mecca_agents.runs.provenance._git", lambda *arguments: "a commit made after the code was loaded"
    )
    train_tiny(tmp_path / "run", scans)
    assert read_config(tmp_path / "run").commit == loop.COMMIT != "a commit made after the code was loaded"


@pytest.mark.parametrize("method", ["iter-mrl", "ppo", "mecca"])
def test_the_methods_go_on_bit_for_bit(
    tmp_path: Path, scans: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"labelled_fraction": 0.5}
    train_tiny(tmp_path / "whole", scans, method, SMALL, settings=settings)
    with monkeypatch.context() as patch:
        patch.setattr("mecca_agents.training.display.Display.show", _power_cut)
        with pytest.raises(ConnectionAbortedError):
            train_tiny(tmp_path / "run", scans, method, SMALL, settings=settings)
    assert len(log_of(tmp_path / "run")) == 3
    resume(tmp_path / "run", stream=io.StringIO())
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def _power_cut(self: object, tally: Any) -> None:
    if tally.updates == 3:
        raise ConnectionAbortedError


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_lets_the_update_finish_and_says_how_to_go_on(
    tmp_path: Path,
    scans: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    code: int,
) -> None:
    monkeypatch.setenv("TINY_SIGNAL", str(int(number)))
    monkeypatch.setenv("TINY_ONCE", str(tmp_path / "once"))
    before = signal.getsignal(number)
    method = "tests.support.agents:Signalled"
    command = f"train {method} --env {ENV} --root {scans} --shape 8 8 8 --num-envs 2 --updates 7 --device cpu"
    run, whole = tmp_path / "run", tmp_path / "whole"
    assert main([*command.split(), "--checkpoint-every", "2", "--out", str(run)]) == code
    assert f"stopped by {number.name} after 4 of 7 updates" in (error := capsys.readouterr().err)
    assert f"mecca train --resume {run}" in error
    assert signal.getsignal(number) == before
    assert len(log_of(run)) == 4
    assert main(["train", "--resume", str(run)]) == 0
    assert main([*command.split(), "--checkpoint-every", "2", "--out", str(whole)]) == 0
    assert_same_run(run, whole)


def test_a_stop_between_checkpoints_writes_one_that_does_not_count_as_best(
    tmp_path: Path, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINY_SIGNAL", str(int(signal.SIGTERM)))
    monkeypatch.setenv("TINY_ONCE", str(tmp_path / "once"))
    with pytest.raises(Stopped) as stopped:
        train_tiny(tmp_path / "run", scans, "tests.support.agents:Signalled", checkpoint_every=100)
    assert stopped.value.signal is signal.SIGTERM and isinstance(stopped.value, KeyboardInterrupt)
    state = json.loads((checkpoint_folder(tmp_path / "run") / "state.json").read_text())
    assert (state["updates"], state["best"]) == (4, None)
    assert not checkpoint_folder(tmp_path / "run", "best").exists()


def test_a_training_of_which_somebody_has_had_enough_ends_with_a_checkpoint(tmp_path: Path, scans: Path) -> None:
    train_tiny(tmp_path / "whole", scans)
    heard: list[int] = []

    def enough(tally: Tally) -> bool:
        heard.append(tally.updates)
        return tally.updates == 3

    train_tiny(tmp_path / "run", scans, on_update=enough)
    assert heard == [1, 2, 3] and len(log_of(tmp_path / "run")) == 3
    assert json.loads((checkpoint_folder(tmp_path / "run") / "state.json").read_text())["updates"] == 3
    resume(tmp_path / "run", stream=io.StringIO())
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_a_finished_run_stays_as_it_is(tmp_path: Path, scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train_tiny(tmp_path / "run", scans)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert main(["train", "--resume", str(tmp_path / "run")]) == 0
    assert "finished after 7 updates, there is nothing to do" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (
            "tests.support.agents:Exploding",
            r"update 3: loss became NaN or infinite; the last good checkpoint is .*checkpoints/last",
        ),
        (
            "tests.support.agents:Raising",
            r"update 3: gradient of the tiny network became inf; the last good checkpoint is ",
        ),
        (
            "tests.support.agents:Overflowing",
            r"update 3: the weights weight became NaN or infinite; the last good checkpoint is ",
        ),
    ],
)
def test_nan_stops_the_run_and_leaves_the_last_good_checkpoint(
    tmp_path: Path, scans: Path, method: str, message: str
) -> None:
    with pytest.raises(FloatingPointError, match=message):
        train_tiny(tmp_path / "run", scans, method)
    state = json.loads((checkpoint_folder(tmp_path / "run") / "state.json").read_text())
    assert state["updates"] == 2
    weights = load_file(checkpoint_folder(tmp_path / "run") / "model.safetensors")
    assert all(bool(torch.isfinite(value).all()) for value in weights.values())


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was stopped half way, beside the data set that it was trained on."""
    data = write_scans(tmp_path / "Task09_Spleen")
    monkeypatch.setenv("TINY_SIGNAL", str(int(signal.SIGTERM)))
    monkeypatch.setenv("TINY_ONCE", str(tmp_path / "once"))
    with pytest.raises(Stopped):
        train_tiny(tmp_path / "run", data, "tests.support.agents:Signalled")
    return tmp_path / "run"


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _ask_for_bfloat16(run: Path) -> None:
    preset = json.loads((run / "config.json").read_text())["preset"]
    _edit(run / "config.json", preset={**preset, "precision": "bf16"})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: shutil.rmtree(run.parent / "Task09_Spleen"), "run: the run cannot go on from it.*Task09_Spleen"),
        (lambda run: write_scans(run.parent / "Task09_Spleen", 9), "another: number of cases is 7 here, 4 there"),
        (lambda run: _edit(run / "config.json", settings={"horizon": 4}), "horizon is 4 here, 5 there"),
        (
            lambda run: _truncate(checkpoint_folder(run) / "model.safetensors"),
            "last/model.safetensors: expected tensors",
        ),
        (
            lambda run: _truncate(checkpoint_folder(run) / "training.safetensors"),
            "last/training.safetensors: expected tensors",
        ),
        (
            lambda run: save_file({"alien": torch.ones(1)}, checkpoint_folder(run) / "model.safetensors"),
            "weights do not fit",
        ),
        (
            lambda run: save_file({"agent.alien.x": torch.ones(1)}, checkpoint_folder(run) / "training.safetensors"),
            "last/training.safetensors: the run cannot go on from it.*'alien.x' belongs to no",
        ),
        (lambda run: shutil.rmtree(run / "checkpoints"), "last/state.json: expected the state of a checkpoint"),
        (lambda run: (run / "metrics.csv").unlink(), "metrics.csv: expected the rows of updates 0 to 3"),
        (_ask_for_bfloat16, "run: the run cannot go on from it: precision: expected float32 in a training on a CPU"),
        (lambda run: (run / "config.json").unlink(), "expected a run with a config.json"),
    ],
)
def test_a_run_that_cannot_go_on_is_one_error_and_stays_as_it_is(
    stopped: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(stopped)
    before = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    with pytest.raises(RunError, match=message):
        resume(stopped, stream=io.StringIO())
    after = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    assert {path: text for path, text in after.items() if "tensorboard" not in path.parts} == {
        path: text for path, text in before.items() if "tensorboard" not in path.parts
    }


def test_a_full_disk_stops_the_run_and_it_goes_on_when_there_is_space(
    tmp_path: Path, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_tiny(tmp_path / "whole", scans)
    calls = []

    def full(tensors: Any, path: Path) -> None:
        calls.append(path)
        if len(calls) > 8:
            path.write_bytes(b"half of it")
            raise OSError(28, "No space left on device", str(path))
        save_file(tensors, path)

    with monkeypatch.context() as patch:
        patch.setattr("mecca_agents.runs.checkpoints.save_file", full)
        with pytest.raises(RunError, match="last: cannot be written.*No space left on device.*is whole"):
            train_tiny(tmp_path / "run", scans)
    resume(tmp_path / "run", stream=io.StringIO())
    assert_same_run(tmp_path / "run", tmp_path / "whole")
