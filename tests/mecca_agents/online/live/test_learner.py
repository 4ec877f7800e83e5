"""Learning beside the work: when it begins, what is taken of it and when, and all that can go wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mecca_agents.online import ProjectError
from mecca_agents.online.enough import ChoiceCount
from mecca_agents.online.live import LearnSettings, ProjectLearner, stack
from mecca_agents.online.live import learner as module
from mecca_agents.online.live.process import Ended
from mecca_agents.runs import RunError
from mecca_agents.session import InteractiveSession, Model, SessionError, load_model
from tests.mecca_agents.online.conftest import accept
from tests.mecca_agents.online.live.conftest import Fake, Leave, remove
from tests.support.volumes import AFFINE, ellipsoid, intensities

Begin = Callable[[], ProjectLearner]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tmp_path / "project"


@pytest.fixture
def begin(project: Path, begun_model: Model, fakes: list[Fake]) -> Begin:
    """A server's learner, as if it had just been started; nobody but the test looks (`poll`)."""
    return lambda: ProjectLearner(LearnSettings(project, updates=3), begun_model)


def _end(learner: ProjectLearner, fake: Fake, leave: Leave, **more: Any) -> None:
    """The learner leaves a run and ends."""
    leave(fake.out, begun=fake.begun, **more)
    fake.end = Ended(True)
    learner.poll()


def test_choices_in_the_accepted_logs_are_counted_for_the_run_at_work(
    model: Model, project: Path, fakes: list[Fake]
) -> None:
    learner = ProjectLearner(LearnSettings(project), model)
    learner.poll()
    assert learner.status.choices == ChoiceCount()
    with InteractiveSession(model) as session:
        session.set_image(intensities(ellipsoid(), 0), AFFINE)
        for number in range(3):
            session.add_clicks((12, 9 + number, 7), inside=True)
            session.proposals()
            session.choose(number % 2)
        session.undo()
        session.accept(project)
    learner.poll()
    assert learner.status.choices == ChoiceCount(1, 1)  # one of four goes over to judge by, one at least
    (model.folder / "learned.json").write_text("{")
    try:
        accept(model, project, 1, first=1)
        learner.poll()
    finally:
        (model.folder / "learned.json").unlink()
    assert "learned.json: expected what a run has learned from" in learner.status.fault


def test_each_accepted_case_is_learned_from_and_the_next_scan_gets_the_weights(
    begin: Begin, begun_model: Model, project: Path, fakes: list[Fake], leave: Leave
) -> None:
    learner = begin()
    learner.switch(True)
    assert learner.status.doing == "0 cases accepted; learning begins with 2 scans" and not fakes
    accept(begun_model, project, 1)
    learner.poll()
    assert learner.status.doing == "1 case accepted; learning begins with 2 scans" and not fakes
    accept(begun_model, project, 1, first=1)
    learner.poll()
    (first,) = fakes
    status = learner.status
    assert status.on and status.learning and (status.share, status.doing) == (0.25, "learning")
    assert first.begun == begun_model.folder and first.out == project / "runs" / "0001" and "--updates" in first.command
    accept(begun_model, project, 1, first=2)  # meanwhile: it is in the next
    learner.poll()
    assert len(fakes) == 1 and len(learner.status.cases) == 3
    session = InteractiveSession(learner.model)
    _end(learner, first, leave, cases=2)
    status = learner.status
    assert learner.model is not begun_model and session.model is begun_model
    assert status.at_work == "begun, 0001, learned from 2 cases" and status.can_go_back and status.news == 2
    assert status.verdict == "the new weights count" and status.fault == ""
    assert len(fakes) == 2 and fakes[1].begun == first.out and fakes[1].out == project / "runs" / "0002"
    _end(learner, fakes[1], leave, weights="earlier", why="the earlier weights stay: -1.0 points")
    assert learner.status.verdict.startswith("the earlier weights stay") and learner.status.news == 2
    learner.poll()
    assert len(fakes) == 2 and learner.status.doing == "3 cases accepted; the next one is learned from"

    after = learner.session_after(session)
    assert after is not session and after.model is learner.model and learner.session_after(after) is after
    with pytest.raises(SessionError, match="expected one that is idle"), session._exclusively():
        learner.session_after(session)


