"""Two proposals of a step: one is taken, as a step is; the log keeps both, and leads to the same state again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mecca_agents import PRESETS, train
from mecca_agents.learning.proposals import LEAST_APART
from mecca_agents.session import InteractiveSession, Model, SessionError, load_model, read_log
from mecca_agents.session.choosing import LoggedPair
from tests.support.volumes import AFFINE, SHAPE, ellipsoid, intensities

IMAGE = intensities(ellipsoid())


@pytest.fixture(scope="module", params=["signed", "mecca"])
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_run: Callable[..., Path]
) -> Model:
    """A mask predictor that finds its view, and an actor-critic with a guide."""
    if request.param == "mecca":
        return load_model(tiny_run("mecca"), device="cpu")
    folder = tmp_path_factory.mktemp("runs") / "signed"
    preset = PRESETS["general"].replace(shape=(12, 12, 10), channels=2, levels=2, num_envs=1, updates=1)
    train("intercnn", "MECCA-Shapes-v0", folder, preset=preset, settings={"horizon": 2}, device="cpu")
    return load_model(folder, device="cpu")


@pytest.fixture
def session(model: Model) -> Iterator[InteractiveSession]:
    with InteractiveSession(model) as opened:
        opened.set_image(IMAGE, AFFINE)
        click(opened, (12, 9, 7))
        yield opened


def click(session: InteractiveSession, point: tuple[int, int, int]) -> None:
    session.add_clicks(point, inside=True if session.model.config.signed else None)


def test_two_masks_differ_and_change_nothing(session: InteractiveSession) -> None:
    moment, entries, version = session._moment, session.log(), session.version
    one, other = session.proposals()
    assert one.shape == other.shape == SHAPE and one.dtype == np.bool_
    assert (one ^ other).sum() >= LEAST_APART / 3 * (one | other).sum()
    if session.model.config.signed:
        assert one[12, 9, 7] and other[12, 9, 7]  # what was said of a voxel holds in both
    assert session._moment is moment and session.log() == entries and session.version == version
    third, fourth = session.proposals()
    assert not (np.array_equal(one, third) or np.array_equal(other, fourth))


@pytest.mark.parametrize("index", [0, 1])
def test_a_choice_is_a_step_that_can_be_undone(session: InteractiveSession, index: int) -> None:
    masks, before = session.proposals(), session._moment
    chosen = session.choose(index)
    assert np.array_equal(chosen, masks[index]) and np.array_equal(session.mask(), chosen) and session.steps == 1
    assert [choice and choice.index for choice in session.choices()] == [index]
    assert not session._moment.waiting and session.timing()[0].clicks == 1
    click(session, (12, 11, 8))
    session.step()
    assert session.steps == 2 and [choice and choice.index for choice in session.choices()] == [index, None]
    assert [session.undo() for _ in range(3)] == ["step", "add_clicks", "choose"]
    assert session._moment is before and session.redo() == "choose" and np.array_equal(session.mask(), chosen)


def test_two_masks_can_be_chosen_of_at_their_moment_alone(session: InteractiveSession) -> None:
    assert session.proposed is None and session.model.proposes
    masks = session.proposals()
    assert session.proposed is masks
    session.choose(0)
    assert session.proposed is None
    session.undo()
    assert session.proposed is masks
    click(session, (12, 11, 8))
    assert session.proposed is None
    session.set_image(IMAGE, AFFINE)
    assert session.proposed is None
    session.close()
    assert session.proposed is None


def test_the_log_keeps_both_and_leads_to_the_same_state(session: InteractiveSession, tmp_path: Path) -> None:
    masks = session.proposals()
    session.choose(1)
    click(session, (12, 11, 8))
    session.proposals()
    session.choose(np.int64(0))  # type: ignore[arg-type]
    session.save_log(tmp_path / "log.json")
    log = read_log(tmp_path / "log.json")
    assert log.entries == session.log() and (tmp_path / "log.json").stat().st_size < 20_000
    details = next(entry.details for entry in log.entries if entry.action == "choose")
    assert (details["number"], details["clicks"], details["index"]) == (1, 1, 1)
    pair = LoggedPair(details["low"], details["high"], tuple(details["pair"]))
    for logged, mask in zip(pair.unpacked(SHAPE), masks, strict=True):
        assert np.array_equal(logged.whole(SHAPE), mask)
    with InteractiveSession(session.model) as other:
        other.set_image(IMAGE, AFFINE)
        other.load_log(log)
        assert torch.equal(other._moment.state.probability, session._moment.state.probability)
        assert np.array_equal(other.mask(), session.mask()) and other.view == session.view
        assert other.log() == session.log() and other.timing() == session.timing()
        assert [other.undo() for _ in range(3)] == ["choose", "add_clicks", "choose"]


def test_proposals_are_void_once_something_was_done(session: InteractiveSession) -> None:
    with pytest.raises(SessionError, match=r"choose: expected proposals for what is there now, got none; call propos"):
        session.choose(0)
    session.proposals()
    for index in (2, -1, True, np.True_, 1.0, "1"):
        with pytest.raises(SessionError, match="index: expected 0 or 1, got"):
            session.choose(index)  # type: ignore[arg-type]
    click(session, (10, 9, 7))
    with pytest.raises(SessionError, match="choose: expected proposals for what is there now"):
        session.choose(0)
    session.undo()
    session.choose(0)  # the very moment that they were asked for at
    session.set_image(IMAGE, AFFINE)
    with pytest.raises(SessionError, match="choose: expected proposals for what is there now"):
        session.choose(0)


def test_an_agent_without_doubt_or_without_a_policy_proposes_nothing(
    session: InteractiveSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(session.model.agent), "propose", lambda *_: None)
    moment = session._moment
    with pytest.raises(SessionError, match="proposals: expected an agent in doubt, got one whose two masks would be"):
        session.proposals()
    monkeypatch.setattr(type(session.model.agent), "propose", lambda *_: ("no", "action"))
    with pytest.raises(SessionError, match="expected an action of the agent, got none"):
        session.proposals()
    assert session._moment is moment and not session.busy


def test_a_damaged_choice_is_refused(session: InteractiveSession, tmp_path: Path) -> None:
    session.proposals()
    session.choose(0)
    session.save_log(tmp_path / "log.json")
    data = json.loads((tmp_path / "log.json").read_text())
    entry = data["entries"][-1]
    for name, value in (("pair", ["x"]), ("pair", "xy"), ("index", "0"), ("seed", None), ("low", [0, "a", 0])):
        bad = {**entry, "details": {**entry["details"], name: value}}
        (tmp_path / "bad.json").write_text(json.dumps({**data, "entries": [*data["entries"][:-1], bad]}))
        with pytest.raises(SessionError, match=r"bad\.json: expected the log of a session, found something else"):
            read_log(tmp_path / "bad.json")
    log = read_log(tmp_path / "log.json")
    for name, value in (("pair", ["AAAA", "AAAA"]), ("index", 2), ("high", [999, 9, 9])):
        last = replace(log.entries[-1], details={**log.entries[-1].details, name: value})
        with pytest.raises(SessionError, match=r"log: expected the bits of a mask|index: expected|box: expected"):
            session.load_log(replace(log, entries=(*log.entries[:-1], last)))
