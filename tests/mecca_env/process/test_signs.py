"""Clicks with signs: two hint maps, whose signs are the label's or the user's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mecca_env.process.contracts import SignedClicks
from mecca_env.process.signs import append_signs, signs_of
from mecca_env.state import State
from tests.support.envs import GRID, full_actions, make_envs, random_actions

HINTS = ("gaussian", "edt", "euclidean", "geodesic", "supervoxel")


class Contrary:
    """Clicks the corners, and says that each is on the other side."""

    def click(self, state: State, budget: Tensor, most: int, key: Tensor) -> SignedClicks:
        corner = torch.tensor([[[0, 0, int(state.step[0])]]]).expand(len(budget), -1, -1)
        made = torch.where((budget > 0)[:, None, None], corner, -1)
        return SignedClicks(made, torch.ones(made.shape[:2], dtype=torch.int64))


def test_signs_are_the_labels_unless_the_user_means_otherwise() -> None:
    label = torch.zeros((1, 4, 4, 4), dtype=torch.bool)
    label[0, 1, 1, 1] = True
    clicks = torch.tensor([[[1, 1, 1], [0, 0, 0], [-1, -1, -1], [2, 2, 2]]])
    assert signs_of(clicks, label).tolist() == [[1, -1, 0, -1]]
    assert signs_of(clicks, label, torch.tensor([[-1, 0, 1, 1]])).tolist() == [[-1, -1, 0, 1]]


@given(st.lists(st.lists(st.sampled_from((-1, 0, 1)), min_size=3, max_size=3), min_size=1, max_size=4))
def test_signs_are_kept_in_order(batches: list[list[int]]) -> None:
    signs, count = torch.zeros((1, 12), dtype=torch.int8), torch.zeros(1, dtype=torch.int64)
    for batch in batches:
        made = torch.tensor([batch], dtype=torch.int8)
        signs, count = append_signs(signs, count, made), count + (made != 0).sum(1)
    expected = [sign for batch in batches for sign in batch if sign]
    assert signs[0].tolist() == expected + [0] * (12 - len(expected))


@pytest.mark.parametrize("hint", HINTS)
def test_the_two_maps_are_those_of_the_clicks_of_each_sign(hint: str) -> None:
    settings = {"user": "random-error", "hint": hint, "supervoxels": (12, 10, 8)}
    signed, plain = make_envs(3, signed=True, **settings), make_envs(3, **settings)
    observation, info = signed.reset(seed=1)
    other, _ = plain.reset(seed=1)
    assert observation["hint"].shape == (3, 2, *GRID)
    for action in [None, *random_actions(signed, 2)]:
        if action is not None:
            observation, *_, info = signed.step(action)
            other, *_ = plain.step(action)
        assert torch.equal(observation["hint"].amax(1), other["hint"])
        inside = signed.state.label
        for row, count in enumerate(info["n_clicks"].tolist()):
            for click, sign in zip(info["clicks"][row, :count], info["click_signs"][row, :count].tolist(), strict=True):
                at = tuple(click.tolist())
                assert sign == (1 if inside[row][at] else -1)
                assert observation["hint"][row, 0 if sign > 0 else 1][at] == 1
            assert not info["click_signs"][row, count:].any()
    assert {-1, 1} <= set(info["click_signs"].flatten().tolist())


def test_a_user_may_mean_another_side_than_the_label_says() -> None:
    envs = make_envs(2, user=Contrary(), signed=True)
    observation, info = envs.reset(seed=0)
    assert info["click_signs"][:, :2].tolist() == [[1, 0]] * 2
    assert (observation["hint"][:, 0, 0, 0, 0] == 1).all() and not observation["hint"][:, 1].any()
    unsigned = make_envs(2, user=Contrary())
    assert "click_signs" not in unsigned.reset(seed=0)[1]


class Torn(Contrary):
    """Does not know what a sign is."""

    def click(self, state: State, budget: Tensor, most: int, key: Tensor) -> SignedClicks:
        made = super().click(state, budget, most, key)
        return SignedClicks(made.voxels, made.signs * 2)


class Unsigned:
    """A hint that has no two sides."""

    signed = False

    def add(self, hint: Tensor, clicks: Tensor, volume: Tensor) -> Tensor:
        return hint


def test_what_has_no_signs_is_refused() -> None:
    with pytest.raises(ValueError, match="user Torn: expected signs of 1 and -1, got 2"):
        make_envs(2, user=Torn(), signed=True).reset(seed=0)
    with pytest.raises(ValueError, match="hint: expected one that can have signs, since signed=True, got Unsigned"):
        make_envs(2, hint=Unsigned(), signed=True)
    make_envs(2, hint=Unsigned())


@pytest.mark.parametrize("settings", [{}, {"guide": True, "supervoxels": (12, 10, 8)}, {"action": "continuous"}])
def test_time_says_what_is_left(settings: dict[str, Any]) -> None:
    envs = make_envs(2, time=True, autoreset_mode="Disabled", **settings)
    observation, _ = envs.reset(seed=0)
    seen = [observation["time"]] + [envs.step(action)[0]["time"] for action in full_actions(envs, 3)]
    assert [time.tolist() for time in seen] == [[[pytest.approx(left / 3)]] * 2 for left in (3, 2, 1, 0)]


def test_budgets_are_drawn_for_each_episode() -> None:
    envs = make_envs(64, clicks=((0, 3), 2, (1, 2)), autoreset_mode="Disabled")
    _, info = envs.reset(seed=0)
    counts = [info["n_clicks"]] + [envs.step(action)[4]["n_clicks"] for action in random_actions(envs, 3)]
    first, second, third, last = np.diff(torch.stack([torch.zeros(64), *counts]).numpy(), axis=0)
    assert set(first) == {0, 1, 2, 3} and set(second) == {2} and set(third) == {1, 2} and set(last) == {0}
    assert envs.state.clicks.shape == (64, 7, 3)
