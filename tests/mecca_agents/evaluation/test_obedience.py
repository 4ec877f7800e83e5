"""Prompts that the mask does what they say, at once and at the end."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from mecca_agents.agent import Agent, Observation
from mecca_agents.evaluation import evaluate_agent
from mecca_agents.evaluation.obedience import Obedience, prompts_of
from mecca_agents.evaluation.play import PlayedStep
from mecca_env.metrics import obeyed
from mecca_env.process.contracts import SignedClicks
from mecca_env.process.signs import signs_of
from mecca_env.process.users import EdgeUser
from mecca_env.state import State
from tests.mecca_agents.evaluation.test_runner import PLAYED_ON_PHANTOM

UNSIGNED = replace(PLAYED_ON_PHANTOM, settings={"horizon": 3, "clicks": (4, 3, 2)})
SIGNED = replace(PLAYED_ON_PHANTOM, settings={"protocol": "one-click", "horizon": 4, "clicks": (0, 2, 1, 3)})


class Fill(Agent):
    """Foreground everywhere in odd steps, nowhere in even ones."""

    learn = weights = load_weights = None
    raised = False

    def act(self, observation: Observation) -> Any:
        self.raised = bool((observation["probability"] <= 0.5).all())
        return torch.full(observation["probability"].shape, 5 if self.raised else 0)


def test_without_signs_the_label_says_which_side_is_right() -> None:
    """All clicks of the edge user are inside, so a full mask obeys them all and an empty one none."""
    seen = Obedience()
    results = evaluate_agent(Fill(), UNSIGNED, cases=2, observers=[seen])
    assert [result.obedience for result in results] == [1.0, 0.0, 1.0] * 2
    assert seen.prompts == 18 and seen.at_once == 12 / 18 and seen.at_end == 1.0
    assert seen.line() == "obedience: of 18 prompts the mask obeyed 66.7 % at once, 100.0 % at the end"


def test_with_signs_the_prompts_do() -> None:
    seen, steps = Obedience(), list[PlayedStep]()
    results = evaluate_agent(Fill(), SIGNED, cases=2, observers=[seen, steps.append])
    new = last = 0
    for result, played in zip(results, steps, strict=True):
        count = int(played.before.n_clicks[0])
        assert played.before.signs is not None
        clicks, signs = played.before.clicks[0, :count], played.before.signs[0, :count]
        assert result.clicks == count
        good = obeyed(played.after.prediction[0], clicks, signs)
        if count:
            assert result.obedience == pytest.approx(float(good.double().mean()))
        else:
            assert math.isnan(result.obedience) and played.step == 1
        earlier = 0 if played.step == 1 else int(steps[steps.index(played) - 1].before.n_clicks[0])
        new += int(good[earlier:].sum())
        last += int(good.sum()) if played.over else 0
    assert 0 < seen.prompts == sum(result.clicks for result in results if result.step == 4)
    assert seen.at_once == pytest.approx(new / seen.prompts) and seen.at_end == pytest.approx(last / seen.prompts)
    signs = torch.cat([played.before.signs[0] for played in steps if played.before.signs is not None])
    assert {-1, 1} <= set(signs.tolist())  # there is something to obey on both sides


def test_the_prompts_of_a_state_without_signs_have_those_of_the_label() -> None:
    steps: list[PlayedStep] = []
    evaluate_agent(Fill(), UNSIGNED, cases=1, observers=[steps.append])
    state = steps[1].before
    voxels, signs = prompts_of(state, first=4)
    assert voxels.tolist() == state.clicks[0, 4:7].tolist()
    expected: Tensor = signs_of(state.clicks, state.label)[0, 4:7]
    assert signs.tolist() == expected.tolist() == [1, 1, 1]


def test_without_any_prompt_there_is_no_number() -> None:
    seen = Obedience()
    results = evaluate_agent(Fill(), UNSIGNED, cases=1, observers=[seen], settings={"user": "none"})
    assert all(math.isnan(result.obedience) for result in results)
    assert math.isnan(seen.at_once) and math.isnan(seen.at_end) and "no prompts" in seen.line()


class Contrary:
    """Clicks on edges, and says of each that it is outside of the target."""

    def click(self, state: State, budget: Tensor, most: int, key: Tensor) -> SignedClicks:
        voxels = EdgeUser().click(state, budget, most, key)
        return SignedClicks(voxels, torch.full(voxels.shape[:2], -1))


def test_what_a_user_means_counts_and_not_what_the_label_says() -> None:
    settings = {"protocol": "one-click", "clicks": (2, 2), "horizon": 2, "user": Contrary()}
    results = evaluate_agent(Fill(), SIGNED, cases=1, settings=settings)
    assert [result.obedience for result in results] == [0.0, 1.0]
