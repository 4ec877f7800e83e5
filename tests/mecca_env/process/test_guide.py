"""Supervoxels and advice: where the user is asked to click."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import label

from mecca_env.process.guide import advise, supervoxels
from tests.support.envs import GRID, Blobs, make_envs, random_actions

COUNTS = (40, 40, 20, 8)


def noise(modalities: int = 1) -> np.ndarray:
    smooth = np.cumsum(np.random.default_rng(0).normal(size=(modalities, *GRID)), axis=2)
    return smooth.astype(np.float32)


@pytest.mark.parametrize("modalities", [1, 2])
def test_supervoxels_divide_the_grid_ever_more_coarsely(modalities: int) -> None:
    regions = supervoxels(noise(modalities), COUNTS, (2.0, 2.0, 2.0), 0.1)
    assert regions.shape == (4, *GRID) and regions.dtype == np.int16 and regions.min() == 0
    for step, count in zip(regions, COUNTS, strict=True):
        assert np.array_equal(np.unique(step), np.arange(count))
    assert np.array_equal(regions, supervoxels(noise(modalities), COUNTS, (2.0, 2.0, 2.0), 0.1))
    backwards = supervoxels(noise(modalities), COUNTS[::-1], (2.0, 2.0, 2.0), 0.1)
    assert np.array_equal(regions, backwards[::-1])


@pytest.mark.parametrize("shape", [(28, 24, 24), (12, 12, 10)])
def test_the_schedule_of_the_paper_is_kept_to_exactly(shape: tuple[int, int, int]) -> None:
    volume = np.cumsum(np.random.default_rng(1).normal(size=(1, *shape)), axis=2).astype(np.float32)
    counts = (100, 90, 80, 70, 60)
    regions = supervoxels(volume, counts, (2.0, 2.0, 2.0), 0.1)
    assert tuple(len(np.unique(step)) for step in regions) == counts
    for fine, coarse in pairwise(regions):
        pairs = np.unique(np.stack([fine.ravel(), coarse.ravel()]), axis=1)
        assert len(pairs[0]) == len(np.unique(fine))  # every region lies in one of the next step
    for region in range(60):
        assert label(regions[-1] == region)[1] == 1  # connected by faces


def test_what_is_alike_is_merged_first() -> None:
    """A bright block on dark ground keeps regions of its own however few are left."""
    volume = np.zeros((1, *GRID), dtype=np.float32)
    volume[:, 4:12, 4:10, 3:9] = 1.0
    (regions,) = supervoxels(volume, (9,), (2.0, 2.0, 2.0), 0.1)
    inside, outside = (np.unique(regions[part]) for part in (volume[0] > 0.5, volume[0] < 0.5))
    assert len(inside) + len(outside) == 9 and not set(inside) & set(outside)


def test_more_supervoxels_than_slic_makes_at_first() -> None:
    (regions,) = supervoxels(noise(), (200,), (2.0, 2.0, 2.0), 0.1)
    assert len(np.unique(regions)) == 200
    (regions,) = supervoxels(noise(), (10**5,), (2.0, 2.0, 2.0), 0.1)
    assert 200 < len(np.unique(regions)) <= noise()[0].size


def advice_oracle(regions: np.ndarray, confidence: np.ndarray, advised: int) -> np.ndarray:
    """The lowest means; the lower number first where they are equal."""
    means = sorted((confidence[regions == region].astype(np.float64).mean(), region) for region in np.unique(regions))
    return np.isin(regions, [region for _, region in means[:advised]])


@given(
    hnp.arrays(np.int16, (2, 3, 4, 5), elements=st.integers(0, 12)),
    hnp.arrays(np.int64, (2, 3, 4, 5), elements=st.integers(0, 4)),
    st.integers(1, 7),
)
def test_the_regions_of_lowest_mean_are_advised(regions: np.ndarray, quarters: np.ndarray, advised: int) -> None:
    confidence = (quarters / 4).astype(np.float32)  # exact, so that there are ties
    advice = advise(torch.from_numpy(regions), torch.from_numpy(confidence), advised)
    assert advice.dtype == torch.bool
    for row in range(2):
        assert np.array_equal(advice[row], advice_oracle(regions[row], confidence[row], advised))
        # whatever the other episodes of the batch are
        alone = advise(torch.from_numpy(regions[row : row + 1]), torch.from_numpy(confidence[row : row + 1]), advised)
        assert torch.equal(alone[0], advice[row])


def test_fewer_regions_than_asked_for_are_all_advised() -> None:
    regions = torch.tensor([0, 0, 7]).view(1, 1, 1, 3)
    assert advise(regions, torch.rand(1, 1, 1, 3), 5).all()


def confident(envs: Any, seed: int) -> torch.Tensor:
    return torch.rand((envs.num_envs, *GRID), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("user", ["edge", "guided", "imprecise"])
def test_clicks_after_the_first_step_follow_the_advice(user: str) -> None:
    # Aiming, not landing, is what an imprecise user does inside the advice.
    reach = 2 if user == "imprecise" else 0
    envs = make_envs(3, guide=True, user=user, supervoxels=(30, 25, 20), autoreset_mode="Disabled")
    _, info = envs.reset(seed=0)
    assert info["n_clicks"].tolist() == [6, 6, 6] and not info["advice"].any()
    followed = 0
    for step, action in enumerate(random_actions(envs, 2), start=1):
        before = info["n_clicks"]
        confidence = confident(envs, step)
        info = envs.step({"adjustment": action, "confidence": confidence})[4]
        state = envs.state
        assert state.regions is not None and info["advice"].shape == (3, *GRID)
        for row in range(3):
            expected = advice_oracle(state.regions[row, step].numpy(), confidence[row].numpy(), envs.config.advised)
            assert np.array_equal(info["advice"][row], expected)
            places = np.argwhere(expected)
            for voxel in info["clicks"][row, int(before[row]) : int(info["n_clicks"][row])].numpy():
                assert np.linalg.norm(places - voxel, axis=1).min() <= reach
                followed += 1
    assert followed > 0


def test_a_user_object_of_its_own_mind_ignores_the_advice() -> None:
    from mecca_env.process.users import EdgeUser

    settings: dict[str, Any] = {"supervoxels": (30, 25, 20), "clicks": (6, 40, 2), "guide": True}
    counts = {}
    for name, user in (("free", EdgeUser()), ("guided", "guided")):
        envs = make_envs(3, user=user, **settings)
        envs.reset(seed=0)
        info = envs.step({"adjustment": random_actions(envs, 1)[0], "confidence": confident(envs, 0)})[4]
        counts[name] = int(info["n_clicks"].sum())
    assert counts["free"] > counts["guided"]


@pytest.mark.parametrize("augment", [False, True])
def test_slic_runs_once_for_a_case(augment: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(*arguments: Any) -> np.ndarray:
        calls.append(1)
        return supervoxels(*arguments)

    monkeypatch.setattr("mecca_env.episodes.regions.supervoxels", counted)
    envs = make_envs(4, dataset=Blobs(2), guide=True, supervoxels=(30, 25, 20), augment=augment)
    for seed in range(3):
        envs.reset(seed=seed)
    assert len(calls) == 2


def test_supervoxels_move_with_the_flips_and_crops_of_the_case() -> None:
    """In the same part of a scan two episodes of one case show the same region."""
    envs = make_envs(8, dataset=Blobs(1), guide=True, supervoxels=(30, 25, 20), augment=True)
    envs.reset(seed=0)
    state = envs.state
    assert state.regions is not None
    spreads = []
    for region in range(10):
        inside = state.regions[:, 0] == region
        values = [state.volume[row, 0][inside[row]].mean().item() for row in range(8) if inside[row].sum() > 5]
        spreads.append(np.std(values))
    assert np.mean(spreads) < 0.5 * state.volume.std().item()
    assert not torch.equal(state.regions[0], state.regions[1])


def test_three_modalities_are_no_colours() -> None:
    """SLIC would take three channels for RGB and convert them, after which one region fills the grid."""
    noise = np.random.default_rng(0).normal(size=(4, *(16, 14, 12))).astype(np.float32)
    settings = ((40,), (2.0, 2.0, 2.0), 0.1)
    two, three, four = (len(np.unique(supervoxels(noise[:m], *settings))) for m in (2, 3, 4))
    assert three > 0.5 * min(two, four)
