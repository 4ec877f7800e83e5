"""Labelled amounts: their order and their texts."""

from __future__ import annotations

import pytest

from mecca_agents.evaluation.layout import ALL_CASES, Labelled


def test_numbers_come_before_shares_and_all_cases_last() -> None:
    amounts = [ALL_CASES, Labelled(0.125), Labelled(cases=16), Labelled(0.5), Labelled(cases=1), Labelled(cases=4)]
    ordered = sorted(amounts)
    assert [str(amount) for amount in ordered] == ["1 case", "4 cases", "16 cases", "12.5 %", "50 %", "100 %"]
    assert Labelled(1.0) == ALL_CASES and Labelled(cases=4) != Labelled(cases=1)


def test_a_file_has_the_one_or_the_other() -> None:
    assert Labelled(0.25).columns == {"fraction": 0.25, "labelled_cases": ""}
    assert Labelled(cases=4).columns == {"fraction": "", "labelled_cases": 4}


@pytest.mark.parametrize(("fraction", "cases"), [(0.0, None), (25, None), (float("nan"), None), (1.0, 0), (0.5, 4)])
def test_what_is_no_amount_is_refused(fraction: float, cases: int | None) -> None:
    with pytest.raises(ValueError, match="labelled: expected a fraction above 0 and at most 1, or a number of cases"):
        Labelled(fraction, cases)
