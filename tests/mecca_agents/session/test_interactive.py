"""A session with boxes, clicks and steps: shown on the scan's grid, taken back, refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from mecca_agents.session import InteractiveSession, Layer, Model, SessionError, load_model
from mecca_agents.session.history import MOST_UNDONE
from mecca_agents.session.playing.moment import Moment
from mecca_env.state import State
from tests.support.volumes import AFFINE, SHAPE, ellipsoid, intensities

MASK = ellipsoid()
BOX = ((6, 6, 4), (18, 16, 12))
EDGE = np.random.default_rng(0).permutation(np.argwhere(MASK & ~np.roll(MASK, 1, 0)))


@pytest.fixture(scope="module")
def model(tiny_run: Callable[..., Path]) -> Model:
    return load_model(tiny_run("mecca"), device="cpu")


@pytest.fixture
def session(model: Model) -> Iterator[InteractiveSession]:
    with InteractiveSession(model) as opened:
        opened.set_image(intensities(MASK), AFFINE)
        opened.set_box(*BOX)
        yield opened


def contents(session: InteractiveSession) -> dict[str, Any]:
    """Everything there is in the present moment, by name."""
    moment = session._moment
    found = {field.name: getattr(moment, field.name) for field in fields(Moment)}
    for name in ("first", "answered", "state", "acted"):
        state = found.pop(name)
        found |= {f"{name}.{field.name}": getattr(state, field.name) for field in fields(State) if state is not None}
    return found | {"mask": session.mask(), "advice": session.advice()}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two moments are equal in every bit."""

    def equal(a: Any, b: Any) -> bool:
        if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
            return torch.equal(a, b)
        if isinstance(a, np.ndarray):
            return np.array_equal(a, b)
        if isinstance(a, tuple) and isinstance(b, tuple):
            return len(a) == len(b) and all(map(equal, a, b))
        return bool(a == b)

    return all(equal(one[name], other[name]) for name in one | other)


def test_a_session_begins_with_nothing_segmented(session: InteractiveSession) -> None:
    assert not session.mask().any() and session.mask().shape == SHAPE == session.shape
    assert session.action() is None and session.confidence() is None and session.advice() == []
    assert session.overlay("advice", 0, 3) is None and session.steps == 0 and session.clicks == ()
    inside = session.probability() > 0
    low, high = session.view
    assert session.box == BOX and low == (0, 0, 0) and high == (24, 22, 16)  # six voxels more, within the scan
    assert inside.all() and np.array_equal(session.affine, AFFINE) and session.spacing == (1.5, 1.25, 3.0)


def test_the_whole_scan_without_a_box(model: Model) -> None:
    with InteractiveSession(model) as session:
        session.set_image(intensities(MASK))
        assert session.box is None and session.view == ((0, 0, 0), SHAPE)
        session.set_box((8, 8, 8), (9, 9, 9))
        assert session.view == ((2, 2, 2), (15, 15, 15))
        outside = np.ones(SHAPE, bool)
        outside[2:15, 2:15, 2:15] = False
        assert not session.probability()[outside].any()
        session.set_box()
        assert session.box is None and session.view == ((0, 0, 0), SHAPE)


def test_clicks_become_hints_where_they_were_made(session: InteractiveSession) -> None:
    point = (12.3, 7.8, 9.0)
    click, *others = session.add_clicks(point)
    assert not others and click.point == point and click.step == 1 and not click.repeated
    hint = session.overlay("hint", 2, 9)
    assert hint is not None and np.unravel_index(hint.argmax(), hint.shape) == (12, 8)
    assert session.clicks == (click,)


