"""What accepted cases took: counted by hand from logs, read from a project, and its means."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from mecca_agents.online.effort import Effort, Efforts, MeanEffort, effort_of, means_by_weights
from mecca_agents.session import Entry, Model, SessionError, SessionLog
from tests.mecca_agents.online.conftest import accept


def _log(actions: Sequence[tuple[str, float, float, dict[str, object]]]) -> SessionLog:
    entries = tuple(
        Entry(name, at, took, "2026-01-01T00:00:00.000+00:00", details) for name, at, took, details in actions
    )
    return SessionLog("mecca", "phantom", "a", ("x.nii",), (4, 4, 4), "id", entries)


def test_everything_counts_that_a_person_did() -> None:
    """Pauses of 2, 3, 1, 4, 5 and 2 seconds; a click that said nothing new is none, an undone one is one."""
    log = _log(
        [
            ("set_image", 0.0, 1.0, {}),
            ("set_box", 3.0, 0.5, {}),
            ("add_clicks", 6.5, 0.0, {"new": 3}),
            ("add_clicks", 7.5, 0.0, {"new": 0}),
            ("step", 11.5, 2.0, {}),
            ("undo", 18.5, 0.0, {}),
            ("set_mask", 20.5, 0.0, {}),
        ]
    )
    found = effort_of("spleen__scan-1", log)
    assert (found.prompts, found.steps, found.seconds) == (3, 1, pytest.approx(2 + 3 + 1 + 4 + 5 + 2))
    assert found.target == "spleen" and found.weights == "a"
    assert effort_of("scan-1", log).target == ""


def test_what_brings_an_object_back_is_nothing_that_a_person_did() -> None:
    back = [("set_image", 0.0, 1.0, {}), ("set_box", 1.0, 0.0, {}), ("set_mask", 1.0, 0.0, {})]
    found = effort_of("scan-1", _log(back))
    assert (found.prompts, found.steps, found.seconds) == (0, 0, 0.0)
    found = effort_of("scan-1", _log([*back, ("set_mask", 3.0, 0.5, {}), ("step", 4.0, 1.0, {})]))
    assert (found.prompts, found.steps, found.seconds) == (1, 1, 2.5)


def test_a_stroke_that_widens_the_box_is_one_prompt() -> None:
    stroke = [("set_box", 3.0, 0.5, {}), ("set_mask", 3.5, 0.5, {})]
    actions = [("set_image", 0.0, 1.0, {}), ("set_box", 2.0, 0.1, {}), *stroke, ("set_box", 5.0, 0.1, {})]
    assert effort_of("scan-1", _log(actions)).prompts == 3


def test_a_choice_is_a_step_and_one_that_was_taken_back_is_no_choice() -> None:
    def choices(*actions: str) -> tuple[int, int]:
        found = effort_of("scan-1", _log([(name, float(n), 0.5, {"new": 1}) for n, name in enumerate(actions)]))
        return found.steps, found.choices

    assert choices("set_image", "add_clicks", "choose", "save", "choose", "step") == (3, 2)
    assert choices("set_image", "choose", "undo", "choose") == (2, 1)
    assert choices("set_image", "choose", "undo", "redo", "undo", "redo") == (1, 1)
    assert choices("set_image", "choose", "add_clicks", "undo", "undo") == (1, 0)
    assert choices("set_image", "choose", "reset", "choose") == (2, 2)
    with pytest.raises(SessionError, match="log: expected something to redo, found nothing"):
        choices("set_image", "choose", "undo", "step", "redo")


def test_means_of_weights_in_the_order_in_which_they_came_to_work() -> None:
    cases = [Effort("", p, s, t, w) for p, s, t, w in [(4, 2, 10.0, "b"), (2, 2, 4.0, "a"), (6, 1, 20.0, "b")]]
    assert means_by_weights(cases) == [MeanEffort("b", 2, 5.0, 1.5, 15.0), MeanEffort("a", 1, 2.0, 2.0, 4.0)]
    assert means_by_weights([]) == []


def test_a_project_is_read_in_the_order_of_acceptance(model: Model, tmp_path: Path) -> None:
    project = tmp_path / "project"
    efforts = Efforts(project)
    efforts.read()
    assert efforts.cases == () and efforts.without_log == 0
    first, second, third = accept(model, project, 3)
    for name, seconds in ((first, 3), (second, 2), (third, 9)):
        os.utime(project / "logs" / f"{name}.json", (seconds, seconds))
    efforts.read()
    assert [effort.case for effort in efforts.cases] == [second, first, third]

    _log([("set_image", 0.0, 1.0, {}), ("undo", 2.0, 0.0, {"what": "step"})]).save(project / "logs" / f"{third}.json")
    efforts.read()
    assert [effort.case for effort in efforts.cases] == [second, first]
    assert efforts.faults == ("log: expected something to undo, found nothing",)
    (project / "logs" / f"{first}.json").write_text("{")
    (project / "logs" / f"{second}.json").unlink()
    (project / "labels" / f"{third}.nii.gz").unlink()  # a case that vanished leaves its log
    efforts.read()
    assert efforts.cases == () and efforts.without_log == 1
    (fault,) = efforts.faults
    assert f"{first}.json: expected the log of a session" in fault


def test_what_has_not_changed_is_not_read_again(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mecca_agents.online import effort

    accept(model, tmp_path, 2)
    read: list[Path] = []
    real = effort.read_log
    monkeypatch.setattr(effort, "read_log", lambda path: (read.append(path), real(path))[1])
    efforts = Efforts(tmp_path)
    for _ in range(3):
        efforts.read()
    assert len(read) == 2 and len(efforts.cases) == 2 and efforts.cases[0].weights == model.weights
