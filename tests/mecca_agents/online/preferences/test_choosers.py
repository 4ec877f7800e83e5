"""A simulated chooser takes the better mask, but for a share of its choices."""

from __future__ import annotations

import numpy as np
import pytest

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
