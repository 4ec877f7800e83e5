"""Checkpoints come back as they were; a write that fails leaves the one before; what is damaged is refused."""

from __future__ import annotations

import json
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mecca_agents.runs import RunError, checkpoints
from mecca_agents.runs.checkpoints import (
    Checkpoint,
    checkpoint_folder,
    find_checkpoint,
    read_checkpoint,
    tidy,
    write_best,
    write_checkpoint,
)
from mecca_agents.runs.tally import Tally
from mecca_env.episodes.snapshot import Snapshot

CPU = torch.device("cpu")


def _checkpoint(updates: int) -> Checkpoint:
    shared = torch.arange(4000.0) + updates
    return Checkpoint(
        Tally(updates, 1 / 3, 10 * updates, {"dice": 0.1 + 0.2}, best=1 / 7),
        weights={"a": shared, "b": shared[::2], "c": torch.ones(2, 3, dtype=torch.bfloat16)},
        training={"generator.x": torch.arange(5, dtype=torch.uint8)},
        envs=Snapshot({"over": torch.tensor([True, False])}, {"state": 2**100, "seeds": [1, 2]}),
    )


def _same(run: Path, updates: int) -> None:
    found, expected = read_checkpoint(run, CPU), _checkpoint(updates)
    assert found.tally == expected.tally
    assert found.envs.host == expected.envs.host
    for mine, theirs in ((found.weights, expected.weights), (found.training, expected.training)):
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(value, theirs[key]) and value.dtype == theirs[key].dtype for key, value in mine.items())
    assert torch.equal(found.envs.tensors["over"], expected.envs.tensors["over"])


@contextmanager
def _little_space(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes, which fails as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_everything_comes_back_bit_for_bit(tmp_path: Path) -> None:
    for updates in (1, 2):
        write_checkpoint(tmp_path, _checkpoint(updates))
        _same(tmp_path, updates)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last"]


def test_best_holds_weights_and_how_far_the_run_was(tmp_path: Path) -> None:
    write_best(tmp_path, {"a": torch.ones(2)}, Tally(3, best=0.5))
    assert {path.name for path in checkpoint_folder(tmp_path, "best").iterdir()} == {"model.safetensors", "state.json"}
    assert json.loads((checkpoint_folder(tmp_path, "best") / "state.json").read_text())["updates"] == 3


@pytest.mark.parametrize("size", [0, 2000, 20_000])
def test_a_full_disk_is_one_error_and_the_one_before_stays(tmp_path: Path, size: int) -> None:
    with _little_space(size), pytest.raises(RunError, match=r"last: cannot be written.*none is there"):
        write_checkpoint(tmp_path, _checkpoint(1))
    write_checkpoint(tmp_path, _checkpoint(1))
    with _little_space(size), pytest.raises(RunError, match=r"last: cannot be written.*File too large.*is whole"):
        write_checkpoint(tmp_path, _grown(_checkpoint(2)))
    _same(tmp_path, 1)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last"]


@pytest.mark.parametrize("failing", [1, 2])
def test_a_renaming_that_fails_leaves_the_one_before(
    tmp_path: Path, failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_checkpoint(tmp_path, _checkpoint(1))
    rename, calls = os.rename, []

    def fail(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) == failing:
            raise OSError(5, "Input/output error")
        rename(source, target)

    monkeypatch.setattr("os.rename", fail)
    with pytest.raises(RunError, match="Input/output error"):
        write_checkpoint(tmp_path, _checkpoint(2))
    _same(tmp_path, 1)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last"]


def test_between_the_renamings_the_one_before_is_found_and_put_back(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, _checkpoint(1))
    checkpoint_folder(tmp_path).rename(tmp_path / "checkpoints" / ".last.previous")
    (tmp_path / "checkpoints" / ".last.new").mkdir()
    assert find_checkpoint(tmp_path).name == ".last.previous"
    _same(tmp_path, 1)  # reading moves nothing
    tidy(tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last"]
    _same(tmp_path, 1)


def test_leftovers_do_not_hinder_the_next_one(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, _checkpoint(1))
    shutil.copytree(checkpoint_folder(tmp_path), tmp_path / "checkpoints" / ".last.previous")
    (tmp_path / "checkpoints" / ".last.new").mkdir()
    (tmp_path / "checkpoints" / ".last.new" / "model.safetensors").write_bytes(b"half")
    write_checkpoint(tmp_path, _checkpoint(2))
    _same(tmp_path, 2)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last"]


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("model.safetensors", lambda path: path.unlink(), "found no file"),
        ("model.safetensors", lambda path: path.write_bytes(path.read_bytes()[:-40]), "something else or a part"),
        ("training.safetensors", lambda path: path.write_bytes(path.read_bytes()[:-3]), "something else or a part"),
        ("training.safetensors", lambda path: path.write_bytes(b""), "something else or a part"),
        ("training.safetensors", lambda path: save_file({"alien": torch.ones(1)}, path), r"found \['alien'\]"),
        ("state.json", lambda path: path.unlink(), "found no file"),
        ("state.json", lambda path: path.write_text(path.read_text()[:30]), "expected the state of a checkpoint"),
        ("state.json", lambda path: path.write_text("[1]"), "found list"),
        ("state.json", lambda path: path.write_text('{"format": 1}'), r"found \['format'\]"),
        ("state.json", lambda path: path.write_text(path.read_text().replace('"format": 1', '"format": 9')), "9"),
    ],
)
def test_a_damaged_one_is_one_error_that_names_the_file(
    tmp_path: Path, file: str, damage: Callable[[Path], object], message: str
) -> None:
    write_checkpoint(tmp_path, _checkpoint(1))
    damage(checkpoint_folder(tmp_path) / file)
    with pytest.raises(RunError, match=message) as error:
        read_checkpoint(tmp_path, CPU)
    assert str(checkpoint_folder(tmp_path) / file) in str(error.value)


@pytest.mark.parametrize("file", ["state.json", "training.safetensors", "model.safetensors"])
def test_one_that_is_replaced_while_it_is_read_is_read_again(
    tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_checkpoint(tmp_path, _checkpoint(1))
    read, times = getattr(checkpoints, "_read_state" if file == "state.json" else "read_tensors"), []

    def replaced_before(path: Path, *device: torch.device) -> object:
        if path.name == file:
            times.append(path)
            if len(times) == 1:
                write_checkpoint(tmp_path, _checkpoint(2))
        return read(path, *device)

    monkeypatch.setattr(checkpoints, read.__name__, replaced_before)
    _same(tmp_path, 2)
    assert len(times) == 2


def test_one_that_goes_away_while_it_is_read_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_checkpoint(tmp_path, _checkpoint(1))
    place, times = checkpoint_folder(tmp_path), []

    def moved(run: Path, name: str) -> Path:
        found = find_checkpoint(run, name)
        if not times:  # between the question and the reading, the next one is on its way
            place.rename(place.with_name(".last.previous"))
        times.append(found)
        return found

    monkeypatch.setattr(checkpoints, "find_checkpoint", moved)
    _same(tmp_path, 1)
    assert times[0] == place and times[-1].name == ".last.previous"


def _grown(checkpoint: Checkpoint) -> Checkpoint:
    return Checkpoint(checkpoint.tally, {"a": torch.ones(20_000)}, checkpoint.training, checkpoint.envs)
