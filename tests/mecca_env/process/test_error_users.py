"""Users who click into errors: the challenge's rules against an implementation of their own, lines, mixtures."""

from __future__ import annotations

from typing import Any

import cc3d
import edt
import numpy as np
import pytest
import torch
from scipy import ndimage

from mecca_env.process.contracts import SignedClicks
from mecca_env.process.users import (
    EdgeUser,
    LargestErrorUser,
    MixedUser,
    NoUser,
    RandomErrorUser,
    RegionCentreUser,
    ScribbleUser,
    make_user,
)
from mecca_env.process.users.scribbles import middle_line
from mecca_env.state import State
from tests.support.envs import make_envs, make_state, random_actions

Mask = np.ndarray[Any, np.dtype[np.bool_]]


def ask(user: Any, state: State, budget: int, seed: int = 0) -> list[list[tuple[int, ...]]]:
    """The clicks of every episode, without the padding."""
    rows = len(state.label)
    clicks = user.click(state, torch.full((rows,), budget), budget, torch.arange(seed, seed + rows))
    voxels = clicks.voxels if isinstance(clicks, SignedClicks) else clicks
    return [[tuple(c) for c in row if c[0] >= 0] for row in voxels.tolist()]


def state_of(labels: Mask, predictions: Mask) -> State:
    return make_state(labels, np.where(predictions, 0.9, 0.1))


def blobs(rng: np.random.Generator, shape: tuple[int, ...]) -> Mask:
    """Smooth random shapes, in every second draw blocks, whose middles are ties."""
    if rng.random() < 0.5:
        found = np.zeros(shape, bool)
        for _ in range(rng.integers(1, 4)):
            low = [rng.integers(0, n - 1) for n in shape]
            found[tuple(slice(a, a + rng.integers(1, 7)) for a in low)] = True
        return found
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), rng.uniform(0.5, 2.0))
    return np.asarray(smooth > np.quantile(smooth, rng.uniform(0.5, 0.95)))


def rule(label: Mask, prediction: Mask) -> set[tuple[int, ...]]:
    """All voxels that the challenge's rule allows: of each of the largest components, every maximum of its distance."""
    wrong = np.pad(label != prediction, 1)
    components, count = cc3d.connected_components(wrong, connectivity=26, return_N=True)
    sizes = [int((components == number + 1).sum()) for number in range(count)]
    allowed: set[tuple[int, ...]] = set()
    for number in range(count):
        if sizes[number] == max(sizes):
            depth = edt.edt(components == number + 1)
            allowed |= {tuple(int(v) - 1 for v in voxel) for voxel in np.argwhere(depth >= depth.max() - 1e-5)}
    return allowed


def test_the_largest_error_is_clicked_as_the_challenge_does() -> None:
    rng, tied = np.random.default_rng(0), 0
    for pair in range(300):
        shape = tuple(int(n) for n in rng.integers(3, 16, size=3))
        label, prediction = blobs(rng, shape), blobs(rng, shape)
        ((clicked, *more),) = ask(LargestErrorUser(), state_of(label[None], prediction[None]), 1, pair) or ((None,),)
        allowed = rule(label, prediction)
        assert not more and clicked in allowed, pair
        tied += len(allowed) > 1
    assert tied > 60


def test_ties_are_drawn_from_the_episodes_own_stream() -> None:
    label = np.zeros((1, 6, 6, 6), bool)
    label[:, 1:5, 1:5, 1:5] = True  # eight voxels in the middle
    state = state_of(np.repeat(label, 400, 0), np.zeros((400, 6, 6, 6), bool))
    clicks = [row[0] for row in ask(LargestErrorUser(), state, 1)]
    _, counts = np.unique(clicks, axis=0, return_counts=True)
    assert len(counts) == 8 and counts.min() > 25
    assert clicks == [row[0] for row in ask(LargestErrorUser(), state, 1)]


def test_a_voxel_may_be_clicked_again() -> None:
    label = np.zeros((1, 5, 5, 5), bool)
    label[:, 2, 2, 2] = True
    state = make_state(label, clicks=[(2, 2, 2)])
    assert ask(LargestErrorUser(), state, 1) == [[(2, 2, 2)]]
    assert ask(RandomErrorUser(), state, 1) == ask(RegionCentreUser(), state, 1) == [[]]


def test_several_clicks_go_to_several_errors_largest_first() -> None:
    label = np.zeros((1, 12, 6, 6), bool)
    label[:, 0:3, 0:3, 0:3] = label[:, 5:10, 0:5, 0:5] = label[:, 11, 5, 5] = True
    (clicks,) = ask(LargestErrorUser(), state_of(label, np.zeros_like(label)), 4)
    assert clicks == [(7, 2, 2), (1, 1, 1), (11, 5, 5)]


