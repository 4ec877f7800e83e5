"""Runs that learnings have left: which counts, what is known of each, and what cannot be used."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from mecca_agents.online.live import stack
from mecca_agents.online.live.stack import WeightStack
from mecca_agents.runs import RunError
from mecca_agents.runs.shipped import find_run
from mecca_agents.session import Model, load_model
from tests.mecca_agents.online.live.conftest import Leave, remove


@pytest.fixture
def weights(tmp_path: Path, run: Path) -> WeightStack:
    return WeightStack(tmp_path / "project", run)


def test_runs_that_count_are_stacked_and_taken_from_the_top(
    weights: WeightStack, leave: Leave, begun_model: Model, better_run: Path
) -> None:
    assert weights.load("cpu") == (0, None, []) and weights.next_number() == 1
    leave(weights.run(1))
    assert weights.pending(0) == [1]
    found, model = weights.look_at(1, 0, "cpu")
    assert found.counts and found.why == "the new weights count" and found.learned == 3 and model is not None
    assert found.weights == model.weights == load_model(better_run, device="cpu").weights
    assert weights.pending(1) == [] and weights.next_number() == 2
    leave(weights.run(2), begun=weights.run(1), cases=1)
    weights.look_at(2, 1, "cpu")
    number, model, faults = weights.load("cpu")
    assert number == 2 and model is not None and faults == []
    again = WeightStack(weights.folder.parent, weights.run(0))
    assert again.state() == weights.state() and again.state().stacks == {weights.base: (1, 2)}
    names = again.names(begun_model)
    assert names == {begun_model.weights: "begun", model.weights: "begun, 0002, learned from 1 case"}
    weights.back(2)
    assert weights.load("cpu")[0] == 1 and weights.run(2).is_dir() and weights.next_number() == 3
    weights.back(1)
    assert weights.load("cpu") == (0, None, [])


def test_where_the_earlier_weights_stay_only_the_verdict_does(weights: WeightStack, leave: Leave) -> None:
    leave(weights.run(1), weights="earlier", why="the earlier weights stay: -3.0 points")
    found, model = weights.look_at(1, 0, "cpu")
    assert model is None and not found.counts and found.why.startswith("the earlier weights stay: -3.0")
    assert not weights.run(1).exists() and weights.next_number() == 2 and weights.load("cpu")[0] == 0


def test_each_run_that_was_begun_with_has_a_stack_of_its_own(
    weights: WeightStack, leave: Leave, better_run: Path
) -> None:
    other = WeightStack(weights.folder.parent, better_run)
    leave(weights.run(1))
    assert other.pending(0) == []  # it goes on from another run: that one's server looks at it
    weights.look_at(1, 0, "cpu")
    assert other.load("cpu") == (0, None, []) and other.next_number() == 2
    assert WeightStack(weights.folder.parent, find_run("general")).base == "general"


@pytest.mark.parametrize("harm", ["weights", "record", "config"])
def test_a_new_run_that_cannot_be_read_does_not_count_and_stays(harm: str, weights: WeightStack, leave: Leave) -> None:
    folder = leave(weights.run(1))
    names = {"record": "learned.json", "config": "config.json", "weights": "checkpoints/last/model.safetensors"}
    (folder / names[harm]).write_bytes(b"{")
    assert weights.pending(0) == [1]
    found, model = weights.look_at(1, 0, "cpu")
    assert model is None and not found.counts and found.why.startswith("the earlier weights stay: ")
    assert str(folder) in found.why and folder.is_dir() and weights.pending(0) == []
    assert weights.load("cpu") == (0, None, [])


def test_a_run_that_a_person_deleted_gives_way_to_the_one_before(weights: WeightStack, leave: Leave) -> None:
    for number in (1, 2):
        leave(weights.run(number), begun=weights.run(number - 1))
        weights.look_at(number, number - 1, "cpu")
    remove(weights.run(2))
    number, _, (fault,) = weights.load("cpu")
    assert number == 1 and fault.startswith(f"{weights.run(2)}: expected a run")
    leave(weights.run(weights.next_number()), begun=weights.run(1))
    assert weights.pending(1) == [3]  # no number comes twice
    weights.look_at(3, 1, "cpu")
    assert weights.state().stacks[weights.base] == (1, 3)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{", '{"format": 2}', '{"format": 1, "stacks": {}, "runs": [{"number": 1}]}'),
        '{"format": 1, "stacks": {"general": [Infinity]}, "runs": []}',
    ],
)
def test_a_damaged_file_is_named_and_not_replaced(text: str, weights: WeightStack, leave: Leave) -> None:
    leave(weights.run(1))
    (weights.folder / "weights.json").write_text(text)
    for call in (weights.state, lambda: weights.load("cpu"), lambda: weights.look_at(1, 0, "cpu")):
        with pytest.raises(RunError, match=r"weights.json: expected which weights count, .* delete it to begin anew"):
            call()
    assert (weights.folder / "weights.json").read_text() == text


def test_a_full_disk_changes_nothing_and_it_may_be_looked_at_again(
    weights: WeightStack, leave: Leave, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    leave(weights.run(1))
    with monkeypatch.context() as patch:
        patch.setattr(stack, "write_text", full)
        with pytest.raises(RunError, match="weights.json: cannot be written: No space left on device; the earlier"):
            weights.look_at(1, 0, "cpu")
    assert weights.pending(0) == [1] and weights.load("cpu")[0] == 0
    assert weights.look_at(1, 0, "cpu")[1] is not None


def test_killed_in_the_middle_of_taking_weights_over_the_old_ones_count_until_it_is_done_again(
    weights: WeightStack, leave: Leave, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the last moment: the new file is written, and not renamed."""

    class Killed(BaseException):
        pass

    def kill(*_: Any) -> None:
        raise Killed

    leave(weights.run(1))
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(os, "replace", kill)
        weights.look_at(1, 0, "cpu")
    assert weights.load("cpu")[0] == 0 and weights.pending(0) == [1]
    weights.look_at(1, 0, "cpu")
    assert weights.load("cpu")[0] == 1
    assert json.loads((weights.folder / "weights.json").read_text())["stacks"] == {weights.base: [1]}