def test_two_objects_of_one_scan_are_nothing_to_judge_by(
    begin: Begin, begun_model: Model, project: Path, fakes: list[Fake]
) -> None:
    for target in ("liver", "spleen"):
        accept(begun_model, project, 1, target=target)
    learner = begin()
    learner.switch(True)
    assert learner.status.doing == "2 cases accepted; learning begins with 2 scans" and not fakes
    accept(begun_model, project, 1, first=1)
    learner.poll()
    assert len(fakes) == 1


def test_back_brings_the_earlier_weights_and_stops_who_goes_on_from_the_others(
    begin: Begin, begun_model: Model, project: Path, fakes: list[Fake], leave: Leave
) -> None:
    accept(begun_model, project, 2)
    learner = begin()
    with pytest.raises(RunError, match="back: expected weights that were learned, got begun, the first ones"):
        learner.back()
    learner.switch(True)
    _end(learner, fakes[0], leave)
    accept(begun_model, project, 1, first=2)
    learner.poll()
    learner.back()
    assert fakes[1].stopping and learner.model.weights == begun_model.weights and not learner.status.can_go_back
    leave(fakes[1].out, begun=fakes[1].begun)  # it ended before it heard of that: what it left is not taken
    learner.poll()
    assert learner.model.weights == begun_model.weights and learner.status.at_work == "begun"
    assert begin().model.weights == begun_model.weights and fakes[0].out.is_dir()


def test_a_learner_that_is_killed_or_fails_leaves_the_weights_and_is_not_begun_again_by_itself(
    begin: Begin, begun_model: Model, project: Path, fakes: list[Fake], leave: Leave
) -> None:
    accept(begun_model, project, 2)
    learner = begin()
    learner.switch(True)
    fakes[0].end = Ended(False, "the learner was killed (SIGKILL)")
    learner.poll()
    assert learner.status.fault == "the learner was killed (SIGKILL); the weights stay as they were"
    assert learner.model is begun_model and learner.status.on and not learner.status.learning
    learner.poll()
    assert len(fakes) == 1
    learner.switch(True)  # whoever wants it tries again
    assert len(fakes) == 2 and learner.status.fault == ""
    learner.stop()
    learner.poll()
    assert learner.status.fault == "the learning was stopped; the weights stay as they were" and len(fakes) == 2
    accept(begun_model, project, 1, first=2)
    learner.poll()
    assert len(fakes) == 3 and learner.status.fault == ""
    learner.switch(False)
    learner.poll()
    assert fakes[2].stopping and not learner.status.learning and len(fakes) == 3
    assert learner.status.doing == "3 cases accepted"


def test_a_server_that_was_killed_before_it_looked_looks_when_it_is_begun_again(
    begin: Begin, begun_model: Model, project: Path, fakes: list[Fake], leave: Leave
) -> None:
    accept(begun_model, project, 2)
    learner = begin()
    learner.switch(True)
    leave(fakes[0].out)
    again = begin()
    assert again.status.at_work == "begun, 0001, learned from 3 cases" and again.model.weights != begun_model.weights
    assert again.status.verdict == "the new weights count" and not again.status.on
    third = begin()
    assert third.model.weights == again.model.weights and third.status.verdict == "the new weights count"
    remove(fakes[0].out)
    fourth = begin()
    assert fourth.model is begun_model and "0001: expected a run" in fourth.status.fault