def test_nothing_wrong_is_not_clicked() -> None:
    label = np.zeros((2, 6, 6, 6), bool)
    label[0, 2:4, 2:4, 2:4] = True
    state = state_of(label, label)
    for user in (LargestErrorUser(), RandomErrorUser(), ScribbleUser()):
        assert ask(user, state, 2) == [[], []]


def test_random_errors_are_clicked_equally_often_and_once() -> None:
    label = np.zeros((1, 5, 5, 5), bool)
    label[:, 1:4, 1, 1] = True
    prediction = np.zeros_like(label)
    prediction[:, 0, 0, 0:2] = True
    state = state_of(np.repeat(label, 3000, 0), np.repeat(prediction, 3000, 0))
    wrong = {tuple(map(int, v)) for v in np.argwhere(label[0] != prediction[0])}
    voxels, counts = np.unique([row[0] for row in ask(RandomErrorUser(), state, 1)], axis=0, return_counts=True)
    assert {tuple(map(int, v)) for v in voxels} == wrong and counts.min() > 500
    assert all(len(row) == 5 and set(row) == wrong for row in ask(RandomErrorUser(), state, 9))


def test_a_line_runs_along_the_middle_of_the_largest_error_and_has_one_sign() -> None:
    label = np.zeros((1, 30, 14, 6), bool)
    label[:, 2:28, 5:10, 2:5] = True
    label[:, 10:20, 5:10, 3] = True
    prediction = np.zeros_like(label)
    prediction[:, 2:28, 10:12, 2:5] = True  # too much, beside what is missing: another error
    (line,) = ask(ScribbleUser(length=40), state_of(label, prediction), 1)
    assert len(line) >= 20 and len({voxel[2] for voxel in line}) == 1
    assert {voxel[1] for voxel in line} <= {6, 7, 8} and all(label[0][voxel] for voxel in line)
    steps = np.abs(np.diff(np.array(line), axis=0)).max(1)
    assert (steps == 1).all() and line[0][0] < 8 < 22 < max(line)[0]
    (short,) = ask(ScribbleUser(length=7), state_of(label, prediction), 1)
    assert len(short) == 7 and set(short) <= set(line)
    assert min(abs(voxel[0] - 14) for voxel in short) <= 1  # its middle


def test_the_line_of_any_plane_mask_is_a_path_within_it() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        mask = blobs(rng, (int(rng.integers(1, 20)) + 1, int(rng.integers(1, 20)) + 1))
        if mask.any():
            line = middle_line(mask)
            assert len(line) and mask[tuple(line.T)].all() and len(np.unique(line, axis=0)) == len(line)
            assert (np.abs(np.diff(line, axis=0)).max(1, initial=1) == 1).all()


def test_every_episode_of_a_mixture_has_the_clicks_of_its_own_user() -> None:
    rng = np.random.default_rng(2)
    labels = np.stack([blobs(rng, (12, 10, 8)) for _ in range(6)])
    kinds = torch.tensor([0, 1, 2, 2, 0, 1])
    state = state_of(labels, np.zeros_like(labels)).changed(user=kinds)
    users: list[Any] = [EdgeUser(), ScribbleUser(length=5), NoUser()]
    together = ask(MixedUser(users), state, 2)
    for row, kind in enumerate(kinds.tolist()):
        assert together[row] == ask(users[kind], state, 2)[row]


def test_mixtures_by_name() -> None:
    mixed = make_user({"edge": 1.0, "scribble": 2.0}, guide=False)
    assert isinstance(mixed, MixedUser) and [type(user) for user in mixed.users] == [EdgeUser, ScribbleUser]
    assert mixed.voxels_per_prompt == ScribbleUser().voxels_per_prompt
    with pytest.raises(ValueError, match="user: expected one of .* got 'largest'"):
        make_user({"edge": 1.0, "largest": 1.0}, guide=False)
    with pytest.raises(ValueError, match="user: expected somebody who can follow advice, since guide=True, got"):
        make_user({"scribble": 1.0}, guide=True)
    make_user({"scribble": 1.0, "edge": 1.0}, guide=True)


@pytest.mark.parametrize("user", ["largest-error", "random-error", "scribble", {"scribble": 1.0, "edge": 3.0}])
def test_an_env_with_such_users_depends_on_its_own_seed_alone(user: Any) -> None:
    settings = {"user": user, "signed": True, "horizon": 3, "clicks": (1, (0, 3), 1)}
    whole = make_envs(4, **settings)
    actions = random_actions(whole, 7)
    _, info = whole.reset(seed=5)
    seen = [info] + [whole.step(action)[4] for action in actions]
    for env in range(4):
        alone = make_envs(1, **settings)
        _, info = alone.reset(seed=5 + env)
        for step, action in enumerate([None, *actions]):
            if action is not None:
                info = alone.step(action[env : env + 1])[4]
            for key in ("clicks", "click_signs", "n_clicks", "dice"):
                assert torch.equal(info[key][0], seen[step][key][env]), (env, step, key)
