"""Paired tests and their correction against SciPy and against answers worked out by hand."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy.stats import wilcoxon

from mecca_agents.evaluation.statistics import holm, paired_wilcoxon, rank_balance


def test_wilcoxon_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    for count in (8, 20, 80):
        one, other = rng.normal(0.3, 1, count), rng.normal(size=count)
        assert paired_wilcoxon(one, other) == pytest.approx(wilcoxon(one, other).pvalue, rel=1e-6)
        assert paired_wilcoxon(one, other) == paired_wilcoxon(other, one)


def test_wilcoxon_of_eight_of_one_sign() -> None:
    # All of 2^8 signs are as likely; two of them are as extreme.
    assert paired_wilcoxon(np.arange(1.0, 9), np.zeros(8)) == pytest.approx(2 / 256)


def test_equal_values_do_not_differ() -> None:
    assert paired_wilcoxon([0.8, 0.9, 0.7], [0.8, 0.9, 0.7]) == 1
    mean = np.mean([[0.1, 0.7], [0.2, 0.7], [0.3, 0.7]], axis=0)
    assert mean[0] != 0.2 and rank_balance(mean, [0.2, 0.7]) == 0  # but for rounding


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_fewer_than_six_cases_are_never_significant(count: int) -> None:
    for gap in (np.ones(count), np.arange(1.0, count + 1)):  # with ties and without
        p = paired_wilcoxon(gap, np.zeros(count))
        assert p == pytest.approx(2 / 2**count) and p >= 0.05
    assert paired_wilcoxon([*[1.0] * count, 0, 0, 0], [0.0] * (count + 3)) >= 0.05  # equal pairs show nothing
    assert paired_wilcoxon(np.arange(1.0, 7), np.zeros(6)) == pytest.approx(2 / 64)


def test_nor_are_they_where_scipy_approximates(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wilcoxon(np.ones(5), method="approx").pvalue < 0.05
    monkeypatch.setattr("scipy.stats.wilcoxon", partial(wilcoxon, method="approx"))
    assert paired_wilcoxon(np.ones(5), np.zeros(5)) == 2 / 32


def test_rank_balance_by_hand() -> None:
    # Differences -3, +1, +2, 0: ranks 3, 1, 2 and none.
    assert rank_balance([0, 2, 3, 5], [3, 1, 1, 5]) == -3 + 1 + 2
    assert rank_balance([0, 2, 3.5, 5], [3, 1, 1, 4]) == -4 + 1.5 + 3 + 1.5


def test_holm_by_hand() -> None:
    # 3 x 0.01; 2 x 0.04, which is more than 1 x 0.05, so that one cannot be smaller.
    assert holm([0.04, 0.01, 0.05]) == pytest.approx([0.08, 0.03, 0.08])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.03]) == [0.03] and holm([]) == []


def test_what_is_not_paired_or_no_p_is_refused() -> None:
    with pytest.raises(ValueError, match=r"as many finite numbers, got shapes \(2,\) and \(3,\)"):
        paired_wilcoxon([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="one, other"):
        rank_balance([1, np.inf], [1, 2])
    with pytest.raises(ValueError, match="p_values: expected numbers from 0 to 1"):
        holm([0.1, float("nan")])
