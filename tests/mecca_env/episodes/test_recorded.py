"""Episodes that are given what was recorded: when, where, in how many, the same in any batch and after a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mecca_env.data.grid.placement import Placement
from mecca_env.data.recorded import Recordings, write_recordings
from mecca_env.data.selection import Cases
from mecca_env.episodes.recorded import PromptGiver
from mecca_env.episodes.snapshot import Snapshot
from mecca_env.process.config import EnvConfig
from mecca_env.vector_env import MeccaVectorEnv
from tests.mecca_env.data.test_recorded import recorded
from tests.support.envs import GRID, SETTINGS, Blobs, full_actions, make_envs

BLOBS = Blobs(3)
BOX = [[6, 5, 4], [18, 16, 12]]
FIRST = [[12.0, 11.0, 8.0, 1], [9.3, 10.0, 7.0, 1], [15.0, 6.0, 9.0, -1]]
PROMPTS = {
    "blob_0": recorded(FIRST, [[11.0, 12.0, 8.0, -1]], box=BOX),
    "blob_1": recorded([], [[12.0, 11.0, 8.0, 1]]),
}


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.json"
    write_recordings(path, PROMPTS)
    return path


def envs_with(prompts: Path | None, num_envs: int = 3, **keywords: Any) -> MeccaVectorEnv:
    """Signed clicks of a simulated user, two before each step."""
    usual = {"signed": True, "user": "random-error", "clicks": (2, 2, 2), "augment": False, "dataset": BLOBS}
    return make_envs(num_envs, prompts=prompts, **{**usual, **keywords})


def played(envs: MeccaVectorEnv, cases: list[str], seed: int = 0) -> list[dict[str, Tensor]]:
    """What is told at each step of an episode."""
    seen, info = envs.reset(seed=seed, options={"cases": cases})
    told = [{**info, **seen}]
    for action in full_actions(envs, envs.config.horizon - 1):
        seen, *_, info = envs.step(action)
        told.append({**info, **seen})
    return told


def test_before_each_step_of_theirs_there_is_what_they_gave_and_then_a_user_prompts(prompts: Path) -> None:
    told = played(envs_with(prompts), ["blob_0", "blob_1", "blob_2"])
    assert [step["n_clicks"].tolist() for step in told] == [[3, 0, 2], [4, 1, 4], [6, 3, 6]]
    signs = told[-1]["click_signs"]
    assert signs[0, :4].tolist() == [1, 1, -1, -1] and signs[1, :1].tolist() == [1]
    envs = envs_with(prompts)
    envs.reset(seed=0, options={"cases": ["blob_0", "blob_1", "blob_2"]})
    placement = Placement((0, 0, 0), BLOBS.case(0).scan_shape, GRID)  # with the largest margin that is the whole scan
    assert envs.state.given_steps is not None and envs.state.given_steps.tolist() == [2, 2, 0]
    whole = envs_with(prompts, evaluation_extension=50)
    clicks = played(whole, ["blob_0"] * 3)[1]["clicks"][0, :4]
    wanted = np.concatenate([placement.voxels(points) for points in PROMPTS["blob_0"].points])
    assert sorted(clicks.tolist()) == sorted(wanted.tolist())


def test_a_placement_finds_the_voxels_of_points_and_what_lies_beyond() -> None:
    for flip, angle in (((False,) * 3, 0.0), ((True, False, True), 0.2)):
        placement = Placement((3, 2, 1), (20, 19, 15), GRID, flip, angle)  # type: ignore[arg-type]
        at = placement.in_scan()
        wanted = np.stack(np.meshgrid(*(np.arange(n) for n in GRID), indexing="ij"), -1).reshape(-1, 3)
        d, h, w = wanted.T
        points = np.stack([at.first[d, h], at.second[d, h], at.third[w]], axis=1)
        np.testing.assert_array_equal(placement.voxels(points), wanted)
        beyond = np.array([[3.0, 2.0, 0.4], [-9.0, 9.0, 9.0], [11.0, 10.0, 14.6]])
        assert (placement.voxels(beyond) == -1).all()
    straight = Placement((3, 2, 1), (20, 19, 15), GRID)
    assert straight.voxels(np.array([[2.5, 1.5, 0.5], [19.5, 18.5, 14.5]])).tolist() == [[0, 0, 0], [15, 13, 11]]


def test_what_lies_beyond_the_crop_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "prompts.json"
    write_recordings(path, {"blob_0": recorded([[12, 11, 8, 1], [0, 0, 0, -1], [23, 21, 15, -1]], box=BOX)})
    told = played(envs_with(path, evaluation_extension=0), ["blob_0"] * 3)
    assert told[0]["n_clicks"].tolist() == [1, 1, 1] and told[0]["click_signs"][0, :2].tolist() == [1, 0]


def test_a_box_is_theirs_where_boxes_are_shown_and_none_where_they_drew_none(prompts: Path) -> None:
    told = played(envs_with(prompts, box="label", evaluation_extension=50), ["blob_0", "blob_1", "blob_2"])
    shown = told[0]["box"]
    scale = np.array(BLOBS.case(0).scan_shape) / GRID
    inside = np.argwhere(shown[0].numpy() > 0)
    assert (inside * scale >= np.array(BOX[0]) - scale).all() and (
        (inside + 1) * scale <= np.array(BOX[1]) + scale
    ).all()
    assert not shown[1].any() and shown[2].any() and "box" not in played(envs_with(prompts), ["blob_0"] * 3)[0]


def test_they_begin_without_mask_and_first_click_of_the_settings(prompts: Path) -> None:
    told = played(envs_with(prompts, crop="click", start="mask"), ["blob_0", "blob_1", "blob_2"])
    half = [bool((probability == 0.5).all()) for probability in told[0]["probability"]]
    assert half == [True, True, False] and told[0]["n_clicks"][1] == 0 and told[0]["n_clicks"][2] == 2


def test_an_episode_that_is_over_is_given_nothing(prompts: Path) -> None:
    envs = envs_with(prompts, target_dice=0.01, autoreset_mode="Disabled")
    envs.reset(seed=0, options={"cases": ["blob_0"] * 3})
    up = torch.full((3, *GRID), 5, dtype=torch.uint8)
    _, _, terminated, _, info = envs.step(up)
    assert terminated.all() and info["n_clicks"].tolist() == [3, 3, 3]


def test_so_many_episodes_as_the_share_says_and_always_the_same() -> None:
    def drawn(share: float) -> list[bool]:
        cases = Cases(BLOBS, "all", range(3), recordings=Recordings(PROMPTS, share))
        giver = PromptGiver(cases, EnvConfig(**SETTINGS))
        assert giver.drawn(2, 0) is None  # nobody has given anything on it
        return [giver.drawn(key % 2, key * 7919) is not None for key in range(4000)]

    assert abs(np.mean(drawn(0.5)) - 0.5) < 0.03 and abs(np.mean(drawn(0.2)) - 0.2) < 0.03
    assert drawn(0.5) == drawn(0.5) and all(drawn(1.0)) and not any(drawn(0.0))


DRAWN = {"augment": True, "prompted": 0.5, "protocol": "mixed", "clicks": ((0, 1), (0, 2), (0, 3))}


def test_an_env_is_the_same_alone_and_in_a_batch_on_drawn_crops(prompts: Path) -> None:
    def clicks(num_envs: int, seed: int) -> list[Tensor]:
        envs, told = envs_with(prompts, num_envs, **DRAWN), []
        envs.reset(seed=seed)
        for action in full_actions(envs_with(prompts, 3, **DRAWN), 8):
            info = envs.step(action[seed : seed + num_envs])[-1]
            told.append(torch.cat((info["clicks"], info["click_signs"][..., None]), dim=-1))
        return told

    together, alone = clicks(3, 0), clicks(1, 1)
    assert all(torch.equal(all_of[1:2], one) for all_of, one in zip(together, alone, strict=True))
    assert any(int(step[0, 0, 0]) >= 0 for step in alone)


def test_an_env_goes_on_from_a_snapshot_and_not_with_other_prompts(prompts: Path) -> None:
    envs = envs_with(prompts, **DRAWN)
    envs.reset(seed=3)
    actions = full_actions(envs, 7)
    for action in actions[:4]:
        envs.step(action)
    snapshot: Snapshot = envs.snapshot()
    again = envs_with(prompts, **DRAWN)
    again.restore(snapshot)
    for action in actions[4:]:
        one, other = envs.step(action), again.step(action)
        assert all(torch.equal(one[0][key], other[0][key]) for key in one[0])
        assert torch.equal(one[-1]["clicks"], other[-1]["clicks"])
    for keywords in ({"prompted": 0.25}, {"prompts": None}):
        with pytest.raises(ValueError, match="snapshot: expected one of the same cases and settings"):
            envs_with(**{"prompts": prompts, **DRAWN, **keywords}).restore(snapshot)


def test_many_points_become_hints_in_parts_and_each_voxel_once(tmp_path: Path) -> None:
    """An area of 300 points: the same hint as if they came at once."""
    points = np.stack(np.meshgrid(np.arange(5, 20, 0.5), np.arange(6, 16), [8.0], indexing="ij"), -1).reshape(-1, 3)
    path = tmp_path / "prompts.json"
    write_recordings(path, {"blob_0": recorded([[*map(float, p), 1] for p in points])})
    envs = envs_with(path, 1, evaluation_extension=50)
    observation, info = envs.reset(seed=0, options={"cases": ["blob_0"]})
    placement = Placement((0, 0, 0), BLOBS.case(0).scan_shape, GRID)
    voxels = np.unique(placement.voxels(points.astype(np.float64)), axis=0)
    assert int(info["n_clicks"][0]) == len(voxels) > 64
    hint = observation["hint"][0, 0]
    assert {tuple(v) for v in np.argwhere(hint.numpy() == 1.0)} == {tuple(v) for v in voxels}


@pytest.mark.cuda
def test_the_same_on_a_gpu(prompts: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    here = played(envs_with(prompts, **DRAWN), ["blob_0", "blob_1", "blob_2"])
    there = played(envs_with(prompts, device="cuda", **DRAWN), ["blob_0", "blob_1", "blob_2"])
    for one, other in zip(here, there, strict=True):
        assert all(torch.equal(one[key], other[key].cpu()) for key in ("clicks", "hint", "click_signs", "box"))
