"""A mask that a session goes on from: shown as it is, seen by the agent, undone, logged, or refused."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments.sessions import saved_mask
from mecca_agents.session import InteractiveSession, SessionError, load_model
from mecca_agents.session.log import replay
from mecca_env.data.base import DataError
from mecca_env.metrics import dice
from tests.support import ROOT
from tests.support.volumes import AFFINE, SHAPE, ellipsoid, intensities, write_nifti

Runs = Callable[..., Path]
MASK = ellipsoid()
BOX = ((6, 6, 4), (18, 16, 12))


@pytest.fixture
def session(tiny_run: Runs) -> Iterator[InteractiveSession]:
    with InteractiveSession(load_model(tiny_run("mecca"), device="cpu")) as opened:
        opened.set_image(intensities(MASK), AFFINE)
        yield opened


def odd_mask() -> np.ndarray:
    """With holes and single voxels, which the agent's grid does not hold."""
    return MASK & (np.random.default_rng(0).random(SHAPE) < 0.8)


def test_it_is_the_mask_voxel_by_voxel_until_the_next_step(session: InteractiveSession, tmp_path: Path) -> None:
    mask = odd_mask()
    session.set_box(*BOX)
    for given in (mask, mask.astype(np.float32) * 3, write_nifti(tmp_path / "saved.nii.gz", mask.astype(np.uint8))):
        session.set_mask(given)
        session.add_clicks([(12, 8, 9)])  # still nothing that the agent has done
        assert np.array_equal(session.mask(), mask) and session.steps == 0 and session.box == BOX
        for axis in range(3):
            for index in range(SHAPE[axis]):
                assert np.array_equal(session.overlay("mask", axis, index), np.moveaxis(mask, axis, 0)[index])
    session.save(tmp_path / "again.nii.gz")
    assert np.array_equal(session.step(), session.mask()) and not np.array_equal(session.mask(), mask)
    session.set_mask(tmp_path / "again.nii.gz")
    assert np.array_equal(session.mask(), mask)


@pytest.mark.parametrize("method", ["mecca", "intercnn"])
def test_the_agent_is_as_sure_of_it_as_one_step_can_make_it(method: str, tiny_run: Runs) -> None:
    with InteractiveSession(tiny_run(method), device="cpu") as session:
        session.set_image(intensities(MASK), AFFINE)
        session.set_box(*BOX)
        session.set_mask(MASK)
        state, config = session._moment.state, session.model.config
        sure = 1.0 if config.action == "continuous" else 0.5 + max(config.adjustments)
        assert state.probability.unique().tolist() == pytest.approx([1 - sure, sure], abs=1e-6)
        inside = torch.from_numpy(session.probability() > 0.5)
        assert float(dice(inside[None], torch.from_numpy(MASK)[None])[0]) > 0.9  # another grid, the same thing
        assert int(state.step[0]) == 0 and not session.clicks and session.action() is None and not session.advice()
        session.step()
        assert session.steps == 1
        session.reset()
        assert not session.mask().any() and bool((session._moment.state.probability == 0.5).all())


def test_what_is_cached_of_the_probability_fits_it(session: InteractiveSession) -> None:
    """The environment keeps label and probability as one number, too: the next step must start from the mask."""
    session.set_mask(MASK)
    before = session._moment.state.probability
    session.step()
    moment = session._moment
    assert moment.change is not None
    assert torch.allclose(moment.state.probability[0], (before[0] + moment.change).clamp(0, 1), atol=1e-6)


def test_without_a_box_the_mask_has_its_own(session: InteractiveSession) -> None:
    session.set_mask(MASK)
    where = np.argwhere(MASK)
    assert session.box == (tuple(where.min(axis=0)), tuple(where.max(axis=0) + 1))
    assert np.array_equal(session.mask(), MASK)


def test_it_can_be_undone_and_done_again(session: InteractiveSession) -> None:
    session.set_box(*BOX)
    session.add_clicks((12, 8, 9))
    before = session.step()
    session.set_mask(odd_mask())
    after = session.step()
    assert session.undo() == "step" and np.array_equal(session.mask(), odd_mask())
    assert session.undo() == "set_mask" and np.array_equal(session.mask(), before) and session.steps == 1
    assert session.redo() == "set_mask" and np.array_equal(session.mask(), odd_mask()) and session.steps == 0
    assert np.array_equal(session.step(), after)


def test_a_log_has_it(session: InteractiveSession, tmp_path: Path) -> None:
    session.set_box(*BOX)
    session.set_mask(odd_mask())
    session.add_clicks((12, 8, 9))
    session.step()
    session.save_log(tmp_path / "log.json")
    with InteractiveSession(session.model) as other:
        other.set_image(intensities(MASK), AFFINE)
        other.load_log(tmp_path / "log.json")
        assert torch.equal(other._moment.state.probability, session._moment.state.probability)
        assert other.log() == session.log() and other.timing() == session.timing()
        other.undo(), other.undo()
        assert np.array_equal(other.mask(), odd_mask())


@pytest.mark.parametrize(
    "change",
    [
        {"bits": "no base64!"},
        {"bits": base64.b64encode(b"not compressed").decode()},
        {"bits": base64.b64encode(zlib.compress(b"\xff")).decode()},
        {"bits": base64.b64encode(zlib.compress(bytes(1 << 20))).decode()},
        {"high": [99, 99, 99]},
        {"low": None, "high": None},
    ],
)
def test_a_log_with_another_mask_than_it_says(change: dict[str, Any], session: InteractiveSession) -> None:
    session.set_mask(odd_mask())
    entry = session.log()[-1]
    bad = replace(entry, details={**entry.details, **change})
    moment = session._moment
    with pytest.raises(SessionError, match="expected"):
        replay([bad], session._opened_history())
    assert session._moment is moment


def test_masks_that_do_not_fit_change_nothing(session: InteractiveSession, tmp_path: Path) -> None:
    session.set_box((9, 8, 6), (11, 10, 8))
    session.step()
    shifted = AFFINE.copy()
    shifted[0, 3] += 5
    whole = np.ones(SHAPE, np.uint8)
    wrong = {
        "within what the agent sees": whole,
        "on the scan's grid": MASK[1:],
        "found none": MASK & False,
        "expected one file": [tmp_path / "a.nii", tmp_path / "b.nii"],
        "expected numbers": MASK.astype(str),
        "expected an array": [[1], [2, 3]],
        "the affine of the scan": write_nifti(tmp_path / "shifted.nii.gz", whole, shifted),
        "it was not read": write_nifti(tmp_path / "small.nii.gz", whole[1:]),
        "empty label": write_nifti(tmp_path / "empty.nii.gz", whole * 0),
        "expected an image": tmp_path / "mask.png",
        "readable image": tmp_path / "gone.nii",
    }
    moment, log = session._moment, session.log()
    for words, mask in wrong.items():
        with pytest.raises((SessionError, DataError), match=words):
            session.set_mask(mask)
        assert session._moment is moment and session.log() == log and not session.busy


def test_the_table_of_docs_comes_from_a_benchmark() -> None:
    """With many clicks a loaded mask is worth more than nothing, and without any less than it was."""
    model = load_model("phantom", device="cpu")
    found = [saved_mask.one(model, case) for case in range(3)]
    mean = {name: np.mean([dice[name] for dice in found]) for name in found[0]}
    page = ROOT / "docs" / "session.md"
    assert all(f"| {name} | " in page.read_text(encoding="utf-8") for name in mean)
    assert mean["25 clicks, mask loaded"] > mean["25 clicks, from nothing"] > 80
    assert mean["no clicks, mask loaded"] < mean["the mask that is saved"]
