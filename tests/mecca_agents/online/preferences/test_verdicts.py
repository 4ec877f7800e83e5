"""New weights count where choices can be foreseen, and Dice or the choices kept out speak for them."""

from __future__ import annotations

import pytest

from mecca_agents.online.gate import judge
from mecca_agents.online.preferences import ChoiceVerdict, Share

FORESEEN, CHANCE, EVEN = Share(67, 100, level=0.99), Share(60, 100, level=0.99), Share(25, 50)
BETTER = judge({"a": 0.5, "b": 0.5}, {"a": 0.6, "b": 0.5})
WORSE = judge({"a": 0.5, "b": 0.5}, {"a": 0.4, "b": 0.5})


def test_an_interval_is_of_its_level() -> None:
    assert FORESEEN.above_chance and not CHANCE.above_chance and Share(60, 100).above_chance
    assert str(CHANCE) == "60 of 100 (60 %, 99 % interval 47 to 72)"
    assert not EVEN.most and Share(26, 50).most


@pytest.mark.parametrize(
    ("verdict", "counts", "why"),
    [
        (ChoiceVerdict(FORESEEN, Share(26, 50), None), True, "count: they lean to what was taken in 26 of 50"),
        (ChoiceVerdict(FORESEEN, EVEN, None), False, "the earlier weights stay: they lean to what was taken in 25"),
        (ChoiceVerdict(FORESEEN, EVEN, BETTER), True, "the new weights count: +5.0 points of Dice on 2"),
        (ChoiceVerdict(FORESEEN, Share(26, 50), WORSE), False, "the earlier weights stay: -5.0 points"),
        (ChoiceVerdict(CHANCE, None, None), False, "earlier weights stay: reward models of other cases foresee 60 of"),
        (ChoiceVerdict(CHANCE, Share(26, 50), BETTER), False, "earlier weights stay: reward models of other cases"),
    ],
)
def test_dice_decides_and_without_it_the_leaning(verdict: ChoiceVerdict, counts: bool, why: str) -> None:
    assert verdict.counts == counts and why in verdict.why
