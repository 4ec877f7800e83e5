"""The bootstrap interval against answers that can be worked out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap

from mecca_agents.evaluation import statistics
from mecca_agents.evaluation.statistics import FEWEST_CASES, bootstrap_interval, case_interval


def test_of_five_zeros_and_five_ones_it_is_that_of_the_binomial_distribution() -> None:
    # The resampled sum is Binomial(10, 1/2): P(sum <= 1) = 1.1 %, P(sum <= 2) = 5.5 %, P(sum <= 3) = 17.2 %.
    values = [0.0] * 5 + [1.0] * 5
    assert bootstrap_interval(values) == pytest.approx((0.2, 0.8))
    assert bootstrap_interval(values, level=0.8) == pytest.approx((0.3, 0.7))


def test_it_is_scipys_to_the_last_digits_but_one() -> None:
    values = np.random.default_rng(1).normal(0.8, 0.1, size=30)
    rng = np.random.default_rng(0)
    theirs = bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", random_state=rng)
    assert bootstrap_interval(values) == pytest.approx(tuple(theirs.confidence_interval), abs=1e-15)


def test_it_is_that_of_means_drawn_by_hand_to_the_bit() -> None:
    values = [0.582837, 1.6245, 0.663442, 1.64311]  # SciPy's upper bound is 1.6338050000000002
    drawn = np.array(values)[np.random.default_rng(0).integers(4, size=(10_000, 4))].mean(axis=1)
    assert bootstrap_interval(values) == tuple(np.quantile(drawn, (0.025, 0.975)))


def test_it_covers_the_true_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    intervals = [bootstrap_interval(rng.normal(size=40), resamples=500, seed=i) for i in range(400)]
    covered = np.mean([low <= 0 <= high for low, high in intervals])
    assert 0.90 < covered < 0.98


def test_it_is_the_same_each_time_and_when_it_is_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).normal(size=7)
    whole = bootstrap_interval(values, resamples=1000)
    assert whole == bootstrap_interval(values, resamples=1000) != bootstrap_interval(values, resamples=1000, seed=1)
    monkeypatch.setattr(statistics, "_DRAWN_AT_ONCE", 20)
    assert whole == bootstrap_interval(values, resamples=1000)


def test_equal_values_leave_no_doubt() -> None:
    assert bootstrap_interval([0.25] * 4) == (0.25, 0.25)


def test_of_fewer_than_eight_cases_there_is_no_interval() -> None:
    values = np.random.default_rng(4).normal(size=FEWEST_CASES)
    assert case_interval(values) == bootstrap_interval(values)
    for count in range(FEWEST_CASES):
        assert case_interval(values[:count]) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5],), "values: expected at least two finite numbers"),
        (([0.5, np.nan],), "values: expected at least two finite numbers"),
        (([0.5, 0.6], 1.0), "level: expected a number between 0 and 1, got 1.0"),
        (([0.5, 0.6], 0.95, 0), "resamples: expected at least 1, got 0"),
    ],
)
def test_what_cannot_be_resampled_is_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(*arguments)  # type: ignore[arg-type]
