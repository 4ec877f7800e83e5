"""Run folders: what is written comes back, what is wrong is refused in one sentence, nothing is lost."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mecca_agents.agent import TaskSpec, make_agent
from mecca_agents.checkpoints import Checkpoint, place_of, write_checkpoint
from mecca_agents.presets import PRESETS
from mecca_agents.progress import Tally
from mecca_agents.provenance import commit
from mecca_agents.runs import (
    RunConfig,
    RunError,
    check_writable,
    load_agent,
    prepare_folder,
    read_config,
    write_config,
    write_rows,
)
from mecca_env.atomic import atomically
from mecca_env.config import EnvConfig
from mecca_env.snapshot import Snapshot

PRESET = replace(PRESETS["demo"], shape=(10, 9, 8), channels=4)
CONFIG = RunConfig(
    method="iter-mrl",
    env="MECCA-Phantom-v0",
    dataset="phantom",
    root=None,
    label=(1, 2),
    settings={"horizon": 3, "labelled_fraction": 0.25},
    preset=PRESET,
    modalities=1,
    seed=5,
    train_cases=("a", "b"),
    cases=("a", 4),
    skip_bad=True,
    checkpoint_every=7,
    device="cpu",
    environment={"horizon": 3, "extension": (1, 11)},
    versions={"torch": "2"},
    commit="0123abcd-dirty",
)
TASK = TaskSpec((10, 9, 8), 1, EnvConfig().adjustments)


def _run(folder: Path) -> dict[str, torch.Tensor]:
    folder.mkdir()
    write_config(folder, CONFIG)
    agent = make_agent("iter-mrl", PRESET, TASK, device=torch.device("cpu"), seed=1)
    _save(folder, agent.weights())
    return agent.weights()


def _save(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    write_checkpoint(folder, Checkpoint(Tally(), weights, {}, Snapshot({}, {})))


def test_settings_come_back_as_they_were(tmp_path: Path) -> None:
    write_config(tmp_path, CONFIG)
    assert read_config(tmp_path) == CONFIG


def test_weights_come_back_bit_for_bit(tmp_path: Path) -> None:
    written = _run(tmp_path / "run")
    agent, config = load_agent(tmp_path / "run")
    assert config == CONFIG
    assert all(torch.equal(value, written[key]) for key, value in agent.weights().items())


def test_an_existing_run_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    _run(tmp_path / "run")
    with pytest.raises(RunError, match="exists already"):
        prepare_folder(tmp_path / "run", overwrite=False)
    prepare_folder(tmp_path / "run", overwrite=True)
    assert not any((tmp_path / "run").iterdir())


def test_a_killed_overwriting_can_be_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _run(tmp_path / "run")
    (tmp_path / "run" / "zebra.csv").write_text("")

    def fail(path: Path) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", fail)
        with pytest.raises(RunError, match="run: cannot be made: Input/output error"):
            prepare_folder(tmp_path / "run", overwrite=True)
    assert (tmp_path / "run" / "config.json").exists()
    prepare_folder(tmp_path / "run", overwrite=True)
    assert not any((tmp_path / "run").iterdir())


def test_a_folder_that_cannot_be_written_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file/run: cannot be made"):
        prepare_folder(tmp_path / "file" / "run", overwrite=False)
    _run(tmp_path / "run")
    monkeypatch.setattr("os.access", lambda path, mode: False)  # as for somebody else's run; root may do everything
    with pytest.raises(RunError, match="run: cannot be overwritten: no permission to write"):
        prepare_folder(tmp_path / "run", overwrite=True)
    assert (tmp_path / "run" / "config.json").exists()


def test_something_else_than_a_run_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("three years of work")
    with pytest.raises(RunError, match="left as it is"):
        prepare_folder(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "three years of work"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: (run / "config.json").unlink(), "expected a run with a config.json"),
        (lambda run: (run / "config.json").write_text("{"), "expected the settings of a run"),
        (lambda run: (run / "config.json").write_text(json.dumps({"format": 99})), "expected format 2, found 99"),
        (lambda run: (run / "checkpoints/last/model.safetensors").unlink(), "found no file"),
        (lambda run: _truncate(run / "checkpoints/last/model.safetensors"), "expected tensors of a checkpoint"),
        (lambda run: _save(run, {"foreign": torch.zeros(3)}), "weights do not fit"),
    ],
)
def test_a_damaged_run_is_one_clear_error(tmp_path: Path, damage: object, message: str) -> None:
    _run(tmp_path / "run")
    damage(tmp_path / "run")  # type: ignore[operator]
    with pytest.raises(RunError, match=message) as error:
        load_agent(tmp_path / "run")
    assert str(tmp_path / "run") in str(error.value)


def test_weights_of_another_width_are_refused(tmp_path: Path) -> None:
    _run(tmp_path / "run")
    write_config(tmp_path / "run", replace(CONFIG, preset=replace(PRESET, channels=6)))
    with pytest.raises(RunError, match="weights do not fit"):
        load_agent(tmp_path / "run")


def test_weights_are_found_while_a_checkpoint_is_being_replaced(tmp_path: Path) -> None:
    written = _run(tmp_path / "run")
    place_of(tmp_path / "run").rename(tmp_path / "run" / "checkpoints" / ".last.previous")
    agent, _ = load_agent(tmp_path / "run")
    assert all(torch.equal(value, written[key]) for key, value in agent.weights().items())


def _git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="no git here")
def test_the_commit_is_that_of_the_code(tmp_path: Path) -> None:
    code, other = tmp_path / "code.py", tmp_path / "installed.py"
    code.write_text("1")
    assert commit(code) is None
    _git(tmp_path, "init")
    _git(tmp_path, "add", "code.py")
    _git(tmp_path, "commit", "-m", "first")
    other.write_text("")
    head = _git(tmp_path, "rev-parse", "HEAD")
    assert (commit(code), commit(other), commit(tmp_path / "none" / "x.py")) == (head, None, None)
    code.write_text("2")
    assert commit(code) == f"{head}-dirty"


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert commit() is None


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        atomically(path, fail)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_table_into_a_missing_folder_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nowhere"):
        write_rows(tmp_path / "nowhere" / "table.csv", ["a"], [{"a": 1}])


def test_whether_a_file_can_be_written_is_known_without_touching_it(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("results of last year")
    check_writable(table)
    assert table.read_text() == "results of last year"
    for path in (tmp_path, tmp_path / "nowhere" / "table.csv"):
        with pytest.raises(RunError, match=str(path)):
            check_writable(path)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])
