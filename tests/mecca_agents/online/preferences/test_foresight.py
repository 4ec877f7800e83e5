"""Choices are foreseen from other cases, and choices by chance are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from mecca_agents.online.preferences.choices import read_choices
from mecca_agents.online.preferences.foresight import FOLDS, LEVEL, folds, foreseen_across
from mecca_agents.online.preferences.reward import Situations, situations_of
from mecca_agents.online.preferences.verdicts import Share
from mecca_agents.session import Model


def test_no_case_is_learned_from_and_foreseen() -> None:
    cases = [f"scan{number % 6}" for number in range(40)]
    parts = folds(cases)
    assert len(parts) == FOLDS and (torch.stack(parts).sum(0) == 1).all()
    for part in parts:
        inside = {case for case, held in zip(cases, part.tolist(), strict=True) if held}
        outside = {case for case, held in zip(cases, part.tolist(), strict=True) if not held}
        assert inside and outside and not inside & outside
    few = folds(["one"] * 20 + ["other"] * 13)  # these are dealt out one by one
    assert sorted(int(part.sum()) for part in few) == [8, 8, 8, 9] and (torch.stack(few).sum(0) == 1).all()


def test_a_person_with_a_will_is_foreseen(project: Path, model: Model) -> None:
    choices = read_choices(project, model)
    situations, cases = situations_of(model.agent, choices), [choice.case for choice in choices]
    watched = []

    @contextmanager
    def watch() -> Iterator[Callable[[], bool]]:
        watched.append(1)
        yield lambda: False

    found = foreseen_across(situations, cases, 0, watch)
    assert found.total == 60 and found.level == LEVEL and found.right >= 54 and found.above_chance
    assert len(watched) == FOLDS
    chance = torch.rand(60, generator=torch.Generator().manual_seed(0)) < 0.5
    masks = torch.where(chance.view(60, 1, 1, 1, 1), situations.masks, situations.masks.flip(1))
    other = Situations(situations.observation, situations.inputs, situations.size, masks)
    assert not foreseen_across(other, cases, 0).above_chance


@pytest.mark.parametrize("features", [1, 10])
def test_an_interval_of_the_level_seldom_begins_above_a_half_by_chance(features: int) -> None:
    """With linear models in the place of networks: what parts share makes 95 % too little."""
    rng = np.random.default_rng(0)
    parts = np.array([part.numpy() for part in folds([f"case{number // 5}" for number in range(200)])])
    passed = {0.95: 0, LEVEL: 0}
    for _ in range(400):
        seen, taken = rng.standard_normal((200, features)), rng.choice([-1.0, 1.0], 200)
        right = 0
        for held in parts:
            known = seen[~held]
            weights = np.linalg.solve(known.T @ known + np.eye(features), known.T @ taken[~held])
            right += int(((seen[held] @ weights) * taken[held] > 0).sum())
        for level in passed:
            passed[level] += Share(right, 200, level).above_chance
    assert passed[0.95] > 0.03 * 400 and passed[LEVEL] <= 0.02 * 400
