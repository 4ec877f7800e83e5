"""What an agent sees where nobody drew a box, and the marks of a hand: lines and areas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mecca_agents import train
from mecca_agents.session import InteractiveSession, Model, SessionError, load_model
from mecca_agents.session.inputs.drawn import along, enclosed
from mecca_agents.session.playing.views import around, drawn_closer, grown, opening, with_margin
from mecca_env.data.grid.placement import ROUNDING, Placement
from mecca_env.data.phantom import PhantomSource
from tests.support.agents import PRESET
from tests.support.volumes import ellipsoid

SHAPE = (90, 80, 60)
TARGET = ellipsoid(SHAPE, (30, 24, 18))
MIDDLE = (45, 40, 30)
VIEW = ((10, 10, 10), (50, 50, 40))
WHOLE = ((0, 0, 0), SHAPE)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Of an agent that takes what is bright: right in every view."""
    out = tmp_path_factory.mktemp("views") / "run"
    preset = PRESET.replace(shape=(24, 24, 24), updates=1)
    train("tests.support.agents:Bright", "MECCA-Phantom-v0", out, preset=preset, settings=dict(PROMPTS), device="cpu")
    return load_model(out, device="cpu")


PROMPTS = {"protocol": "mixed", "action": "continuous"}


@pytest.fixture
def session(model: Model) -> Iterator[InteractiveSession]:
    with InteractiveSession(model) as opened:
        opened.set_image(TARGET + np.random.default_rng(0).normal(scale=0.05, size=SHAPE))
        yield opened


def _dice(mask: np.ndarray) -> float:
    return float(2 * (mask & TARGET).sum() / (mask.sum() + TARGET.sum()))


def test_a_first_click_opens_a_view_and_a_step_finds_all_of_a_large_target(session: InteractiveSession) -> None:
    assert session.view == ((0, 0, 0), SHAPE)
    session.add_clicks(MIDDLE, inside=True)
    low, high = session.view
    assert 0 < low[0] < high[0] < SHAPE[0]
    mask = session.step()
    assert session.box is None and session.steps == 1 and _dice(mask) > 0.93
    low, high = session.view
    assert low[0] <= 45 - 30 and high[0] >= 45 + 30
    assert session.clicks[0].voxel != (0, 0, 0) and session._moment.state.n_clicks.tolist() == [1]


def test_a_click_inside_the_target_beyond_the_view_widens_it(session: InteractiveSession) -> None:
    session.add_clicks(MIDDLE, inside=True)
    session.step()
    before, mask = session.view, session.mask()
    session.add_clicks((1, 1, 1), inside=True)
    assert session.view != before and all(v <= 1 for v in session.view[0]) and session.steps == 1
    assert np.array_equal(session.mask(), mask) and np.array_equal(session.mask(step=1), mask)  # what the step found
    assert np.array_equal(session.overlay("mask", 2, 30), mask[..., 30])  # type: ignore[arg-type]
    state = session._moment.state
    assert state.signs is not None and state.signs[0, :2].tolist() == [1, 1]
    for click in session.clicks:
        assert state.hint[0, 0][click.voxel] == 1
    session.undo()
    assert session.view == before and np.array_equal(session.mask(), mask)


def test_a_click_outside_the_target_beyond_the_view_says_nothing_new_until_the_view_holds_it(
    session: InteractiveSession,
) -> None:
    session.add_clicks(MIDDLE, inside=True)
    session.step()
    before, mask = session.view, session.mask()
    (made,) = session.add_clicks((1, 1, 1), inside=False)
    assert not made.repeated and made.voxel == (-1, -1, -1) and session.clicks[-1] == made
    assert session.view == before and np.array_equal(session.mask(), mask)
    state = session._moment.state
    assert not state.hint[0, 1].any() and state.n_clicks.tolist() == [1]
    session.step()
    assert session.view == before and session.steps == 2
    session.add_clicks((3, 3, 3), inside=True)  # now the view reaches there
    state = session._moment.state
    voxel = session.clicks[1].voxel
    assert min(voxel) >= 0 and state.hint[0, 1][voxel] == 1 and state.n_clicks.tolist() == [3]
    assert session.step()[3, 3, 3] and not session.mask()[1, 1, 1]


def test_a_mask_of_a_step_is_what_that_returned_however_the_view_changes_since() -> None:
    scan = PhantomSource().scan(1)
    middle = np.argwhere(scan.label).mean(axis=0)
    with InteractiveSession("general", device="cpu") as session:
        session.set_image(scan.image[0], scan.affine)
        session.add_clicks(middle, inside=True)
        mask, view, probability = session.step(), session.view, session.probability()
        session.add_clicks((1, 1, 1), inside=True)
        assert session.view != view
        for found in (session.mask(), session.mask(step=1)):
            assert np.array_equal(found, mask)
        assert np.array_equal(session.probability(), probability)
        other = session.step()
        assert np.array_equal(session.mask(step=1), mask) and np.array_equal(session.mask(step=2), other)


