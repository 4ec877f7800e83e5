"""Trainings with neighbouring seeds play nothing in common, and unlabelled episodes are played besides."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mecca_agents.presets import FAST, MECHANISMS
from mecca_agents.runs.envs import envs_of, first_seed
from mecca_agents.training import loop, resume, train
from mecca_env.vector_env import MeccaVectorEnv

TINY = FAST.replace(**MECHANISMS, shape=(8, 8, 8), channels=2, dilations=(1,), num_envs=3, updates=2)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[MeccaVectorEnv]:
    """The envs of every training."""
    made: list[MeccaVectorEnv] = []
    make = loop.make_envs

    def noted(*arguments: Any, **keywords: Any) -> MeccaVectorEnv:
        made.append(make(*arguments, **keywords))
        return made[-1]

    monkeypatch.setattr(loop, "make_envs", noted)
    return made


def _seeds(envs: MeccaVectorEnv) -> list[int]:
    return [stream.seed for stream in envs._episodes.streams]


def test_neighbouring_trainings_share_no_env(tmp_path: Path, played: list[MeccaVectorEnv]) -> None:
    for seed in (0, 1, 2):
        out = tmp_path / str(seed)
        train("iter-mrl", "MECCA-Phantom-v0", out, preset=TINY, cases=4, seed=seed, device="cpu", stream=io.StringIO())
    seeds = [_seeds(envs) for envs in played]
    assert seeds == [[first_seed(seed) + i for i in range(3)] for seed in (0, 1, 2)]
    assert len({number for of_training in seeds for number in of_training}) == 9


def test_thousands_of_trainings_share_no_env() -> None:
    first = sorted(first_seed(seed) for seed in range(4000))
    assert min(later - earlier for earlier, later in pairwise(first)) > 1_000_000


def test_a_training_that_goes_on_has_the_seeds_that_it_began_with(tmp_path: Path, played: list[MeccaVectorEnv]) -> None:
    run = tmp_path / "run"
    settings = {"labelled_fraction": 0.5}
    how: dict[str, Any] = {"preset": TINY.replace(updates=1), "cases": 4, "seed": 5, "stream": io.StringIO()}
    train("mecca", "MECCA-Phantom-v0", run, settings=settings, device="cpu", **how)
    text = (run / "config.json").read_text()
    (run / "config.json").write_text(text.replace('"updates": 1,', '"updates": 2,'))
    resume(run, stream=io.StringIO())
    begun, gone_on = (_seeds(envs) for envs in played)
    assert begun == gone_on == [first_seed(5) + i for i in range(6)]


@pytest.mark.parametrize(("settings", "envs"), [({}, 2), ({"labelled_share": 1.0}, 2), ({"labelled_share": 0.25}, 8)])
def test_unlabelled_episodes_come_on_top_of_labelled_ones(settings: dict[str, float], envs: int) -> None:
    assert envs_of(TINY.replace(num_envs=2), settings) == envs
