"""Episodes noted as they are played, by an agent or by a person."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mecca_agents.agent import Agent, make_agent
from mecca_agents.offline.recorder import Episode, Recorder, play_episodes
from mecca_agents.presets import Preset
from mecca_agents.runs.loading import make_task
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.envs import GRID, make_envs


def _player(method: str = "random", **settings: Any) -> tuple[Agent, MeccaVectorEnv]:
    envs = make_envs(1, autoreset_mode="Disabled", **settings)
    preset, task = Preset(shape=GRID), make_task(envs.config, envs.dataset.modalities)
    return make_agent(method, preset, task, device=torch.device("cpu"), seed=0), envs


def _equal(one: Any, two: Any) -> bool:
    if isinstance(one, dict):
        return set(one) == set(two) and all(_equal(one[key], two[key]) for key in one)
    return np.array_equal(one, two)


def _same(one: Episode, two: Episode) -> bool:
    names = ("observations", "actions", "rewards", "terminations", "truncations", "infos")
    return all(_equal(getattr(one, name), getattr(two, name)) for name in names)


def test_an_episode_holds_what_the_environment_said() -> None:
    agent, envs = _player()
    episode = next(play_episodes(agent, envs, 1, seed=5))
    assert (len(episode), episode.seed, episode.case) == (3, 5, "blob_0")
    assert {key: value.shape for key, value in episode.observations.items()} == dict.fromkeys(
        ("volume", "probability", "hint"), (4, *GRID)
    )
    assert episode.actions.shape == (3, *GRID)  # type: ignore[union-attr]
    assert episode.rewards.dtype == np.float32
    assert episode.terminations.tolist() == [False, False, True] and not episode.truncations.any()
    assert (episode.observations["probability"][0] == 0.5).all()
    change = np.array(envs.config.adjustments, np.float32)[episode.actions]  # type: ignore[index]
    reached = (episode.observations["probability"][:-1] + change).clip(0, 1)
    np.testing.assert_allclose(episode.observations["probability"][1:], reached, atol=1e-6)
    np.testing.assert_allclose(episode.infos["voxel_reward"][1:].mean(axis=(1, 2, 3)), episode.rewards, atol=1e-6)
    assert (episode.infos["voxel_reward"][0] == 0).all()
    assert episode.infos["n_clicks"].tolist() == [6, 9, 11, 11]


def test_episodes_go_through_the_cases_with_seeds_of_their_own() -> None:
    agent, envs = _player(cases=["blob_1", "blob_4"])
    episodes = list(play_episodes(agent, envs, 3, seed=7))
    assert [(e.case, e.seed) for e in episodes] == [("blob_1", 7), ("blob_4", 8), ("blob_1", 9)]
    assert not _equal(episodes[0].observations["hint"], episodes[2].observations["hint"])
    again = list(play_episodes(*_player(cases=["blob_1", "blob_4"]), 3, seed=7))
    assert all(_same(one, two) for one, two in zip(episodes, again, strict=True))


def test_an_episode_that_ends_early_is_as_long_as_it_was() -> None:
    agent, envs = _player("oracle", target_dice=0.99)
    episode = next(play_episodes(agent, envs, 1))
    assert len(episode) == 1 and episode.terminations.tolist() == [True]
    assert episode.infos["dice"].tolist() == [0.0, 1.0]


def test_an_episode_that_is_cut_short_is_truncated() -> None:
    agent, envs = _player(max_episode_steps=2)
    episode = next(play_episodes(agent, envs, 1))
    assert episode.terminations.tolist() == [False, False] and episode.truncations.tolist() == [False, True]


@pytest.mark.parametrize(
    ("settings", "given"),
    [({"autoreset_mode": "SameStep"}, "num_envs=1, autoreset_mode='SameStep'"), ({}, "num_envs=2, autoreset_mode='D")],
)
def test_several_episodes_side_by_side_are_refused(settings: dict[str, Any], given: str) -> None:
    agent, _ = _player()
    envs = make_envs(1 if settings else 2, **{"autoreset_mode": "Disabled", **settings})
    with pytest.raises(ValueError, match=f"envs: expected num_envs=1 and autoreset_mode='Disabled', got {given}"):
        next(play_episodes(agent, envs, 1))


def test_a_person_needs_no_label_no_reward_and_no_end() -> None:
    seen = {"volume": torch.zeros(GRID), "hint": torch.zeros(GRID)}
    recorder = Recorder(seen, case="scan")
    recorder.step(torch.ones(GRID, dtype=torch.int64), seen)
    seen["hint"] += 1.0  # what was noted does not change with what it was noted from
    recorder.step(np.full(GRID, 2), {**seen, "volume": np.ones(GRID)})
    episode = recorder.episode()
    assert (len(episode), episode.seed, episode.case, episode.infos) == (2, None, "scan", {})
    assert episode.rewards.tolist() == [0.0, 0.0]
    assert episode.terminations.tolist() == [False, False] and episode.truncations.tolist() == [False, True]
    assert episode.observations["hint"].mean(axis=(1, 2, 3)).tolist() == [0.0, 0.0, 1.0]
    assert episode.actions.mean(axis=(1, 2, 3)).tolist() == [1.0, 2.0]  # type: ignore[union-attr]


def test_what_makes_no_episode_is_refused() -> None:
    recorder = Recorder({"hint": np.zeros(2)}, {"dice": 0.0})
    with pytest.raises(ValueError, match="recorder: expected at least one step, got none"):
        recorder.episode()
    with pytest.raises(ValueError, match=r"info: expected \['dice'\] as after the reset, got \[\]"):
        recorder.step(0, {"hint": np.zeros(2)})
    recorder.step(0, {"hint": np.zeros(2)}, 1.0, True, False, {"dice": 1.0})
    with pytest.raises(ValueError, match="recorder: expected an episode that goes on, got a step after its end"):
        recorder.step(0, {"hint": np.zeros(2)}, 1.0, True, False, {"dice": 1.0})
