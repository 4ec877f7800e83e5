"""Weights that got worse are refused, and so are those that only may have."""

from __future__ import annotations

import pytest

from mecca_agents.online.gate import judge


def _judged(*differences: float) -> tuple[bool, bool]:
    """Whether weights with these differences count, and whether there is an interval."""
    before = {f"case_{n}": 0.5 for n in range(len(differences))}
    verdict = judge(before, {case: 0.5 + d for case, d in zip(before, differences, strict=True)})
    assert verdict.difference == pytest.approx(sum(differences) / len(differences))
    return verdict.counts, verdict.interval is not None


def test_few_cases_have_no_interval_and_the_mean_decides() -> None:
    assert _judged(0.1, -0.05) == (True, False)
    assert _judged(0.0) == (True, False)
    assert _judged(0.05, -0.1) == (False, False)


def test_with_few_no_single_case_may_lose_more_than_five_points() -> None:
    assert _judged(0.3, -0.06) == (False, False)
    assert _judged(0.3, 0.3, -0.05) == (True, False)
    assert judge({"a": 0.9, "b": 0.1}, {"a": 0.85, "b": 0.5}).counts  # five points, if not in bits
    assert _judged(*[0.3] * 7, -0.06) == (True, True)  # with eight cases there is an interval in its place
    verdict = judge({"a": 0.5, "spleen__b": 0.7, "c": 0.5}, {"a": 0.8, "spleen__b": 0.63, "c": 0.47})
    assert not verdict.counts and verdict.why == (
        "the earlier weights stay: +6.7 points of Dice on 3 cases kept out (no interval with fewer than "
        "8 cases; -7.0 on spleen__b, and with so few none may lose more than 5 points)"
    )


def test_with_more_the_interval_may_not_begin_below_a_point() -> None:
    assert _judged(*[0.01] * 8) == (True, True)
    assert _judged(*[-0.001] * 8) == (False, True)
    assert _judged(*[0.3, *[-0.03] * 8]) == (False, True)  # a mean above 0, by one case alone
    assert _judged(*[0.3, *[-0.001] * 8]) == (True, True)


def test_where_half_of_the_masks_are_wrong_a_gain_on_those_does_not_pay_for_a_loss_on_the_others() -> None:
    """The cases differ too much then for an interval that begins near 0: at eight cases 5 points of either kind."""
    assert _judged(*[-0.05] * 4, *[0.05] * 4) == (False, True)
    assert _judged(*[-0.05] * 4, *[0.1] * 4) == (False, True)
    assert _judged(*[0.02] * 4, *[0.1] * 4) == (True, True)  # what is gained on all


def test_the_sentence_says_what_was_found() -> None:
    verdict = judge({"a": 0.5, "b": 0.7}, {"b": 0.6, "a": 0.5})
    assert verdict.why == (
        "the earlier weights stay: -5.0 points of Dice on 2 cases kept out "
        "(no interval with fewer than 8 cases; -10.0 on b, and with so few none may lose more than 5 points)"
    )
    assert judge({str(n): 0.5 for n in range(8)}, {str(n): 0.6 for n in range(8)}).why == (
        "the new weights count: +10.0 points of Dice on 8 cases kept out (95 % interval +10.0 to +10.0)"
    )


def test_other_cases_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="expected the same cases before and after"):
        judge({"a": 0.5}, {"b": 0.5})
    with pytest.raises(ValueError, match="expected the same cases"):
        judge({}, {})