def test_what_cannot_be_used_or_written_leaves_the_weights(
    begin: Begin,
    begun_model: Model,
    project: Path,
    fakes: list[Fake],
    leave: Leave,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    accept(begun_model, project, 2)
    learner = begin()
    learner.switch(True)
    leave(fakes[0].out)
    (fakes[0].out / "checkpoints" / "last" / "model.safetensors").write_bytes(b"x")
    fakes[0].end = Ended(True)
    learner.poll()
    assert learner.model is begun_model and "model.safetensors" in learner.status.verdict

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    accept(begun_model, project, 1, first=2)
    learner.poll()
    with monkeypatch.context() as patch:
        patch.setattr(stack, "write_text", full)
        _end(learner, fakes[1], leave)
    assert learner.model is begun_model and "No space left on device; the earlier weights stay" in learner.status.fault
    accept(begun_model, project, 1, first=3)
    learner.poll()  # there is room again: what was left is taken first
    assert learner.status.at_work == "begun, 0002, learned from 3 cases" and fakes[2].begun == fakes[1].out

    (project / "runs" / "weights.json").write_text("{")
    fakes[2].end = Ended(True)
    leave(fakes[2].out, begun=fakes[2].begun)
    learner.poll()
    assert "delete it to begin anew" in learner.status.fault
    assert learner.status.at_work == "begun, 0002, learned from 3 cases"
    accept(begun_model, project, 1, first=4)
    learner.poll()
    assert learner.status.fault.startswith("no learning was begun: ") and len(fakes) == 3
    damaged = begin()
    assert damaged.model is begun_model and "delete it to begin anew" in damaged.status.fault


def test_a_learner_that_cannot_be_started(
    begin: Begin, begun_model: Model, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(module, "LearnerProcess", refuse)
    accept(begun_model, project, 2)
    learner = begin()
    learner.switch(True)
    assert "no learning was begun: [Errno 12] Cannot allocate memory" in learner.status.fault


def test_a_damaged_log_is_named_and_the_other_cases_are_shown(begin: Begin, begun_model: Model, project: Path) -> None:
    first, second = accept(begun_model, project, 2)
    (project / "logs" / f"{first}.json").write_text("{")
    learner = begin()
    learner.poll()
    assert f"{first}.json: expected the log of a session" in learner.status.fault
    assert [case.case for case in learner.status.cases] == [second] and learner.status.means[0].cases == 1
    assert learner.name_of(learner.status.cases[0].weights) == "begun"
    (project / "logs" / f"{first}.json").unlink()
    learner.poll()
    assert learner.status.fault == "" and learner.status.without_log == 1
    assert learner.name_of("0123456789") == "other weights (01234567)"


def test_it_looks_by_itself_until_it_is_closed(
    begin: Begin, begun_model: Model, project: Path, fakes: list[Fake], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SECONDS", 0.01)
    learner = begin()
    learner.switch(True)
    learner.begin()
    accept(begun_model, project, 2)
    for _ in range(1000):
        if fakes:
            break
        time.sleep(0.01)
    learner.close()
    learner.close()
    assert fakes[0].closed and len(fakes) == 1
    learner.poll()
    assert len(fakes) == 1


def test_what_no_project_can_be(begun_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ProjectError, match="expected a folder for a project, found a file"):
        ProjectLearner(LearnSettings(tmp_path / "file"), begun_model)
    for minutes, updates in ((0.0, None), (float("nan"), None), (1.0, 0)):
        with pytest.raises(ValueError, match="of a learning: expected"):
            LearnSettings(tmp_path, minutes, updates)
    monkeypatch.setattr(Model, "modalities", 4)
    with pytest.raises(ProjectError, match="expected a run of one modality for a project, got one of 4"):
        ProjectLearner(LearnSettings(tmp_path / "project"), begun_model)


def test_a_real_learning_is_taken(run: Path, tmp_path: Path) -> None:
    """No process, but all else is real: the run that `learn` leaves is one that this takes."""
    from io import StringIO

    from mecca_agents.online import learn

    model, project = load_model(run, device="cpu"), tmp_path / "project"
    accept(model, project, 4)
    learn(project, run, project / "runs" / "0001", updates=8, device="cpu", stream=StringIO())
    learner = ProjectLearner(LearnSettings(project), model)
    assert learner.status.at_work == "begun, 0001, learned from 2 cases" and learner.status.fault == ""
    with learner.session_after(InteractiveSession(model)) as session:
        session.set_image(intensities(ellipsoid(), 9), AFFINE)
        assert (session.step() & ellipsoid()).sum() > 0.8 * ellipsoid().sum()