def test_a_click_on_a_voxel_that_was_clicked_tells_nothing(session: InteractiveSession) -> None:
    session.add_clicks([(12, 8, 9)])
    version, before = session.version, contents(session)
    assert [click.repeated for click in session.add_clicks([(12, 8, 9), (12.01, 8, 9)])] == [True, True]
    assert same(contents(session), before) and session.version == version + 1
    first, second, third = session.add_clicks([(5, 8, 9), (12, 8, 9), (5, 8, 9)])
    assert (first.repeated, second.repeated, third.repeated) == (False, True, True)
    assert len(session.clicks) == 2 and session.undo() == "add_clicks" and len(session.clicks) == 1


def test_steps_without_clicks_and_beyond_the_horizon(session: InteractiveSession) -> None:
    horizon = session.model.config.horizon
    for step in range(1, horizon + 4):
        before = session.probability()
        mask = session.step()
        asked = session.action()
        assert session.steps == step and asked is not None and np.array_equal(mask, session.mask())
        centre = (12, 11, 8)
        assert session.probability()[centre] == pytest.approx(np.clip(before[centre] + asked[centre], 0, 1), abs=0.21)
        assert len(session.advice()) == session.model.config.advised
    assert np.array_equal(session.mask(horizon + 3), mask) and session.mask(1).shape == SHAPE


def test_every_layer_is_the_same_by_slices(session: InteractiveSession) -> None:
    session.add_clicks(EDGE[:7])
    session.step()
    advised = np.zeros(SHAPE, bool)
    for axis, layer in ((axis, layer) for axis in range(3) for layer in get_args(Layer)):
        planes = [session.overlay(layer, axis, index) for index in range(SHAPE[axis])]
        whole = np.stack(planes, axis=axis)  # type: ignore[arg-type]
        assert whole.shape == SHAPE
        if layer == "advice":
            advised = whole
            assert whole.dtype == bool and 0 < whole.mean() < 1
        elif layer != "hint":
            expected = getattr(session, layer)()
            assert expected.dtype == whole.dtype and np.array_equal(expected, whole), layer
            assert 0 <= abs(whole).max() <= 1
    for region in session.advice():
        assert advised[region.centre] and np.less_equal(region.low, region.centre).all()
        assert np.less(region.centre, region.high).all()
    confidences = [region.confidence for region in session.advice()]
    assert confidences == sorted(confidences) and 0 <= confidences[0] and confidences[-1] <= 1


def test_slices_of_the_scan_and_a_window(session: InteractiveSession) -> None:
    image = intensities(MASK)
    assert np.array_equal(session.image_slice(1, 5), image[:, 5]) and session.image_slice(1, 5).dtype == np.float32
    assert session.intensity_range() == pytest.approx(tuple(np.percentile(image, (1, 99))))


def test_the_first_window_is_one_of_tissue(session: InteractiveSession) -> None:
    image = intensities(MASK)
    padded = np.zeros(SHAPE, bool)
    padded[:5] = padded[-4:] = True
    expected = tuple(np.percentile(image[~padded], (1, 99)))
    for value in (-32768, 30000):
        session.set_image(np.where(padded, value, image))
        assert session.intensity_range() == pytest.approx(expected)
    metal = image.astype(np.float32)
    metal[3, 3, ::2] = 40_000
    assert np.percentile(np.delete(metal, 0), 99.95) > 30_000
    session.set_image(metal)
    assert session.intensity_range() == pytest.approx(tuple(np.percentile(image, (1, 99))), abs=1)


def test_undo_and_redo_restore_the_state_exactly(session: InteractiveSession) -> None:
    actions: list[Callable[[], Any]] = [
        lambda: session.add_clicks(EDGE[:9]),
        session.step,
        lambda: session.add_clicks(EDGE[9:12]),
        session.step,
        session.reset,
        lambda: session.add_clicks(EDGE[:2]),
        lambda: session.set_box((2, 2, 2), (20, 20, 12)),
        session.step,
    ]
    moments = [contents(session)]
    for action in actions:
        action()
        moments.append(contents(session))
        assert not same(moments[-1], moments[-2])
    names = ["add_clicks", "step", "add_clicks", "step", "reset", "add_clicks", "set_box", "step"]
    for name, moment in zip(reversed(names), reversed(moments[:-1]), strict=True):
        assert session.undo() == name and same(contents(session), moment)
    assert session.can_undo  # the first box
    for name, moment in zip(names, moments[1:], strict=True):
        assert session.redo() == name and same(contents(session), moment)
    assert not session.can_redo


