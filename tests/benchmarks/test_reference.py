"""The NumPy/SciPy steps that the env is timed against do the same work: same state and clicks, same results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.rivals import reference
from mecca_env.kernels.torch_step import eligible_edges
from mecca_env.vector_env import MeccaVectorEnv

BATCH, CLICKS = 3, (25, 5, 5, 5, 5, 5, 5, 5)


@pytest.fixture
def env() -> Iterator[MeccaVectorEnv]:
    """Three phantoms after their reset."""
    env = MeccaVectorEnv(BATCH, "Phantom", cases=BATCH, horizon=len(CLICKS), clicks=CLICKS)
    env.reset(seed=7)
    yield env
    env.close()


@pytest.fixture(params=["ReferenceEpisode", "FormulaEpisode"])
def kind(request: pytest.FixtureRequest) -> Any:
    """Both ways to write it."""
    return getattr(reference, request.param)


def episode_of(kind: Any, env: MeccaVectorEnv, index: int) -> Any:
    """An episode in the state of env `index`."""
    state = env.state
    grids = (state.volume[:, 0], state.label, state.probability, state.hint)
    clicks = state.clicks[index, : int(state.n_clicks[index])]
    return kind(env.config, *(grid[index].numpy() for grid in grids), clicks.numpy(), np.random.default_rng(index))


def draw_actions(seed: int, shape: tuple[int, int, int]) -> torch.Tensor:
    return torch.randint(6, (BATCH, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_same_state_and_clicks_give_the_same_step(kind: Any, env: MeccaVectorEnv):
    plain = [episode_of(kind, env, i) for i in range(BATCH)]
    for step, budget in enumerate(CLICKS[1:]):
        action, before = draw_actions(step, env.config.shape), env.state.n_clicks
        observation, reward, _, _, info = env.step(action)
        for i, episode in enumerate(plain):
            clicks = info["clicks"][i, before[i] : info["n_clicks"][i]].numpy()
            assert len(clicks) == budget
            result = episode.step(action[i].numpy(), budget, clicks)
            for key in ("volume", "probability", "hint"):
                np.testing.assert_allclose(result.observation[key], observation[key][i], atol=1e-6, err_msg=key)
            np.testing.assert_allclose(result.gain, info["voxel_reward"][i], atol=1e-5)
            assert result.reward == pytest.approx(float(reward[i]), abs=1e-5)
            assert result.dice == pytest.approx(float(info["dice"][i]), abs=1e-6)
            for key in ("misunderstanding", "misunderstanding_literal"):
                assert getattr(result, key) == pytest.approx(float(info[key][i]), abs=1e-6), key


def test_both_choose_among_the_same_voxels(kind: Any, env: MeccaVectorEnv):
    env.step(draw_actions(0, env.config.shape))
    ours = eligible_edges(env.state)
    for i in range(BATCH):
        episode, state = episode_of(kind, env, i), env.state
        prediction = state.prediction[i].numpy()
        eligible = np.flatnonzero(episode.eligible(prediction))
        assert len(eligible) > 100
        np.testing.assert_array_equal(eligible, state.surface[i][ours[i]])
        chosen = episode.choose(prediction, 5)
        assert len(np.unique(chosen, axis=0)) == 5
        assert np.isin(np.ravel_multi_index(tuple(chosen.T), prediction.shape), eligible).all()


def test_draws_its_own_clicks_where_none_are_given(kind: Any, env: MeccaVectorEnv):
    episode = episode_of(kind, env, 0)
    hint = episode.hint.copy()
    result = episode.step(draw_actions(0, env.config.shape)[0].numpy(), 5)
    assert (result.observation["hint"][tuple(result.clicks.T)] == 1).all() and (episode.hint >= hint).all()
    assert len(episode.choose(episode.probability > 0.5, 10**6)) == episode.eligible(episode.probability > 0.5).sum()