def test_what_is_constant_around_a_click_is_not_looked_at(model: Model) -> None:
    image = np.random.default_rng(0).normal(size=(160, 160, 160)).astype(np.float32)
    image[80:] = 0.0
    with InteractiveSession(model) as session:
        session.set_image(image)
        session.add_clicks((112, 80, 80), inside=True)
        session.step()
        assert session.steps == 1 and session.view[0][0] < 80
        session.reset()
        low, high = session.view
        with pytest.raises(SessionError, match=r"^view: expected an image that varies in it, got \(\(118, "):
            session.add_clicks((152, 80, 80), inside=True)
        assert session.view == (low, high) and not session.clicks


def test_a_view_is_not_drawn_closer_where_the_scan_is_constant(
    session: InteractiveSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(observation: Mapping[str, torch.Tensor]) -> torch.Tensor:
        asked = torch.full_like(observation["probability"], -0.5)
        asked[:, 18:20, 11:13, 11:13] = 0.5
        return asked

    image = np.random.default_rng(0).normal(size=SHAPE)
    image[40:] = 0.0
    session.set_image(image)
    session.add_clicks((60, 40, 30), inside=True)
    monkeypatch.setattr(session.model.agent, "act", small)
    assert session.step().any() and session.view[0][0] < 40


def test_a_box_is_kept_but_for_prompts_beyond_it(session: InteractiveSession) -> None:
    session.set_box((30, 30, 20), (60, 50, 40))
    before = session.view
    session.step()
    assert session.view == before  # it touches all sides of it
    session.add_clicks((2, 40, 30), inside=False)
    assert session.view == before  # where all is background
    session.add_clicks((2, 41, 30), inside=True)
    assert session.view[0][0] <= 2 and session.view[1] == before[1] and session.box == ((30, 30, 20), (60, 50, 40))


def test_a_reset_gives_up_what_was_found(session: InteractiveSession) -> None:
    session.add_clicks(MIDDLE, inside=True)
    session.step()
    session.reset()
    assert session.view == ((0, 0, 0), SHAPE) and not session.clicks and not session.mask().any()


def test_a_mask_is_gone_on_from_in_a_view_around_it(session: InteractiveSession) -> None:
    part = TARGET.copy()
    part[45:] = False
    session.set_mask(part)
    assert session.box is None and session.view != ((0, 0, 0), SHAPE) and np.array_equal(session.mask(), part)
    assert _dice(session.step()) > 0.93


def test_it_is_all_done_again_from_a_log(session: InteractiveSession, model: Model, tmp_path: Path) -> None:
    session.add_clicks(MIDDLE, inside=True)
    session.step()
    session.add_scribble([(2, 2, 2), (9, 2, 2)], inside=False)
    session.add_lasso([(40, 35, 30), (50, 35, 30), (45, 45, 30)], inside=True)
    session.step()
    session.save_log(tmp_path / "log.json")
    with InteractiveSession(model) as again:
        again.set_image(TARGET + np.random.default_rng(0).normal(scale=0.05, size=SHAPE))
        again.load_log(tmp_path / "log.json")
        assert np.array_equal(again.mask(), session.mask()) and again.view == session.view


def test_a_clicked_voxel_is_on_the_side_that_was_said(session: InteractiveSession) -> None:
    session.add_clicks(MIDDLE, inside=True)
    session.step()
    session.add_clicks([(45, 40, 32), (46, 40, 32)], inside=False)  # which this agent does not believe
    session.add_clicks((47, 40, 32), inside=False)
    mask = session.step()
    assert not mask[45:48, 40, 32].any() and mask[44, 40, 32]
    assert not session.overlay("mask", 2, 32)[45:48, 40].any()  # type: ignore[index]
    session.add_clicks((46, 40, 32), inside=True)
    assert session.step()[45:48, 40, 32].tolist() == [False, True, False]
    session.add_clicks((46, 40, 32), inside=False)
    assert not session.step()[46, 40, 32]
    assert not session.add_clicks((46, 40, 32), inside=True)[0].repeated  # said before, but not last
    assert session.step()[46, 40, 32]
    assert not session.mask(step=1)[0, 0, 0] and session.mask(step=1)[45, 40, 32]


@settings(max_examples=50, deadline=None)
@given(st.tuples(*(st.floats(0, n - 1) for n in SHAPE)), st.floats(1, 400), st.tuples(*[st.floats(0.3, 8)] * 3))
def test_views_lie_in_the_scan_and_hold_their_points(
    point: tuple[float, ...], side: float, spacing: tuple[float, ...]
) -> None:
    low, high = opening(point, spacing, SHAPE, side)
    assert all(0 <= a < b <= n for a, b, n in zip(low, high, SHAPE, strict=True))
    assert all(a - 0.5 <= p <= b - 0.5 for a, p, b in zip(low, point, high, strict=True))
    low, high = around(VIEW, np.array([point]), SHAPE)
    assert all(0 <= a <= v for a, v in zip(low, VIEW[0], strict=True))
    assert all(v <= b <= n for b, v, n in zip(high, VIEW[1], SHAPE, strict=True))
    assert all(a - 0.5 <= p <= b - 0.5 for a, p, b in zip(low, point, high, strict=True))


def test_a_view_grows_where_the_mask_touches_it_and_nowhere_else() -> None:
    placement = Placement(*VIEW, (10, 10, 10))
    mask = np.zeros((10, 10, 10), bool)
    mask[4:, 4:6, :6] = True
    assert grown(mask, placement, SHAPE) == ((10, 10, 0), (66, 50, 40))
    mask[:] = False
    assert grown(mask, placement, SHAPE) == VIEW


def test_a_view_is_drawn_closer_around_mask_and_clicks_where_it_is_far_too_large() -> None:
    placement = Placement((0, 0, 0), SHAPE, (30, 40, 30))
    mask = np.zeros((30, 40, 30), bool)
    mask[10:20, 10:20, 10:20] = True  # voxels 30 to 60, 20 to 40, 20 to 40
    middle, far, none = np.array([[45.0, 30.0, 30.0]]), np.array([[2.0, 70.0, 55.0]]), np.zeros((0, 3))
    assert drawn_closer(mask, placement, SHAPE, middle, none) == ((25, 16, 16), (65, 44, 44))
    assert drawn_closer(mask, placement, SHAPE, far, none) == ((0, 0, 0), SHAPE)  # the click would be lost
    assert drawn_closer(mask, placement, SHAPE, middle, far) == ((25, 16, 16), (65, 44, 44))  # it is background anyway
    beside = drawn_closer(mask, placement, SHAPE, middle, np.array([[45.0, 30.0, 47.0]]))
    assert beside == ((25, 16, 15), (65, 44, 53))  # what was said beside the mask stays in view
    assert drawn_closer(np.zeros_like(mask), placement, SHAPE, none, none) == ((0, 0, 0), SHAPE)
    assert with_margin(((30, 20, 20), (60, 40, 40)), SHAPE) == ((25, 16, 16), (65, 44, 44))


def test_a_line_passes_neighbouring_voxels_each_once() -> None:
    voxels = along([(0, 0, 0), (5.2, 3, 0), (5.2, 3, 0)], WHOLE)
    assert voxels[0].tolist() == [0, 0, 0] and voxels[-1].tolist() == [5, 3, 0]
    assert (np.abs(np.diff(voxels, axis=0)).max(axis=1) == 1).all()
    assert along([(1, 2, 3)], WHOLE).tolist() == [[1, 2, 3]]


def test_an_area_is_what_an_outline_encloses() -> None:
    found = enclosed([(2, 7, 2), (2, 7, 6), (5, 7, 6), (5, 7, 2)], WHOLE)
    expected = [[x, 7, z] for x in range(2, 6) for z in range(2, 7)]
    assert found.tolist() == expected


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([(0, 0, 0), (1, 1, 1), (2, 0, 2)], "expected an outline on one slice"),
        ([(0, 0, 0), (1, 1, 0)], "3 at least, got shape .2, 3"),
        ([(0, 0, 0), (1, 1, float("nan")), (2, 0, 2)], "expected voxels of what the agent sees, .*nan"),
        ([(0, 0, 0), (1e5, 0, 0), (1e5, 1e5, 0)], "expected a mark of at most"),
        ([(0, 0, 0), (1e308, 0, 0), (-1e308, 1e308, 0)], "expected voxels of what the agent sees, .*1e.308"),
        ("outline", "expected numbers"),
    ],
)
def test_what_is_no_area_is_refused(points: object, message: str) -> None:
    with pytest.raises(SessionError, match=message):
        enclosed(points, ((0, 0, 0), (1 << 17,) * 3))  # type: ignore[arg-type]


def test_a_long_line_is_refused_before_it_is_drawn() -> None:
    zigzag = [(400 * (number % 2), 0, 0) for number in range(3001)]
    with pytest.raises(SessionError, match="expected a mark of at most 1048576 voxels, got one of 1200000"):
        along(zigzag, ((0, 0, 0), (512, 512, 512)))
    with pytest.raises(SessionError, match="expected voxels of what the agent sees"):
        along([(0, 0, 0), (1e6, 0, 0)], WHOLE)


@pytest.mark.parametrize("beyond", [0.5, 0.5 + ROUNDING / 2])
def test_all_marks_may_lie_on_the_border_of_the_scan(session: InteractiveSession, beyond: float) -> None:
    session.set_image(np.random.default_rng(0).normal(size=(96, 96, 96)))
    points = [(95 + beyond, 80, -beyond), (90, 80, -beyond), (92, 70, -beyond)]
    (made,) = session.add_clicks(points[0], inside=True)
    assert made.point == points[0] and session.add_clicks((95, 80, 0), inside=True)[0].repeated
    for add in (session.add_scribble, session.add_lasso):
        assert add(points, inside=False)[-1].step == 1
    assert not session.step()[95, 80, 0]
