"""A person's own prompts: what of a log is given again, and that episodes see what the session saw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch

from mecca_agents.online import ProjectError, learning, memory, read_project
from mecca_agents.online.prompts import fits, own_prompts
from mecca_agents.session import Entry, InteractiveSession, Model, SessionError, SessionLog, read_log
from mecca_agents.session.history import History
from mecca_agents.session.inputs.scan import open_image
from mecca_agents.session.log import replay
from mecca_agents.session.playing.episode import EpisodePlayer
from mecca_env.data.grid.cutting import bounding_box
from mecca_env.data.recorded import RecordedPrompts, read_recordings, write_recordings
from mecca_env.episodes.recorded import PromptGiver
from mecca_env.vector_env import MeccaVectorEnv
from tests.mecca_agents.online.conftest import TINY
from tests.mecca_agents.online.test_learning import _learn
from tests.support.volumes import AFFINE, ellipsoid, intensities

BOX: dict[str, Any] = {"low": [1, 2, 3], "high": [9, 9, 9]}


def _log(*actions: tuple[str, dict[str, Any]]) -> SessionLog:
    entries = [("set_image", {}), *actions]
    made = tuple(Entry(name, float(at), 0.0, "", details) for at, (name, details) in enumerate(entries))
    return SessionLog("mecca", "phantom", "a", ("x.nii",), (10, 10, 10), "id", made)


def _click(x: float, inside: bool | None = None, new: int = 1) -> tuple[str, dict[str, Any]]:
    side = {} if inside is None else {"inside": inside}
    return "add_clicks", {"points": [[x, 5.0, 5.0]], "new": new, **side}


STEP, UNDO, REDO, RESET = ("step", {}), ("undo", {}), ("redo", {}), ("reset", {})
MASK, CHOOSE = ("set_mask", {}), ("choose", {})


def _given(prompts: RecordedPrompts | None) -> list[list[float]] | None:
    """First coordinates of the points before each step."""
    return None if prompts is None else [points[:, 0].tolist() for points in prompts.points]


@pytest.mark.parametrize(
    ("actions", "wanted"),
    [
        ([_click(1), _click(2), STEP, STEP, _click(3), CHOOSE, _click(4)], [[1, 2], [], [3]]),
        ([_click(1), _click(2), UNDO, STEP], [[1]]),
        ([_click(1), _click(2), UNDO, REDO, STEP], [[1, 2]]),
        ([_click(1), STEP, UNDO, UNDO, _click(2), STEP], [[2]]),
        ([_click(1), _click(1, new=0), UNDO, _click(2), STEP], [[2]]),  # what is not new is no action to undo
        ([_click(1), STEP, RESET, _click(2), STEP], [[2]]),
        ([_click(1), STEP, RESET, UNDO, _click(2), STEP], [[1], [2]]),
        ([_click(1), STEP, ("set_box", BOX), _click(2), STEP], [[2]]),
        ([_click(1), STEP, MASK, _click(2), STEP, MASK], [[1]]),
        ([_click(1), STEP, MASK, RESET, _click(2), STEP], [[2]]),
        ([_click(1), STEP, ("save", {"path": "a"}), UNDO, STEP], [[1]]),
        ([MASK, _click(1), STEP], None),
        ([_click(1), ("set_box", BOX), MASK], None),
        ([_click(1)], None),
    ],
)
def test_what_stands_of_a_log(actions: list[tuple[str, dict[str, Any]]], wanted: list[list[float]] | None) -> None:
    assert _given(own_prompts(_log(*actions))) == wanted


def test_box_and_sides() -> None:
    found = own_prompts(_log(("set_box", BOX), _click(1, True), _click(2, False), STEP, RESET, _click(3, False), STEP))
    assert found is not None and found.box == ((1, 2, 3), (9, 9, 9)) and found.signs[0].tolist() == [-1]
    assert fits(found, True) and not fits(found, False)
    plain = own_prompts(_log(_click(1), STEP))
    assert plain is not None and plain.box is None and fits(plain, False) and not fits(plain, True)
    nothing = own_prompts(_log(STEP))
    assert nothing is not None and fits(nothing, True) and fits(nothing, False)


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (UNDO, "expected something to undo, found nothing"),
        (_click(12), r"expected points of a scan of \(10, 10, 10\) voxels, found \[\[12"),
        (("add_clicks", {"points": [[1.0, 2.0]], "new": 1}), "expected points of a scan"),
        (("set_box", {"low": [1, 2, 3], "high": [11, 9, 9]}), "box: expected whole numbers 0 <= low < high"),
    ],
)
def test_what_no_session_leaves_is_refused(action: tuple[str, dict[str, Any]], said: str) -> None:
    with pytest.raises(SessionError, match=said):
        own_prompts(_log(action))


def _work(model: Model, project: Path, seed: int = 0) -> str:
    """A person's two steps under a box, with a line, an area and one click too many; the name of the case."""
    with InteractiveSession(model) as session:
        session.set_image(intensities(ellipsoid(), seed), AFFINE)
        session.add_clicks((3, 3, 3), inside=False)
        session.set_box(*bounding_box(ellipsoid()))
        session.add_clicks([(11.4, 10.2, 7.7), (14, 12, 8)], inside=True)
        session.add_lasso([(5, 5, 4), (8, 5, 4), (8, 9, 4)], inside=False)
        session.step()
        session.add_clicks((18, 6, 9), inside=False)
        session.undo()
        session.add_scribble([(9, 9, 8), (13, 12, 8)], inside=True)
        session.step()
        session.set_mask(ellipsoid())
        return session.accept(project)


