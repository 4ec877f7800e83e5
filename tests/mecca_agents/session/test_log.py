"""Logs: complete, done again exactly, refused where they do not fit; and the times that are read off them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mecca_agents.runs import RunError
from mecca_agents.session import InteractiveSession, Model, SessionError, SessionLog, StepTime, load_model, read_log
from mecca_agents.session.log import Entry
from mecca_agents.session.timing import step_times, timing_table, write_timing_table
from mecca_agents.tables import markdown
from tests.support.volumes import AFFINE, SHAPE, ellipsoid, intensities, write_nifti

IMAGE = intensities(ellipsoid())
Runs = Callable[..., Path]


@pytest.fixture(scope="module")
def model(tiny_run: Runs) -> Model:
    return load_model(tiny_run("mecca"), device="cpu")


@pytest.fixture
def session(model: Model) -> Iterator[InteractiveSession]:
    with InteractiveSession(model) as opened:
        opened.set_image(IMAGE, AFFINE)
        yield opened


def work(session: InteractiveSession) -> None:
    """One of each action."""
    session.add_clicks([(12, 8, 9), (3.25, 4.5, 1 / 3)])
    session.step()
    session.set_box((6, 6, 4), (18, 16, 12))
    session.add_clicks((7, 11, 8))
    session.step()
    session.undo()
    session.add_clicks([(16, 11, 8), (16, 11, 8)])
    session.step()
    session.step()
    session.undo()
    session.redo()
    session.reset()
    session.undo()


def test_every_action_is_there_with_its_times(session: InteractiveSession, tmp_path: Path) -> None:
    work(session)
    session.save(tmp_path / "mask.nii")
    log = session.log()
    names = "set_image add_clicks step set_box add_clicks step undo add_clicks step step undo redo reset undo save"
    assert [entry.action for entry in log] == names.split()
    moments = [time for entry in log for time in (entry.at, entry.end)]
    assert moments[0] == 0 and moments == sorted(moments)
    assert log[3].details == {"low": [6, 6, 4], "high": [18, 16, 12]}
    assert log[1].details == {"points": [[12.0, 8.0, 9.0], [3.25, 4.5, 1 / 3]], "new": 2}
    assert log[7].details["new"] == 1 and log[9].details == {"number": 2, "clicks": 0}
    assert log[10].details == {"what": "step"} and all(entry.time.endswith("+00:00") for entry in log)


def test_a_saved_log_leads_to_the_same_state(session: InteractiveSession, tmp_path: Path) -> None:
    work(session)
    session.save_log(tmp_path / "log.json")
    log = read_log(tmp_path / "log.json")
    assert log.entries == session.log() and log.shape == SHAPE and log.files == ()
    assert log.method == "mecca" and "spleen" in log.trained_on.lower()
    with InteractiveSession(session.model) as other:
        other.set_image(IMAGE, AFFINE)
        other.load_log(tmp_path / "log.json")
        for name in ("probability", "hint", "clicks", "n_clicks", "step", "advice", "situation"):
            assert torch.equal(getattr(session._moment.state, name), getattr(other._moment.state, name)), name
        assert other.clicks == session.clicks and other.advice() == session.advice() and other.box == session.box
        assert other.log() == session.log() and other.timing() == session.timing()
        while session.can_undo:
            assert other.undo() == session.undo()
            assert torch.equal(other._moment.state.probability, session._moment.state.probability)
        assert not other.can_undo and other.log()[-1].at >= log.entries[-1].end


def test_a_log_names_its_files_and_does_not_open_them(model: Model, tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "scan.nii.gz", IMAGE)
    with InteractiveSession(model) as session, InteractiveSession(model) as other:
        session.set_image(path)
        session.step()
        session.save_log(tmp_path / "log.json")
        with pytest.raises(SessionError, match="expected a scan, got none yet"):
            other.load_log(tmp_path / "log.json")
        other.load_log(tmp_path / "log.json", image=read_log(tmp_path / "log.json").files)
        assert np.array_equal(other.mask(), session.mask()) and other.steps == 1


def test_logs_that_do_not_fit_change_nothing(session: InteractiveSession, tiny_run: Runs, tmp_path: Path) -> None:
    work(session)
    session.save_log(tmp_path / "log.json")
    good, moment, entries = read_log(tmp_path / "log.json"), session._moment, session.log()

    def changed(place: int, **details: Any) -> SessionLog:
        entry = replace(good.entries[place], details=details)
        return replace(good, entries=(*good.entries[:place], entry, *good.entries[place + 1 :]))

    unfit: list[tuple[SessionLog | Path, Any, str]] = [
        (tmp_path / "none.json", None, "none.json: expected the log of a session, found something else"),
        (
            replace(good, weights="f" * 64),
            None,
            "log: expected one of mecca with weights .* got mecca with ffffffffffff",
        ),
        (replace(good, image="0" * 64), None, "log: expected the scan that it was made with, got another one"),
        (good, IMAGE + 1, "log: expected the scan that it was made with"),
        (changed(1, points=[[99.0, 0.0, 0.0]], new=1), None, r"points: expected voxels of what the agent sees"),
        (changed(1, points=[[1.0, 2.0, 3.0]], new=2), None, "log: expected action 1, add_clicks, to give .*'new': 2"),
        (changed(2, number=1, clicks=7), None, "log: expected action 2, step, to give"),
        (replace(good, entries=(good.entries[0], replace(good.entries[6]))), None, "undo: expected an action"),
    ]
    for log, image, message in unfit:
        with pytest.raises(ValueError, match=message):
            session.load_log(log, image)
        assert session._moment is moment and session.log() == entries
    with InteractiveSession(tiny_run("iter-mrl"), device="cpu") as other:
        other.set_image(IMAGE, AFFINE)
        with pytest.raises(SessionError, match="expected one of iter-mrl with weights"):
            other.load_log(good)


def test_what_is_no_log_is_refused_in_one_line(session: InteractiveSession, tmp_path: Path) -> None:
    work(session)
    session.save_log(tmp_path / "log.json")
    text = (tmp_path / "log.json").read_text()
    data = json.loads(text)
    first = data["entries"][0]
    bad: list[Any] = [
        text[:-20],
        "[" * 100_000,
        "[]",
        "null",
        {**data, "format": 2},
        {**data, "entries": []},
        {**data, "entries": data["entries"][1:]},
        {**data, "entries": [first, {**first, "action": "format_disk"}]},
        {**data, "entries": [first, {**data["entries"][1], "at": 1e9}, data["entries"][2]]},
        {**data, "entries": [first, {**data["entries"][1], "details": {"points": [["a"]], "new": 1}}]},
        {**data, "entries": [{**first, "at": float("nan")}]},
        {**data, "entries": [{**first, "at": 10**400}]},
        {**data, "files": None},
        {**data, "weights": 3},
        {name: value for name, value in data.items() if name != "image"},
    ]
    for content in bad:
        path = tmp_path / "bad.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        with pytest.raises(SessionError, match=r"bad\.json: expected the log of a session") as caught:
            read_log(path)
        assert len(str(caught.value)) < 1000
    with pytest.raises(SessionError, match="expected the log of a session"):
        read_log(tmp_path)
    with pytest.raises(SessionError, match="the log cannot be written"):
        session.save_log(tmp_path / "nowhere" / "log.json")


def test_a_log_is_small_and_one_that_could_not_be_read_is_not_written(
    session: InteractiveSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.add_lasso([(4, 4, 8), (18, 4, 8), (18, 16, 8), (4, 16, 8)])
    session.save_log(tmp_path / "log.json")
    size = (tmp_path / "log.json").stat().st_size
    assert size < 20 * len(session.log()[1].details["points"]) + 1000
    (tmp_path / "indented.json").write_text(json.dumps(json.loads((tmp_path / "log.json").read_text()), indent=1))
    assert read_log(tmp_path / "indented.json") == read_log(tmp_path / "log.json") == session.session_log()
    monkeypatch.setattr("mecca_agents.session.log.MOST_BYTES", size - 1)
    session.reset(), session.undo(), session.step()
    with pytest.raises(SessionError, match=f"log: expected at most {size - 1} bytes of JSON, got"):
        session.accept(tmp_path / "project")
    with pytest.raises(SessionError, match="log: expected at most"):
        session.save_log(tmp_path / "other.json")
    assert not list((tmp_path / "project" / "labels").iterdir()) and not (tmp_path / "other.json").exists()


_NAMES = st.sampled_from(["format", "method", "trained_on", "weights", "files", "shape", "image", "entries", "action"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=8),
    max_leaves=12,
)


@settings(max_examples=100)
@given(content=st.binary(max_size=200) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_no_file_makes_it_crash(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.json"
    path.write_bytes(content)
    with pytest.raises(SessionError):
        read_log(path)


def entries(*actions: tuple[str, float, float]) -> list[Entry]:
    """Actions with when each began and ended; clicks are two new ones."""
    details = {"add_clicks": {"points": [], "new": 2}}
    return [Entry(name, at, end - at, "", details.get(name, {})) for name, at, end in actions]


def test_a_person_is_timed_between_the_machines_answers() -> None:
    log = entries(
        ("set_image", 0, 2), ("set_box", 10, 11), ("add_clicks", 20, 21), ("add_clicks", 30, 31), ("step", 41, 43),
        ("add_clicks", 50, 50), ("step", 53, 54), ("save", 60, 65),
    )  # fmt: skip
    done, waiting = step_times(log)
    assert done == [StepTime(1, 4, 28, 2), StepTime(2, 2, 10, 1)]  # 9 + 9 + 10 after the box, not the machine's 1 + 1
    assert waiting == StepTime(3, 0, 6) and step_times(log, 75)[1] == StepTime(3, 0, 16)


def test_time_spent_on_a_step_that_is_undone_counts_for_the_next() -> None:
    log = entries(
        ("set_image", 0, 0), ("add_clicks", 10, 10), ("step", 20, 21), ("undo", 26, 26), ("add_clicks", 30, 30)
    )
    assert step_times(log)[1] == StepTime(1, 4, 20 + 5 + 4)
    again = [*log, *entries(("step", 31, 33))]
    assert step_times(again) == ([StepTime(1, 4, 30, 2)], StepTime(2, 0, 0))
    redone = [*log[:4], *entries(("redo", 36, 36), ("step", 40, 40))]
    assert step_times(redone)[0] == [StepTime(1, 2, 20, 1), StepTime(2, 0, 5 + 10 + 4, 0)]


def test_a_reset_begins_at_zero_and_taken_back_it_never_was() -> None:
    log = entries(("set_image", 0, 0), ("add_clicks", 4, 4), ("step", 5, 6), ("add_clicks", 9, 9), ("reset", 10, 10))
    assert step_times(log, 13) == ([], StepTime(1, 0, 3))
    back = [*log, *entries(("undo", 30, 30))]
    assert step_times(back, 31) == ([StepTime(1, 2, 5, 1)], StepTime(2, 2, 4 + 1))


def test_clicks_that_told_nothing_cannot_be_undone() -> None:
    log = entries(("set_image", 0, 0), ("add_clicks", 1, 1), ("add_clicks", 2, 2), ("undo", 3, 3))
    nothing = replace(log[2], details={"points": [], "new": 0})
    assert step_times([*log[:2], nothing, log[3]])[1] == StepTime(1, 0, 3)
    with pytest.raises(SessionError, match="log: expected something to undo, found nothing"):
        step_times([*log[:2], nothing, log[3], log[3]])


def log_of(method: str, *seconds: float) -> SessionLog:
    """Steps that the person took so long for."""
    actions, now = [("set_image", 0.0, 0.0)], 0.0
    for each in seconds:
        actions += [("add_clicks", now + each / 2, now + each / 2), ("step", now + each, now + each + 1)]
        now += each + 1
    return SessionLog(method, "", "", (), SHAPE, "", tuple(entries(*actions)))


def test_the_table_has_the_form_of_table_7(tmp_path: Path) -> None:
    logs = [log_of("mecca", 40, 12), log_of("mecca", 42, 12, 10), log_of("intercnn", 76), log_of("iter-mrl")]
    write_timing_table(logs, tmp_path / "table.csv")
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"method": "mecca", "sessions": "2", "1": "41", "2": "12", "3": "10"},
        {"method": "intercnn", "sessions": "1", "1": "76", "2": "", "3": ""},
    ]
    write_timing_table(logs, tmp_path / "table.md")
    text = (tmp_path / "table.md").read_text()
    assert text == markdown(timing_table(logs)) + "\n"
    assert "| mecca    | 2        | 41 | 12 | 10 |" in text and "| intercnn | 1        | 76 | -  | -  |" in text
    assert "clicks before these steps, mecca: 2, 2, 2." in text
    with pytest.raises(SessionError, match=r"logs: expected one step at least, got none in 1 log"):
        timing_table([log_of("mecca")])
    with pytest.raises(SessionError, match=r"expected a name that ends in .csv or .md, got 'table.xls'"):
        write_timing_table(logs, tmp_path / "table.xls")
    with pytest.raises((SessionError, RunError), match="cannot be written"):
        write_timing_table(logs, tmp_path / "nowhere" / "table.csv")


def test_a_sessions_times_are_those_of_its_log(session: InteractiveSession) -> None:
    work(session)
    assert session.timing() == step_times(session.log())[0] and len(session.timing()) == 2
    assert [step.clicks for step in session.timing()] == [2, 0]
    first, second = session.waiting(), session.waiting()
    assert first.step == 3 and second.person >= first.person >= 0
