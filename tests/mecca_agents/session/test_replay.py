"""Given the simulated user's clicks, a session is the environment's episode, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from mecca_agents.agent import METHODS, find_method
from mecca_agents.evaluation.play import PlayedStep, play
from mecca_agents.evaluation.runner import evaluation_envs
from mecca_agents.runs.loading import load_agent
from mecca_agents.session import InteractiveSession
from mecca_env.data.files import FileSource
from mecca_env.data.grid.placement import fixed_placement
from mecca_env.kernels.backend import plain_torch

HINT_DRIVEN = tuple(name for name in METHODS if find_method(name).sees_hints)
Runs = Callable[..., Path]


def episode(run: Path, device: str = "cpu") -> Iterator[tuple[PlayedStep, NDArray[np.float64], FileSource]]:
    """Every step of a test case, and the clicks before it as points of the scan, (K, 3)."""
    agent, config = load_agent(run, torch.device(device))
    envs = evaluation_envs(config, device=device)
    source, seen = envs.dataset, 0
    assert isinstance(source, FileSource)
    at = fixed_placement(source.case(0), envs.config.shape, envs.config.evaluation_extension).in_scan()
    for turn in play(agent, envs, 0, seed=3):
        count = int(turn.before.n_clicks[0])
        d, h, w = turn.before.clicks[0, seen:count].cpu().T
        seen = count
        yield turn, torch.stack([at.first[d, h], at.second[d, h], at.third[w]], dim=1).numpy(), source


def same(one: Tensor | None, other: Tensor | None) -> bool:
    """Whether both are there and equal, or neither is."""
    return one is other if one is None or other is None else torch.equal(one, other)


def replay(run: Path, image: list[Path] | None = None, device: str = "cpu") -> int:
    """Play an episode of the environment and one of a session side by side; how many steps there were."""
    session = InteractiveSession(run, device=device)
    steps = 0
    for turn, points, source in episode(run, device):
        if not steps:
            case = source.case(0)
            session.set_image([str(path) for path in image or source.files(0).images])
            session.set_box(*case.box)
            assert torch.equal(session._moment.state.volume, turn.before.volume)
        if len(points):  # a guided user finds no wrong edge where it may look
            assert not any(click.repeated for click in session.add_clicks(points))
        assert torch.equal(session._moment.state.hint, turn.before.hint)
        mask, moment = session.step(), session._moment
        assert torch.equal(moment.state.probability, turn.after.probability)
        assert same(moment.change, turn.change) and same(moment.confidence, turn.confidence)
        assert same(moment.state.advice, turn.after.advice) and same(moment.state.regions, turn.after.regions)
        assert torch.equal(moment.state.step, turn.after.step)
        pasted, affine = turn.envs.paste_back(0)
        assert np.array_equal(mask, pasted) and np.array_equal(session.affine, affine)
        steps += 1
    assert len(session.clicks) >= 25
    return steps


@pytest.mark.parametrize("method", HINT_DRIVEN)
def test_it_is_the_environments_episode(method: str, tiny_run: Runs, device: str) -> None:
    assert replay(tiny_run(method), device=device) == 5


def test_in_plain_torch_too(tiny_run: Runs) -> None:
    with plain_torch():
        assert replay(tiny_run("mecca")) == 5


@pytest.mark.parametrize("separate", [False, True])
def test_with_several_modalities(separate: bool, tiny_run: Runs, tmp_path: Path) -> None:
    run, files = tiny_run("mecca", channels=2), None
    if separate:
        import nibabel

        _, config = load_agent(run)
        source = evaluation_envs(config).dataset
        assert isinstance(source, FileSource)
        both = nibabel.load(source.files(0).images[0])
        files = [tmp_path / "one.nii.gz", tmp_path / "two.nii"]
        for channel, path in enumerate(files):
            nibabel.save(nibabel.Nifti1Image(np.asarray(both.dataobj)[..., channel], both.affine), path)
    assert replay(run, files) == 5


def test_clicks_one_by_one_are_the_clicks_at_once(tiny_run: Runs) -> None:
    for method in ("mecca", "deepigeos"):
        run = tiny_run(method)
        _, points, source = next(episode(run))
        one, other = InteractiveSession(run, device="cpu"), InteractiveSession(run, device="cpu")
        for session in (one, other):
            session.set_image(source.files(0).images[0])
            session.set_box(*source.case(0).box)
        one.add_clicks(points)
        for point in points:
            other.add_clicks(point)
        assert torch.equal(one._moment.state.hint, other._moment.state.hint)
        assert torch.equal(one._moment.state.clicks[:, : len(points)], other._moment.state.clicks[:, : len(points)])
        one.step(), other.step()
        assert torch.equal(one._moment.state.probability, other._moment.state.probability)
