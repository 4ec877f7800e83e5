"""The picture of a case: its columns, the slice it shows, what is drawn in it, and the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.collections import PathCollection
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mecca_agents.agent import Agent, Observation
from mecca_agents.evaluation.figures import FigureWriter, draw_case
from mecca_agents.evaluation.play import PlayedStep, play
from mecca_agents.runs import RunError
from mecca_agents.runs.envs import make_envs

SHAPE = (14, 12, 8)


class Threshold(Agent):
    """Raises what is bright, and is surer of darker voxels."""

    def __init__(self, guide: bool = False, sure: bool = True, continuous: bool = False) -> None:
        self.guide, self.sure, self.continuous = guide, sure, continuous

    def act(self, observation: Observation) -> Any:
        bright = observation["volume"] > 0.5
        action = torch.where(bright, 0.7, -0.3) if self.continuous else torch.where(bright, 5, 1)
        return {"adjustment": action, "confidence": self.confidence(observation, None)} if self.guide else action

    def confidence(self, observation: Observation, action: Any) -> Tensor | None:
        return torch.sigmoid(-observation["volume"]) if self.sure else None

    learn = weights = load_weights = None  # it is never trained nor kept


def _steps(agent: Threshold, **settings: Any) -> list[PlayedStep]:
    envs = make_envs(
        "MECCA-Phantom-v0",
        1,
        split="test",
        cases=1,
        shape=SHAPE,
        autoreset_mode="Disabled",
        guide=agent.guide,
        **settings,
    )
    return list(play(agent, envs, int(envs.cases.indices[0]), seed=0))


def _titles(agent: Threshold, **settings: Any) -> list[str]:
    return [axes.get_title() for axes in draw_case(_steps(agent, **settings), "fake").axes if axes.get_title()]


def _shown(figure: Any, title: str) -> list[NDArray[Any]]:
    """The images of a column, from top to bottom, with their first axis along the scan's first one."""
    wanted = next(axes for axes in figure.axes if axes.get_title() == title).get_subplotspec().colspan
    column = [axes for axes in figure.axes if axes.get_subplotspec() and axes.get_subplotspec().colspan == wanted]
    return [np.asarray(axes.images[0].get_array()).T for axes in column]


def test_columns_without_content_are_left_out() -> None:
    assert _titles(Threshold(sure=False)) == ["volume", "label", "action", "probability after"]
    assert _titles(Threshold()) == ["volume", "label", "action", "confidence", "probability after"]
    assert _titles(Threshold(guide=True)) == ["volume", "label", "action", "confidence", "probability after", "advice"]


def test_rows_show_the_states_of_the_steps_on_the_worst_slice_of_the_first() -> None:
    steps = _steps(Threshold(guide=True))
    figure = draw_case(steps, "fake")
    first = steps[0].after
    worst = int((first.prediction[0] != first.label[0]).sum(dim=(0, 1)).argmax())
    assert f"fake, slice W {worst} of 8" in [text.get_text() for text in figure.texts]
    for title, expected in (
        ("label", [played.after.label[0] for played in steps]),
        ("action", [played.change for played in steps]),
        ("confidence", [played.confidence for played in steps]),
        ("probability after", [played.after.probability[0] for played in steps]),
    ):
        found = _shown(figure, title)
        assert len(found) == 5
        for plane, volume in zip(found, expected, strict=True):
            np.testing.assert_allclose(plane, volume[:, :, worst].numpy(), rtol=1e-6)
    captions = [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]
    assert captions == [
        f"step {played.step}\n{int(played.before.n_clicks[0])} clicks\nDice {100 * float(played.after.dice[0]):.1f} %"
        for played in steps
    ]
    assert captions[0].startswith("step 1\n25 clicks")


def test_discs_are_the_clicks_of_the_step_and_rings_the_earlier_ones() -> None:
    steps = _steps(Threshold(sure=False))
    figure = draw_case(steps, "fake")
    first = steps[0].after
    worst = int((first.prediction[0] != first.label[0]).sum(dim=(0, 1)).argmax())
    assert [int(played.before.n_clicks[0]) for played in steps[:3]] == [25, 30, 35]
    seen = steps[2].before.clicks[0].numpy()
    third = [axes for axes in figure.axes if axes.get_ylabel()][2]
    drawn = [np.asarray(c.get_offsets()) for c in third.collections if isinstance(c, PathCollection)]
    near_rings, rings, near_discs, discs = drawn
    for found, near, expected in ((rings, near_rings, seen[:30]), (discs, near_discs, seen[30:35])):
        away = np.abs(expected[:, 2] - worst)
        np.testing.assert_array_equal(found, expected[away == 0, :2])
        np.testing.assert_array_equal(near, expected[(away > 0) & (away <= 2), :2])
    assert len(rings) + len(near_rings) > 0 and len(discs) + len(near_discs) > 0


def test_continuous_actions_keep_their_range() -> None:
    figure = draw_case(_steps(Threshold(continuous=True), action="continuous"), "fake")
    action = next(axes for axes in figure.axes if axes.get_title() == "action").images[0]
    assert action.get_clim() == (-1, 1)
    assert np.unique(np.asarray(action.get_array())).tolist() == pytest.approx([-0.3, 0.7])


def test_the_file_is_one_picture_named_like_the_case(tmp_path: Path) -> None:
    writer = FigureWriter(tmp_path, "fake")
    for played in _steps(Threshold()):
        assert not list(tmp_path.iterdir())
        writer(played)
    assert [path.name for path in tmp_path.iterdir()] == [f"{played.case}.png"]
    with Image.open(tmp_path / f"{played.case}.png") as image:
        assert image.width > 1000 and np.asarray(image.convert("L")).std() > 20


def test_a_folder_that_is_gone_is_one_clear_error(tmp_path: Path) -> None:
    writer = FigureWriter(tmp_path / "gone", "fake")
    steps = _steps(Threshold())
    for played in steps[:-1]:
        writer(played)
    with pytest.raises(RunError, match=f"gone/{steps[0].case}.png: the figure cannot be written: No such file"):
        writer(steps[-1])
