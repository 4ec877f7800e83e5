"""A simulated chooser takes the better mask, but for a share of its choices; and whether that is above chance."""

from __future__ import annotations

import numpy as np
import pytest

from mecca_agents.online.gate import judge
from mecca_agents.online.preferences import ChoiceVerdict, Share
from mecca_agents.online.preferences.choosers import DiceChooser

LABEL = np.zeros((4, 4, 4), bool)
LABEL[:2] = True
GOOD, BAD = LABEL.copy(), ~LABEL
GOOD[0, 0, 0] = False


@pytest.mark.parametrize(("wrong", "least", "most"), [(0.0, 0, 0), (0.1, 20, 60), (0.5, 160, 240), (1.0, 400, 400)])
def test_a_share_of_choices_is_wrong(wrong: float, least: int, most: int) -> None:
    chooser, order = DiceChooser(wrong, seed=3), np.random.default_rng(0).integers(2, size=400)
    taken = [chooser.choose((GOOD, BAD) if place == 0 else (BAD, GOOD), LABEL) for place in order]
    assert least <= int((np.array(taken) != order).sum()) <= most


def test_equal_masks_are_taken_either_way_and_a_share_has_to_be_one() -> None:
    chooser = DiceChooser()
    assert {chooser.choose((BAD, BAD), LABEL) for _ in range(20)} == {0, 1}
    with pytest.raises(ValueError, match=r"wrong: expected a share from 0 to 1, got 1.5"):
        DiceChooser(1.5)


def test_a_verdict_asks_for_more_than_chance() -> None:
    foreseen, chance = Share(40, 50), Share(27, 50)
    assert (
        foreseen.above_chance and not chance.above_chance and str(chance) == "27 of 50 (54 %, 95 % interval 40 to 67)"
    )
    better, worse = ({"a": 0.5, "b": 0.5}, {"a": 0.6, "b": 0.5}), ({"a": 0.5, "b": 0.5}, {"a": 0.4, "b": 0.5})
    cases = [
        (ChoiceVerdict(foreseen, foreseen, None), True, "lean to what was taken in 40 of 50"),
        (ChoiceVerdict(foreseen, chance, None), False, "the earlier weights stay: they lean to what was taken in 27"),
        (ChoiceVerdict(foreseen, chance, judge(*better)), True, r"the new weights count: +5.0 points of Dice on 2"),
        (ChoiceVerdict(foreseen, foreseen, judge(*worse)), False, "the earlier weights stay: -5.0 points"),
        (ChoiceVerdict(chance, None, None), False, "earlier weights stay: of the choices kept out, the reward model"),
    ]
    for verdict, counts, why in cases:
        assert verdict.counts == counts and why in verdict.why
