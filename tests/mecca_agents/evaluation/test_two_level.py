"""Intervals and tests over trainings and cases: by hand, against SciPy, and how often simulated ones hold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student
from scipy.stats import ttest_1samp, ttest_ind

from mecca_agents.evaluation.statistics import FEWEST_CASES
from mecca_agents.evaluation.two_level import Array, Means, best_of, difference, estimate
from tests.support.simulated import grids

RESULTS = np.random.default_rng(0).normal(80, 2, (5, 41))


def test_the_variance_of_a_mean_is_that_of_trainings_and_that_of_cases() -> None:
    found = estimate(Means.of(RESULTS))
    trainings = RESULTS.mean(axis=1).var(ddof=1) / 5
    cases = RESULTS.mean(axis=0).var(ddof=1) / 41
    freedom = (trainings + cases) ** 2 / (trainings**2 / 4 + cases**2 / 40)
    half = student.ppf(0.975, freedom) * np.sqrt(trainings + cases)
    assert found.interval() == pytest.approx((RESULTS.mean() - half, RESULTS.mean() + half))
    ninety = found.interval(0.9)
    assert ninety[1] - ninety[0] == pytest.approx(2 * student.ppf(0.95, freedom) * np.sqrt(trainings + cases))
    assert found.p() == pytest.approx(0)


def test_where_only_trainings_or_only_cases_vary_it_is_the_t_test_of_them() -> None:
    one, other = (np.random.default_rng(seed).normal(0.3, 1, (5, 1)).repeat(41, axis=1) for seed in (1, 2))
    welch = ttest_ind(one[:, 0], other[:, 0], equal_var=False)
    assert difference(Means.of(one), Means.of(other)).p() == pytest.approx(welch.pvalue, rel=1e-6)
    cases = np.random.default_rng(3).normal(0.2, 1, (1, 41)).repeat(5, axis=0)
    found = difference(Means.of(cases), Means.of(np.zeros((3, 41))))
    assert found.p() == pytest.approx(ttest_1samp(cases[0], 0).pvalue, rel=1e-6)
    assert found.interval() == pytest.approx(tuple(ttest_1samp(cases[0], 0).confidence_interval()), rel=1e-6)


def test_cases_are_paired_and_trainings_are_not() -> None:
    ease = np.random.default_rng(1).normal(0, 20, 41)
    apart = np.random.default_rng(2).normal(0, 0.1, (2, 5, 41))
    hard = difference(Means.of(apart[0] + 1 + ease), Means.of(apart[1] + ease))
    assert hard.error == pytest.approx(difference(Means.of(apart[0] + 1), Means.of(apart[1])).error, rel=1e-6)
    again = difference(Means.of(apart[0] + 1), Means.of(apart[1][::-1]))
    assert again.p() == pytest.approx(hard.p(), rel=1e-6)  # the order of the seeds is no matter
    luck = np.random.default_rng(3).normal(0, 2, (5, 1))
    together = difference(Means.of(apart[0] + 1 + luck), Means.of(apart[1] + luck))
    assert together.p() > 0.1 > 1e-6 > hard.p()  # the same luck in both is two trainings' luck


@pytest.mark.parametrize(("seeds", "spread"), [((5, 5), (0.76, 0.76)), ((3, 5), (0.76, 0.76)), ((5, 5), (0.2, 1.3))])
def test_intervals_cover_the_true_difference_as_often_as_they_say(
    seeds: tuple[int, int], spread: tuple[float, float]
) -> None:
    rng = np.random.default_rng(0)
    ease = rng.normal(0, 2, (2000, 1, 41))
    one, other = (
        Means.of(ease + grids(rng, 2000, 1, 1, trainings=s, spread=sd, ease=0)[:, 0, 0])
        for s, sd in zip(seeds, spread, strict=True)
    )
    low, high = difference(one, other).interval()
    assert 0.93 < np.mean((low <= 0) & (high >= 0)) < 0.97
    low, high = estimate(one).interval()
    assert 0.93 < np.mean((low <= 0) & (high >= 0)) < 0.97


def test_a_percentile_bootstrap_over_cases_would_not() -> None:
    """What makes the analysis of two levels necessary: the interval of a paired t test over cases alone."""
    results = grids(np.random.default_rng(0), 1000, 1, 2)[:, 0].mean(axis=-2)
    apart = results[:, 0] - results[:, 1]
    assert np.mean(ttest_1samp(apart, 0, axis=1).pvalue < 0.05) > 0.4


def test_one_training_and_few_cases_tell_nothing() -> None:
    for results in (RESULTS[:1], RESULTS[:, : FEWEST_CASES - 1]):
        found = estimate(Means.of(results))
        assert found.mean == pytest.approx(results.mean()) and np.isnan([*found.interval(), found.p()]).all()
    assert np.isfinite(estimate(Means.of(RESULTS[:2, :FEWEST_CASES])).interval()).all()
    assert np.isnan(difference(Means.of(RESULTS), Means.of(RESULTS[:1])).p())
    constant = Means.of(RESULTS[:1], trained=False)
    assert np.isfinite([*estimate(constant).interval(), difference(Means.of(RESULTS), constant).p()]).all()


def test_what_differs_by_rounding_alone_does_not_differ() -> None:
    one, other = np.full((3, 9), 0.1 + 0.2), np.full((2, 9), 0.3)
    assert one[0, 0] != other[0, 0]
    found = difference(Means.of(one), Means.of(other))
    assert found.p() == 1 and found.interval() == (0, 0)
    assert difference(Means.of(one + 1), Means.of(other)).p() == 0


def test_infinite_results_have_a_mean_and_nothing_else() -> None:
    results = RESULTS.copy()
    results[0, 0] = np.inf
    with np.errstate(all="raise", invalid="ignore"):
        found = estimate(Means.of(results))
    assert found.mean == np.inf and np.isnan(found.error)


def test_the_best_is_better_than_all_others_where_it_is_better_than_each() -> None:
    results = {"a": RESULTS, "b": RESULTS[:4] + 3, "c": RESULTS[:3, ::-1] + 1}
    means = [Means.of(values) for values in results.values()]
    found = best_of(Means.stack(means))
    each = [float(difference(means[1], means[i]).p()) for i in (0, 2)]
    assert found.index == 1 and found.p == pytest.approx(max(each))
    assert found.gaps.p()[[0, 2]] == pytest.approx(each) and found.gaps.p()[1] == 1
    lowest = best_of(Means.stack(means), higher=False)
    assert lowest.index == 0 and lowest.gaps.mean[1] == pytest.approx((RESULTS - RESULTS[:4].mean(axis=0) - 3).mean())


def test_many_at_once_are_as_one_by_one() -> None:
    many: Array = np.random.default_rng(4).normal(80, 2, (3, 2, 5, 41))
    together = best_of(Means.of(many))
    for i in range(3):
        alone = best_of(Means.of(many[i]))
        assert together.p[i] == alone.p and together.index[i] == alone.index
