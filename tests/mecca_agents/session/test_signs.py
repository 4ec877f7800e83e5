"""Sessions of runs that were trained with signs, a box and the time: what a person says reaches the agent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mecca_agents.session import InteractiveSession, Model, SessionError, load_model, read_log
from tests.support.volumes import AFFINE, ellipsoid, intensities

MASK = ellipsoid()
BOX = ((6, 6, 4), (18, 16, 12))


@pytest.fixture(scope="module")
def model(tiny_run: Callable[..., Path]) -> Model:
    return load_model(tiny_run("intercnn", protocol="mixed", time=True), device="cpu")


@pytest.fixture
def session(model: Model) -> Iterator[InteractiveSession]:
    with InteractiveSession(model) as opened:
        opened.set_image(intensities(MASK), AFFINE)
        opened.set_box(*BOX)
        yield opened


def test_clicks_inside_and_outside_are_two_maps(session: InteractiveSession) -> None:
    session.add_clicks([(12, 8, 9), (11, 11, 8)], inside=True)
    (made,) = session.add_clicks((3, 3, 3), inside=False)
    assert made.inside is False and [click.inside for click in session.clicks] == [True, True, False]
    state = session._moment.state
    assert state.signs is not None and state.signs[0].tolist() == [1, 1, -1]
    for click, side in zip(session.clicks, (0, 0, 1), strict=True):
        assert state.hint[0, side][click.voxel] == 1 and state.hint[0, 1 - side][click.voxel] < 1
    session.step()
    session.add_clicks((12, 9, 9), inside=False)
    assert session._moment.state.signs[0].tolist() == [1, 1, -1, -1]


def test_the_same_voxel_may_be_said_to_be_on_the_other_side(session: InteractiveSession) -> None:
    session.add_clicks((12, 8, 9), inside=True)
    assert session.add_clicks((12, 8, 9), inside=True)[0].repeated
    assert not session.add_clicks((12, 8, 9), inside=False)[0].repeated


@pytest.mark.parametrize("inside", [1, 0, "outside", "", np.int64(1), [True]])
def test_a_side_is_true_or_false(session: InteractiveSession, inside: Any) -> None:
    with pytest.raises(SessionError, match="^inside: expected True, False or None, got "):
        session.add_clicks((12, 8, 9), inside=inside)
    assert session.clicks == ()


def test_a_side_of_numpy_is_logged_as_one(session: InteractiveSession, tmp_path: Path) -> None:
    (click,) = session.add_clicks((12, 8, 9), inside=np.bool_(False))  # type: ignore[arg-type]
    assert click.inside is False
    session.save_log(tmp_path / "log.json")
    assert read_log(tmp_path / "log.json").entries == session.log()


def test_the_box_is_shown_and_the_time_runs(session: InteractiveSession) -> None:
    state = session._moment.state
    assert state.box is not None and 0 < float(state.box.mean()) < 1
    assert state.time is not None and state.time.tolist() == [[1.0]]
    session.step()
    assert session._moment.state.time.tolist() == [[pytest.approx(5 / 6)]]
    session.set_box()
    assert not session._moment.state.box.any()


def test_a_session_with_signs_is_done_again_from_its_log(
    session: InteractiveSession, model: Model, tmp_path: Path
) -> None:
    session.add_clicks((12, 8, 9), inside=True)
    session.add_clicks((3, 3, 3), inside=False)
    session.step()
    session.undo(), session.redo()
    session.save_log(tmp_path / "log.json")
    with InteractiveSession(model) as again:
        again.set_image(intensities(MASK), AFFINE)
        again.load_log(tmp_path / "log.json")
        assert np.array_equal(again.mask(), session.mask())
        assert [click.inside for click in again.clicks] == [True, False]


def test_a_sign_is_wanted_where_the_run_knows_signs_and_nowhere_else(
    session: InteractiveSession, tiny_run: Callable[..., Path]
) -> None:
    with pytest.raises(
        SessionError, match="inside: expected True or False, since this run was trained with clicks ins"
    ):
        session.add_clicks((12, 8, 9))
    assert session.clicks == ()
    with InteractiveSession(load_model(tiny_run("intercnn"), device="cpu")) as plain:
        plain.set_image(intensities(MASK), AFFINE)
        with pytest.raises(
            SessionError, match="inside: expected None: this run was not trained with clicks inside and"
        ):
            plain.add_clicks((12, 8, 9), inside=True)
        plain.add_clicks((12, 8, 9))
