"""Run folders: what is written comes back, what is wrong is refused in one sentence, nothing is lost."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mecca_agents.agent import TaskSpec, make_agent
from mecca_agents.presets import FAMILIES, PRESETS
from mecca_agents.runs import RunConfig, RunError, read_config
from mecca_agents.runs.checkpoints import Checkpoint, checkpoint_folder, write_best, write_checkpoint
from mecca_agents.runs.config import write_config
from mecca_agents.runs.folder import check_folder, check_writable, empty_folder
from mecca_agents.runs.loading import load_agent
from mecca_agents.runs.locking import LOCK, locked
from mecca_agents.runs.provenance import commit, differences, versions
from mecca_agents.runs.tally import Tally
from mecca_agents.tables import write_rows
from mecca_agents.training import resume, train
from mecca_env.atomic import flush_to_disk
from mecca_env.episodes.snapshot import Snapshot
from mecca_env.process.config import EnvConfig
from tests.support.agents import ENV, write_scans
from tests.support.agents import PRESET as TINY

PRESET = PRESETS["demo"].replace(shape=(10, 9, 8), channels=4)
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
    assert json.loads((tmp_path / "config.json").read_text())["preset"].keys() == FAMILIES.keys()  # without families


def test_a_run_without_one_of_the_settings_is_refused(tmp_path: Path) -> None:
    write_config(tmp_path, CONFIG)
    written = json.loads((tmp_path / "config.json").read_text())
    del written["preset"]["compile"]
    (tmp_path / "config.json").write_text(json.dumps(written))
    with pytest.raises(RunError, match="config.json: expected the settings of a run, found KeyError: 'compile'"):
        read_config(tmp_path)


def test_weights_come_back_bit_for_bit(tmp_path: Path) -> None:
    written = _run(tmp_path / "run")
    agent, config = load_agent(tmp_path / "run")
    assert config == CONFIG
    assert all(torch.equal(value, written[key]) for key, value in agent.weights().items())


def test_an_existing_run_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    _run(tmp_path / "run")
    for refuse in (check_folder, empty_folder):
        with pytest.raises(RunError, match="exists already"):
            refuse(tmp_path / "run", overwrite=False)
    check_folder(tmp_path / "run", overwrite=True)
    load_agent(tmp_path / "run")
    with locked(tmp_path / "run"):
        empty_folder(tmp_path / "run", overwrite=True)
        assert [path.name for path in (tmp_path / "run").iterdir()] == [LOCK]


def test_a_killed_overwriting_can_be_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _run(tmp_path / "run")
    (tmp_path / "run" / "zebra.csv").write_text("")

    def fail(path: Path) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", fail)
        with pytest.raises(RunError, match="run: cannot be emptied: Input/output error"):
            empty_folder(tmp_path / "run", overwrite=True)
    assert (tmp_path / "run" / "config.json").exists()
    check_folder(tmp_path / "run", overwrite=True)
    empty_folder(tmp_path / "run", overwrite=True)
    assert not {path.name for path in (tmp_path / "run").iterdir()} - {LOCK}
    check_folder(tmp_path / "run", overwrite=True)  # killed before the new run's config.json was there


def test_a_folder_that_cannot_be_written_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    for refuse in (lambda path: check_folder(path, overwrite=False), lambda path: locked(path).__enter__()):
        with pytest.raises(RunError, match="file/run: cannot be made"):
            refuse(tmp_path / "file" / "run")
    _run(tmp_path / "run")
    with monkeypatch.context() as patch, pytest.raises(RunError, match="run: cannot be looked into: Permission denied"):
        patch.setattr(Path, "iterdir", lambda path: _refuse())
        check_folder(tmp_path / "run", overwrite=True)
    monkeypatch.setattr("os.access", lambda path, mode: False)  # as for somebody else's run; root may do everything
    with pytest.raises(RunError, match="run: cannot be overwritten: no permission to write"):
        check_folder(tmp_path / "run", overwrite=True)
    with pytest.raises(RunError, match="deep/new: cannot be made: .* is no folder that can be written"):
        check_folder(tmp_path / "deep" / "new", overwrite=False)
    assert (tmp_path / "run" / "config.json").exists() and not (tmp_path / "deep").exists()


def _refuse() -> None:
    raise PermissionError(13, "Permission denied")


def test_something_else_than_a_run_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("three years of work")
    with pytest.raises(RunError, match="left as it is"):
        check_folder(tmp_path, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    assert (tmp_path / "thesis.tex").read_text() == "three years of work"


def test_a_folder_is_locked_once_and_its_lock_is_no_obstacle_later(tmp_path: Path) -> None:
    _run(tmp_path / "run")
    (tmp_path / "run" / LOCK).write_text("left by a process that was killed")
    with locked(tmp_path / "run"):
        with pytest.raises(RunError, match="run: another process is training here"), locked(tmp_path / "run"):
            pass
        with pytest.raises(RunError, match="run: another process is training here"):
            check_folder(tmp_path / "run", overwrite=True)
    with locked(tmp_path / "run"):
        pass


def _tiny(out: Path, **keywords: Any) -> None:
    train(
        "tests.support.agents:Tiny",
        ENV,
        out,
        preset=TINY.replace(updates=2),
        device="cpu",
        stream=io.StringIO(),
        **keywords,
    )


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"settings": {"fallback": False}}, "unexpected keyword argument .fallback.; the settings are shape, horizon"),
        ({"settings": {"modalities": ["CT"]}}, "unexpected keyword argument .modalities.; the settings are"),
        ({"settings": {"horizon": np.int64(3)}}, "settings: expected values that JSON can hold"),
        ({"checkpoint_every": 0}, "checkpoint_every: expected an integer of at least 1, got 0"),
        ({"label": 1.5}, "label: expected an integer"),
        ({"cases": "scan_0"}, "cases: expected a number or a sequence"),
    ],
)
def test_what_is_refused_leaves_the_earlier_run(tmp_path: Path, keywords: dict[str, Any], message: str) -> None:
    weights = _run(tmp_path / "run")
    with pytest.raises((TypeError, ValueError), match=message):
        _tiny(tmp_path / "run", root=write_scans(tmp_path / "Task09_Spleen"), overwrite=True, **keywords)
    assert load_agent(tmp_path / "run")[0].weights().keys() == weights.keys()


def test_settings_that_the_run_could_not_store_leave_the_earlier_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run(tmp_path / "run")
    monkeypatch.setattr("mecca_agents.training.loop.versions", lambda: {"torch": object()})
    with pytest.raises(TypeError, match="expected values that JSON can hold"):
        _tiny(tmp_path / "run", root=write_scans(tmp_path / "Task09_Spleen"), overwrite=True)
    load_agent(tmp_path / "run")


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({"label": 1}, {"label": (1,)}),
        ({"label": np.int64(1)}, {"label": (1,)}),
        ({"label": [1]}, {"label": (1,)}),
        ({"cases": np.array([0, 2])}, {"cases": (0, 2)}),
        ({"cases": np.array(["scan_0", "scan_2"])}, {"cases": ("scan_0", "scan_2")}),
        ({"cases": np.int64(2)}, {"cases": 2}),
    ],
)
def test_what_the_environment_accepts_is_stored_plainly(
    tmp_path: Path, given: dict[str, Any], stored: dict[str, Any]
) -> None:
    _tiny(tmp_path / "run", root=write_scans(tmp_path / "Task09_Spleen"), **given)
    config = read_config(tmp_path / "run")
    assert {name: getattr(config, name) for name in stored} == stored
    buffer = io.StringIO()
    resume(tmp_path / "run", stream=buffer)
    assert "nothing to do" in buffer.getvalue()


def test_a_folder_that_is_taken_is_refused_before_the_data_are_read(tmp_path: Path) -> None:
    _run(tmp_path / "run")
    with pytest.raises(RunError, match="exists already"):
        _tiny(tmp_path / "run", root=tmp_path / "nothing")


def _rewrite(run: Path, **changes: Any) -> None:
    (run / "config.json").write_text(json.dumps({**json.loads((run / "config.json").read_text()), **changes}))


def _make_a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: (run / "config.json").unlink(), "expected a run with a config.json"),
        (lambda run: (run / "config.json").write_text("{"), "expected the settings of a run"),
        (lambda run: (run / "config.json").write_text(json.dumps({"format": 99})), "expected format 5, found 99"),
        (lambda run: (run / "config.json").write_text("[" * 100_000), "expected the settings of a run"),
        (lambda run: _rewrite(run, settings={"hue": 1}), "config.json: .* unexpected keyword argument .hue."),
        (lambda run: _rewrite(run, settings={"horizon": 0}), "config.json: .*horizon: expected"),
        (lambda run: _rewrite(run, settings=[]), r"config.json: .*settings: expected dict, found \[\]"),
        (lambda run: _rewrite(run, modalities="1"), "config.json: .*modalities: expected int, found '1'"),
        (lambda run: _rewrite(run, method=3), "config.json: .*method: expected str, found 3"),
        (lambda run: _make_a_file(run / "checkpoints"), "checkpoints/last: expected a checkpoint, found none"),
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
    write_config(tmp_path / "run", replace(CONFIG, preset=PRESET.replace(channels=6)))
    with pytest.raises(RunError, match="weights do not fit"):
        load_agent(tmp_path / "run")


def test_the_best_weights_are_loaded_on_request(tmp_path: Path) -> None:
    last = _run(tmp_path / "run")
    with pytest.raises(RunError, match="checkpoints/best: expected a checkpoint, found none"):
        load_agent(tmp_path / "run", checkpoint="best")
    best = {key: value + 1 for key, value in last.items()}
    write_best(tmp_path / "run", best, Tally())
    for name, weights in (("best", best), ("last", last)):
        found = load_agent(tmp_path / "run", checkpoint=name)[0].weights()
        assert all(torch.equal(value, weights[key]) for key, value in found.items())
    with pytest.raises(RunError, match="expected the checkpoint last or best, got 'first'"):
        load_agent(tmp_path / "run", checkpoint="first")


def test_weights_are_found_while_a_checkpoint_is_being_replaced(tmp_path: Path) -> None:
    written = _run(tmp_path / "run")
    checkpoint_folder(tmp_path / "run").rename(tmp_path / "run" / "checkpoints" / ".last.previous")
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


def test_a_package_without_metadata_says_its_version_itself_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", missing)
    monkeypatch.delattr("gymnasium.__version__")
    found = versions()
    assert (found["mecca"], found["torch"], found["gymnasium"]) == ("0.1.0", torch.__version__, None)
    json.dumps(found)


def test_what_differs_is_listed() -> None:
    before, now = {"torch": "2.4", "numpy": "2", "commit": None}, {"torch": "2.5", "numpy": "2", "commit": "0a"}
    assert differences(before, now) == ["torch 2.4, now 2.5", "commit unknown, now 0a"]
    assert differences(now, now) == []


def test_a_config_is_on_the_disk_before_it_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[tuple[str, Path]] = []

    def note(name: str, action: Callable[..., None]) -> Callable[..., None]:
        return lambda *paths: (steps.append((name, paths[0])), action(*paths))[1]

    monkeypatch.setattr("mecca_env.atomic.flush_to_disk", note("flush", flush_to_disk))
    monkeypatch.setattr("os.replace", note("replace", os.replace))
    write_config(tmp_path, CONFIG)
    assert [name for name, _ in steps] == ["flush", "replace", "flush"]
    assert steps[0][1] == steps[1][1] and steps[2][1] == tmp_path


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
