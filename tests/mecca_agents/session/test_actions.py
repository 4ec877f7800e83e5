"""Actions: what a log keeps of each, and that it leads to the same moment again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mecca_agents.session import Model, load_model
from mecca_agents.session.actions import ACTIONS, AddClicks, Redo, Reset, Save, SetBox, SetMask, Step, Undo
from mecca_agents.session.history import Action, History
from mecca_agents.session.inputs.scan import open_image
from mecca_agents.session.playing.episode import EpisodePlayer
from tests.support.volumes import AFFINE, ellipsoid, intensities

MASK = ellipsoid()


@pytest.fixture(scope="module")
def model(tiny_run: Callable[..., Path]) -> Model:
    return load_model(tiny_run("mecca"), device="cpu")


def history(model: Model) -> History:
    """One that begins with a scan."""
    return History(EpisodePlayer(model), open_image(intensities(MASK), AFFINE, 1, 1 << 20))


def test_logs_know_every_action_by_the_name_and_the_keys_that_files_have() -> None:
    assert {kind.name: list(kind.logged) for kind in Action.__subclasses__()} == {
        "set_box": ["low", "high"],
        "set_mask": ["low", "high", "bits"],
        "add_clicks": ["points", "new"],
        "step": ["number", "clicks"],
        "choose": ["number", "clicks", "index", "seed", "low", "high", "pair"],
        "undo": ["what"],
        "redo": ["what"],
        "reset": [],
        "save": ["path"],
    }
    assert set(ACTIONS.values()) == set(Action.__subclasses__())
    assert all(kind.name == name for name, kind in ACTIONS.items())


def test_what_a_log_keeps_leads_to_the_same_moments(model: Model, tmp_path: Path) -> None:
    done: list[Action[Any]] = [
        SetBox(np.array((6, 6, 4)), (18, 16, 12)),
        AddClicks([(12, 8, 9), (3.25, 4.5, 1 / 3)]),
        Step(),
        AddClicks(np.array((12, 8, 9))),
        SetMask(MASK),
        Undo(),
        Redo(),
        Step(),
        Reset(),
        SetBox(),
        Save(tmp_path / "mask.nii"),
    ]
    one, other = history(model), history(model)
    for action in done:
        details, _ = action.do(one)
        kept = json.loads(json.dumps(details))
        assert kept == details and list(kept) == list(action.logged)
        assert {name: read(kept[name]) for name, read in action.logged.items()} == details
        again, _ = type(action).from_log(kept).do(other)
        assert again == details
        assert torch.equal(one.now.state.probability, other.now.state.probability)
        assert torch.equal(one.now.state.hint, other.now.state.hint) and one.now.clicks == other.now.clicks
        assert one.now.box == other.now.box and (one.can_undo, one.can_redo) == (other.can_undo, other.can_redo)


def test_results_are_what_the_caller_is_told(model: Model) -> None:
    past = history(model)
    _, clicks = AddClicks((12, 8, 9)).do(past)
    assert [click.point for click in clicks] == [(12.0, 8.0, 9.0)]
    _, mask = Step().do(past)
    assert mask is not None and mask.shape == MASK.shape
    assert Undo().do(past)[1] == "step" and Redo().do(past)[1] == "step"
    assert Step(show=False).do(past)[1] is None
