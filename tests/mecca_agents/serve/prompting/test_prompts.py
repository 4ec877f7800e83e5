"""Prompts in a session: what each becomes, one undo for one prompt, and all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mecca_agents.serve.prompting import prompts
from mecca_agents.serve.prompting.prompts import Answer, PromptedSession
from mecca_agents.session import InteractiveSession, Model, SessionError
from mecca_agents.session.history import MOST_UNDONE

MIDDLE = (12, 14, 10)
AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])


@pytest.fixture
def opened(model: Model, scan: NDArray[np.float32]) -> PromptedSession:
    session = PromptedSession(model)
    session.set_image(scan, AFFINE)
    return session


@pytest.fixture
def plain(plain_model: Model, scan: NDArray[np.float32]) -> PromptedSession:
    session = PromptedSession(plain_model)
    session.set_image(scan, AFFINE)
    return session


def _line() -> NDArray[np.bool_]:
    mark = np.zeros((5, 1, 1), bool)
    mark[:] = True
    return mark


def _ball(shape: tuple[int, ...] = (25, 30, 21)) -> NDArray[np.bool_]:
    at = np.indices(shape) - np.array(MIDDLE)[:, None, None, None]
    return np.asarray((at**2).sum(0) < 30)


def _state(prompted: PromptedSession) -> Any:
    session = prompted.session
    return session.mask().tobytes(), session.clicks, session.box, session.view, session.steps


def _apply(answer: Answer, buffer: NDArray[np.bool_]) -> None:
    if answer.box is not None and answer.part is not None:
        buffer[tuple(slice(a, b) for a, b in zip(*answer.box, strict=True))] = answer.part


def test_points_have_a_side_where_the_run_knows_signs(opened: PromptedSession, plain: PromptedSession) -> None:
    assert opened.add_point(MIDDLE, True).ran and opened.add_point((3, 3.4, 3), False).ran
    assert [(click.point, click.inside) for click in opened.session.clicks] == [(MIDDLE, True), ((3, 3.4, 3), False)]
    assert opened.shown[MIDDLE] and not opened.shown[3, 3, 3]
    assert plain.add_point(MIDDLE, True).ran and plain.add_point((11, 14, 10), False).ran
    assert [click.inside for click in plain.session.clicks] == [None, None]


def test_a_view_is_found_around_the_first_point_and_widened_by_a_later_one(
    opened: PromptedSession, plain: PromptedSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    for prompted in (opened, plain):
        monkeypatch.setattr(PromptedSession, "_usual", 24.0)
        prompted.add_point(MIDDLE, True)
        low, high = prompted.session.view
        clicks = len(prompted.session.clicks)
        far = (24, 29, 20)
        prompted.add_point(far, False)
        seen_low, seen_high = prompted.session.view
        assert all(a <= p < b for a, p, b in zip(seen_low, far, seen_high, strict=True))
        assert len(prompted.session.clicks) == clicks + 1  # the first is told again
    assert plain.session.box is not None


def test_widening_goes_on_from_the_mask_and_leaves_no_click_out(plain: PromptedSession) -> None:
    plain.add_box((8, 10, 7), (16, 19, 14), True)
    plain.set_mask(_ball(), False)
    plain.add_point((12, 14, 13), True, False)
    plain.add_point((0, 0, 0), True, False)
    assert np.array_equal(plain.session.mask(), _ball()) and plain.session.steps == 0
    assert {click.point for click in plain.session.clicks} == {(12, 14, 13), (0, 0, 0)}


def test_scribbles_and_lassos_become_their_voxels_or_their_edges(
    opened: PromptedSession, plain: PromptedSession
) -> None:
    opened.add_scribble(_line(), (8, 14, 10), True)
    assert {click.point for click in opened.session.clicks} <= {(x, 14.0, 10.0) for x in range(8, 13)}
    assert {click.inside for click in opened.session.clicks} == {True}
    assert opened.shown[10, 14, 10]
    area = np.ones((6, 7, 1), bool)
    opened.add_lasso(area, (1, 1, 2), False)
    negative = [click.point for click in opened.session.clicks if click.inside is False]
    assert negative and all(1 <= x < 7 and 1 <= y < 8 and z == 2 for x, y, z in negative)
    plain.add_lasso(area, (9, 11, 10), True)
    assert 1 < len(plain.session.clicks) <= 10
    for click in plain.session.clicks:
        assert click.point[0] in (9, 14) or click.point[1] in (11, 17), click
    with pytest.raises(SessionError, match="mark: expected one voxel at least"):
        opened.add_scribble(np.zeros((3, 3, 3), bool), (0, 0, 0), True)


def test_boxes_on_two_slices_make_one_and_keep_mask_and_clicks(opened: PromptedSession) -> None:
    opened.add_point(MIDDLE, True)
    opened.add_box((8, 10, 10), (17, 20, 11), True)
    low, high = opened.session.box or ((0, 0, 0), (0, 0, 0))
    assert (low[:2], high[:2]) == ((8, 10), (17, 20)) and low[2] < 10 < 11 < high[2]
    opened.add_box((8, 14, 6), (17, 15, 15), True)
    assert opened.session.box == ((8, 10, 6), (17, 20, 15))
    assert [click.point for click in opened.session.clicks] == [MIDDLE]
    assert not opened.shown[~_within(opened)].any()


def _within(opened: PromptedSession) -> NDArray[np.bool_]:
    inside = np.zeros(opened.session.shape, bool)
    low, high = opened.session.view
    inside[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return inside


def test_a_box_on_a_slice_grows_deeper_where_the_mask_reaches_its_end(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.random.default_rng(1).normal(size=(30, 30, 60)).astype(np.float32)
    prompted = PromptedSession(model)
    prompted.set_image(image)
    step = InteractiveSession.step

    def everything(session: InteractiveSession) -> NDArray[np.bool_]:
        step(session)
        low, high = session.view
        mask = np.zeros(session.shape, bool)
        mask[15, 15, max(low[2], 10) : min(high[2], 50)] = True
        monkeypatch.setattr(session, "mask", lambda: mask)
        return mask

    monkeypatch.setattr(InteractiveSession, "step", everything)
    prompted.add_box((12, 12, 30), (18, 18, 31), True)
    low, high = prompted.session.box or ((0, 0, 0), (0, 0, 0))
    deeper = high[2] - low[2]
    monkeypatch.setattr(prompts, "MOST_GROWTHS", 0)
    prompted.set_image(image)
    monkeypatch.undo()
    monkeypatch.setattr(InteractiveSession, "step", everything)
    monkeypatch.setattr(prompts, "MOST_GROWTHS", 0)
    prompted.add_box((12, 12, 30), (18, 18, 31), True)
    low, high = prompted.session.box or ((0, 0, 0), (0, 0, 0))
    assert deeper > high[2] - low[2]


def test_a_box_that_the_target_is_not_in_marks_its_voxels(opened: PromptedSession, plain: PromptedSession) -> None:
    opened.add_point(MIDDLE, True)
    opened.add_box((1, 1, 10), (4, 5, 11), False)
    assert opened.session.box is None and not opened.shown[2, 3, 10]
    assert any(click.inside is False for click in opened.session.clicks)
    with pytest.raises(SessionError, match="box: expected one around the target, since this run knows no signs"):
        plain.add_box((1, 1, 10), (4, 5, 11), False)
    assert plain.session.pristine and not plain.undo().ran


@pytest.mark.parametrize("kind", ["signed", "plain"])
def test_one_prompt_is_one_undo_however_many_actions_it_was(
    kind: str, opened: PromptedSession, plain: PromptedSession
) -> None:
    prompted = opened if kind == "signed" else plain
    doings: list[Callable[[], Answer]] = [
        lambda: prompted.add_point(MIDDLE, True),
        lambda: prompted.add_point(MIDDLE, True, False),  # again: the agent learns nothing from it
        lambda: prompted.add_box((8, 10, 10), (17, 20, 11), True),
        lambda: prompted.add_point((0, 0, 0), kind == "plain"),
        lambda: prompted.add_scribble(_line(), (8, 14, 10), True, False),
        lambda: prompted.add_box((8, 14, 6), (17, 15, 15), True, False),
        lambda: prompted.set_mask(_ball(), False),
        lambda: prompted.add_lasso(np.ones((3, 3, 1), bool), (10, 12, 9), True),
        lambda: prompted.set_mask(_ball(), True),
        lambda: prompted.set_mask(np.zeros_like(_ball())),
        lambda: prompted.add_point(MIDDLE, True),
        lambda: prompted.predict(),
    ]
    before, buffer = [_state(prompted)], prompted.session.mask()
    for do in doings:
        answer = do()
        if do is doings[6] or do is doings[8] or do is doings[9]:
            buffer = _ball() if do is not doings[9] else np.zeros_like(buffer)  # a viewer shows what it has sent
        _apply(answer, buffer)
        assert np.array_equal(buffer, prompted.shown)
        before.append(_state(prompted))
    for state in reversed(before[:-1]):
        answer = prompted.undo()
        assert answer.ran
        _apply(answer, buffer)
        assert _state(prompted) == state and np.array_equal(buffer, prompted.session.mask())
    assert not prompted.undo().ran


def test_prompts_wait_until_the_agent_is_asked_and_are_undone_with_its_answer(opened: PromptedSession) -> None:
    assert not opened.predict().ran
    empty = _state(opened)
    assert not opened.add_point(MIDDLE, True, False).ran
    waiting = _state(opened)
    assert not opened.add_point((3, 3, 3), False, False).ran and opened.session.steps == 0
    assert opened.predict().ran and opened.session.steps == 1
    assert opened.predict().ran and opened.session.steps == 2  # once more
    opened.undo()
    assert opened.session.steps == 1
    opened.undo()
    assert _state(opened) == waiting
    assert opened.predict().ran and opened.session.steps == 1
    opened.undo()
    assert _state(opened) == empty and not opened.undo().ran


def test_a_mask_is_gone_on_from_and_an_empty_one_begins_anew(opened: PromptedSession) -> None:
    opened.add_box((8, 10, 6), (17, 20, 15), True)
    corner = np.zeros_like(_ball())
    corner[20:24, 1:5, 2:6] = True  # outside of what the agent saw
    assert not opened.set_mask(corner).ran and np.array_equal(opened.shown, corner)
    assert np.array_equal(opened.session.mask(), corner) and opened.session.box is None
    answer = opened.predict()
    assert answer.ran and answer.box is not None and opened.session.steps == 1
    opened.set_mask(np.zeros_like(corner))
    assert opened.session.pristine and not opened.shown.any() and not opened.predict().ran
    with pytest.raises(SessionError, match="mask: expected the scan's shape"):
        opened.set_mask(corner[:-1])


def test_a_reset_forgets_prompts_and_boxes(opened: PromptedSession) -> None:
    opened.add_box((8, 10, 10), (17, 20, 11), True)
    opened.reset()
    assert opened.session.pristine and opened.session.box is None and not opened.shown.any()
    assert not opened.undo().ran
    opened.add_box((3, 3, 3), (9, 9, 4), True)
    low, high = opened.session.box or ((0, 0, 0), (0, 0, 0))
    assert (low[:2], high[:2]) == ((3, 3), (9, 9))


@pytest.mark.parametrize("kind", ["signed", "plain"])
def test_what_is_refused_changes_nothing(
    kind: str, opened: PromptedSession, plain: PromptedSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompted = opened if kind == "signed" else plain
    prompted.add_point(MIDDLE, True)
    prompted.add_point((13, 14, 10), True, False)
    state, shown = _state(prompted), prompted.shown.copy()

    def fails(session: InteractiveSession) -> None:
        raise SessionError("step: no")

    monkeypatch.setattr(InteractiveSession, "step", fails)
    for do in (
        lambda: prompted.add_point((0, 0, 0), True),
        lambda: prompted.add_box((8, 10, 10), (17, 20, 11), True),
        lambda: prompted.set_mask(_ball(), True),
        lambda: prompted.predict(),
        lambda: prompted.add_point((25, 0, 0), True),
        lambda: prompted.add_point((float("nan"), 0, 0), True),
        lambda: prompted.add_box((40, 0, 0), (50, 4, 4), True),
    ):
        with pytest.raises(SessionError):
            do()
        assert _state(prompted) == state and np.array_equal(prompted.shown, shown)
    monkeypatch.undo()
    assert prompted.undo().ran and len(prompted.session.clicks) == 1
    assert prompted.undo().ran and prompted.session.pristine and not prompted.undo().ran


def test_a_box_where_the_scan_is_constant_is_refused(model: Model, scan: NDArray[np.float32]) -> None:
    scan[:9] = 0
    prompted = PromptedSession(model)
    prompted.set_image(scan)
    prompted.add_point(MIDDLE, True)
    state = _state(prompted)
    with pytest.raises(SessionError, match="expected an image that varies in it"):
        prompted.add_box((0, 0, 0), (2, 3, 3), True)
    assert _state(prompted) == state


def test_more_is_forgotten_than_a_session_can_undo_and_never_half_a_prompt(plain: PromptedSession) -> None:
    for number in range(60):
        plain.add_point((1 + 2.4 * (number % 10), 2 + 4 * (number // 10), 10), True)
    actions = MOST_UNDONE // 2
    for _ in range(actions):
        assert plain.undo().ran
    assert not plain.undo().ran and plain.session.steps == 10


def test_a_log_is_done_again(opened: PromptedSession, scan: NDArray[np.float32], tmp_path: Path) -> None:
    opened.add_point(MIDDLE, True)
    opened.add_box((8, 10, 10), (17, 20, 11), True)
    opened.undo()
    opened.set_mask(_ball())
    opened.add_scribble(_line(), (8, 14, 10), False)
    opened.session.save_log(tmp_path / "log.json")
    with InteractiveSession(opened.session.model) as again:
        again.set_image(scan, AFFINE)
        again.load_log(tmp_path / "log.json")
        assert np.array_equal(again.mask(), opened.shown)