def test_what_comes_after_an_undone_step_is_what_came_after_it(session: InteractiveSession) -> None:
    session.add_clicks(EDGE[:9])
    first = session.step()
    after = contents(session)
    session.undo()
    assert np.array_equal(session.step(), first) and same(contents(session), after)
    assert not session.can_redo  # a new action took the place of what was undone


def test_only_so_much_can_be_undone(session: InteractiveSession) -> None:
    places = [(x, y, z) for x in range(1, 15) for y in range(1, 12) for z in (3, 9)]
    made = sum(not session.add_clicks(place)[0].repeated for place in places)
    assert made > MOST_UNDONE
    for _ in range(MOST_UNDONE):
        session.undo()
    assert not session.can_undo and len(session.clicks) == made - MOST_UNDONE


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (
            lambda s: s.add_clicks((24, 3, 3)),
            r"points: expected voxels of what the agent sees, .* got \[24.0, 3.0, 3.0\]",
        ),
        (lambda s: s.add_clicks([(3, 3, 3), (-0.6, 3, 3)]), r"got \[-0.6, 3.0, 3.0\]"),
        (lambda s: s.add_clicks((3, float("nan"), 3)), "nan"),
        (lambda s: s.add_clicks((3, float("inf"), 3)), "inf"),
        (lambda s: s.add_clicks([]), r"points: expected \(K, 3\), one at least, got shape \(0,\)"),
        (lambda s: s.add_clicks([(1, 2)]), r"got shape \(1, 2\)"),
        (lambda s: s.add_clicks("here"), "points: expected numbers"),
        (lambda s: s.add_clicks([(1, 2, 3), (1, 2)]), "points: expected numbers"),
        (lambda s: s.set_box((1, 1, 1), (1, 5, 5)), r"box: expected whole numbers 0 <= low < high <= \(24, 22, 16\)"),
        (lambda s: s.set_box((1, 1, 1), (25, 5, 5)), "box: expected"),
        (lambda s: s.set_box((-1, 1, 1), (5, 5, 5)), "box: expected"),
        (lambda s: s.set_box((1, 1), (5, 5)), "box: expected"),
        (lambda s: s.set_box((1, 1, 1)), "box: expected"),
        (lambda s: s.set_box((1, 1, 1.5), (5, 5, 5)), "box: expected"),
        (lambda s: s.mask(2), "step: expected one of the 1 steps taken, got 2"),
        (lambda s: s.mask(0), "step: expected"),
        (lambda s: s.overlay("mask", 3, 0), "axis: expected 0, 1 or 2, got 3"),
        (lambda s: s.overlay("mask", 2, 16), "index: expected 0 to 15 along axis 2, got 16"),
        (lambda s: s.overlay("label", 2, 1), "layer: expected one of mask, probability, .* got 'label'"),
        (lambda s: s.image_slice(0, 1, 1), "modality: expected 0 to 0, got 1"),
        (lambda s: s.redo(), "redo: expected an action that was undone, got none"),
    ],
)
def test_what_makes_no_sense_changes_nothing(
    action: Callable[[InteractiveSession], Any], message: str, session: InteractiveSession
) -> None:
    session.add_clicks(EDGE[:9])
    session.step()
    session.add_clicks(EDGE[9:])
    before, version, log = contents(session), session.version, session.log()
    with pytest.raises(SessionError, match=message):
        action(session)
    assert same(contents(session), before) and (session.version, session.log()) == (version, log)
    session.step()