def test_an_episode_sees_the_hints_of_the_session(model: Model, tmp_path: Path) -> None:
    """On the same crop: that of the evaluation around the label's box, which is the box that was drawn."""
    name = _work(model, tmp_path)
    (case,) = read_project(tmp_path)
    assert case.prompts is not None and len(case.prompts.points) == 2
    write_recordings(tmp_path / "prompts.json", {name: case.prompts})
    keywords = {"root": tmp_path, "split": "all", "shape": TINY.shape, "augment": False, **model.run.settings}
    envs = gym.make_vec("MECCA-Volumes-v0", num_envs=2, prompts=tmp_path / "prompts.json", **keywords).unwrapped
    assert isinstance(envs, MeccaVectorEnv)

    log = read_log(tmp_path / "logs" / f"{name}.json")
    image = open_image(str(tmp_path / "images" / f"{name}.nii.gz"), None, 1, 1 << 20, None)
    history = History(EpisodePlayer(model), image)
    replay([entry for entry in log.entries[1:] if entry.action != "set_mask"], history)
    before = [moment.state for moment in history.moments()][:2]
    assert not torch.equal(before[0].hint, before[1].hint) and before[0].hint[0, 0].any() and before[0].hint[0, 1].any()

    observation, _ = envs.reset(seed=0)
    for row in range(2):
        assert torch.equal(observation["hint"][row], before[0].hint[0])
        assert before[0].box is not None and torch.equal(observation["box"][row], before[0].box[0])
    observation, *_ = envs.step(torch.zeros((2, *TINY.shape)))
    assert torch.equal(observation["hint"][1], before[1].hint[0])


def test_a_log_that_cannot_be_is_named(model: Model, tmp_path: Path) -> None:
    name = _work(model, tmp_path)
    path = tmp_path / "logs" / f"{name}.json"
    path.write_text(path.read_text().replace('"set_mask"', '"redo"'))
    with pytest.raises(ProjectError, match=rf"{name}\.json: (log: expected something to redo|expected the log)"):
        read_project(tmp_path)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[RecordedPrompts | None]:
    """What each episode of the trainings is given, all of them of the project's cases."""
    seen: list[RecordedPrompts | None] = []
    real = PromptGiver.drawn

    def drawn(self: PromptGiver, index: int, key: int) -> RecordedPrompts | None:
        found = real(self, index, key)
        seen.append(found)
        return found

    mixture = learning.mixture
    monkeypatch.setattr(PromptGiver, "drawn", drawn)
    monkeypatch.setattr(learning, "mixture", lambda *of: {**mixture(*of), "weight": 1e-6})
    monkeypatch.setattr(learning, "dice_of", lambda run, project, cases, device: dict.fromkeys(cases, 0.5))
    return seen


def test_a_learning_plays_them(
    begun: Path, model: Model, tmp_path: Path, given: list[RecordedPrompts | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[dict[str, RecordedPrompts]] = []

    def write(path: Path, cases: dict[str, RecordedPrompts]) -> None:
        write_recordings(path, cases)
        written.append(dict(read_recordings(path).cases))

    monkeypatch.setattr(learning, "write_recordings", write)
    names = {_work(model, tmp_path / "project", seed) for seed in range(2)}
    found = _learn(tmp_path / "project", begun, tmp_path / "out", updates=8)
    assert not found.note and set(written[0]) == names
    theirs = [prompts.plain for prompts in given if prompts is not None]
    assert 0.25 * len(given) < len(theirs) < 0.75 * len(given)
    assert all(prompts in [each.plain for each in written[0].values()] for prompts in theirs)
    assert not (tmp_path / "project" / "learning" / "work").exists()  # nor a copy of anybody's clicks


def test_prompts_of_another_kind_are_left_to_simulated_users(
    model: Model, tmp_path: Path, given: list[RecordedPrompts | None], tiny_run: Callable[..., Path]
) -> None:
    """The clicks of the logs have sides, and this run of the paper's protocol knows none."""
    for seed in range(2):
        _work(model, tmp_path / "project", seed)
    found = _learn(tmp_path / "project", tiny_run("intercnn"), tmp_path / "out")
    assert "2 logs of clicks with sides, and the run was trained without them: simulated users prompt" in found.note
    assert given and not any(given)


def test_half_of_the_episodes_of_a_case_are_the_persons() -> None:
    assert memory.OWN_SHARE == 0.5