def test_a_box_in_which_the_scan_is_constant(model: Model) -> None:
    image = intensities(MASK)
    image[:9, :9, :9] = 100
    with InteractiveSession(model) as session:
        session.set_image(image)
        session.add_clicks((20, 20, 12))
        with pytest.raises(SessionError, match="box: expected an image that varies in it"):
            session.set_box((0, 0, 0), (3, 3, 3))
        assert session.box is None and len(session.clicks) == 1


def test_without_a_scan_there_is_nothing_to_show(model: Model) -> None:
    session = InteractiveSession(model)
    looks: list[Callable[[], Any]] = [
        session.mask,
        session.probability,
        session.log,
        session.step,
        session.undo,
        lambda: session.shape,
    ]
    for look in looks:
        with pytest.raises(SessionError, match="expected a scan, got none yet; call set_image"):
            look()
    session.close()
    session.close()
    for look in looks:
        with pytest.raises(SessionError, match="closed"):
            look()
    with pytest.raises(SessionError, match="closed"):
        session.set_image(intensities(MASK))


class _Waiting:
    """An agent that acts when it is told to, and says when it is asked."""

    def __init__(self, model: Model) -> None:
        self.asked, self.go, self._agent = threading.Event(), threading.Event(), model.agent

    def act(self, observation: Any) -> Any:
        self.asked.set()
        assert self.go.wait(60)
        return self._agent.act(observation)

    def confidence(self, observation: Any, action: Any) -> Any:
        return self._agent.confidence(observation, action)


def _at_work(
    session: InteractiveSession, monkeypatch: pytest.MonkeyPatch
) -> tuple[_Waiting, threading.Thread, list[Any]]:
    """A session whose step is under way in another thread."""
    waiting, answers = _Waiting(session.model), []
    monkeypatch.setitem(session.model.__dict__, "agent", waiting)
    thread = threading.Thread(target=lambda: answers.append(session.step()))
    thread.start()
    assert waiting.asked.wait(60)
    return waiting, thread, answers


def test_while_the_agent_works_one_can_look_and_not_touch(
    session: InteractiveSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    session.add_clicks(EDGE[:9])
    before, log = contents(session), session.log()
    waiting, thread, answers = _at_work(session, monkeypatch)
    try:
        assert session.busy and same(contents(session), before) and session.log() == log
        assert session.waiting().clicks == len(session.clicks) and session.timing() == []
        touches: list[Callable[[], Any]] = [
            session.step,
            session.undo,
            session.reset,
            lambda: session.add_clicks(EDGE[9]),
            lambda: session.set_image(intensities(MASK)),
            lambda: session.save(tmp_path / "mask.nii.gz"),
        ]
        for touch in touches:
            with pytest.raises(SessionError, match="expected one that is idle, got one that is at work"):
                touch()
        assert same(contents(session), before)
    finally:
        waiting.go.set()
        thread.join()
    assert not session.busy and session.steps == 1 and np.array_equal(answers[0], session.mask())


def test_closed_while_the_agent_works(session: InteractiveSession, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, thread, answers = _at_work(session, monkeypatch)
    session.close()
    waiting.go.set()
    thread.join()
    assert len(answers) == 1 and not session.busy
    with pytest.raises(SessionError, match="closed"):
        session.mask()


def test_sessions_that_share_a_model_know_nothing_of_each_other(session: InteractiveSession) -> None:
    with InteractiveSession(session.model) as other:
        other.set_image(intensities(MASK, 1), AFFINE)
        other.set_box(*BOX)
        session.add_clicks(EDGE[:9])
        before = contents(session)
        other.add_clicks(EDGE[4:20])
        other.step()
        assert same(contents(session), before)
        alone = session.step()
    assert np.array_equal(alone, session.mask())


def test_an_answer_that_is_no_action_changes_nothing(
    session: InteractiveSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(session)
    monkeypatch.setattr(session.model.agent, "act", lambda observation: observation["probability"] * float("nan"))
    with pytest.raises(SessionError, match="expected an action of the agent, got none"):
        session.step()
    assert same(contents(session), before)
    monkeypatch.undo()
    session.step()
