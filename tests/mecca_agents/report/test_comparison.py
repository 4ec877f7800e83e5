"""Which method is the best and against which it is compared: over trainings and cases, corrected, and never a bound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mecca_agents.evaluation.layout import Labelled
from mecca_agents.evaluation.two_level import Means, difference, estimate
from mecca_agents.report.comparison import (
    BOUNDS,
    Array,
    ablated,
    by_labelled,
    by_method,
    by_step,
    by_variant,
    collapsed,
    compare,
    corrected,
    gap,
    in_order,
    reached,
    summarise,
)
from mecca_agents.report.studies import read_studies
from tests.support.benchmark_folder import constant, read_cells, write_cell, write_study

RNG = np.random.default_rng(0)
EASE = RNG.normal(80, 5, 12)  # of the cases, far more than what methods differ by


def _trainings(better: float = 0.0, count: int = 5, spread: float = 0.3) -> Array:
    """(S, C): so much better than others, on the same cases."""
    return better + EASE + RNG.normal(0, spread, (count, 1)) + RNG.normal(0, 0.3, (count, 12))


def test_methods_come_in_the_registrys_order_and_own_ones_after_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mecca_agents.report.comparison.METHODS", {"unet": "", "mecca": "", "bs-iris": ""})
    assert in_order(["z:A", "bs-iris", "a:B", "unet", "mecca", "unet"]) == ["unet", "mecca", "bs-iris", "a:B", "z:A"]


def test_seeds_are_averaged_case_by_case(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    write_cell(study, "mecca", {"b": [0.1, 0.2], "a": [0.5, 0.6]})
    write_cell(study, "mecca", {"a": [0.7, 0.8], "b": [0.3, 0.6]}, seed=1)
    write_cell(study, "mecca", {"a": [0.0, 0.0], "b": [0.0, 0.0]}, fraction=0.25)
    write_cell(study, "mecca", {"a": [0.0, 0.0], "b": [0.0, 0.0]}, labelled_cases=1)
    write_cell(study, "mecca", {"a": [0.0, 0.0], "b": [0.0, 0.0]}, variant="none")
    cells = by_method(read_cells(tmp_path))["mecca"]
    np.testing.assert_allclose(by_step(cells), [0.4, 0.55])
    np.testing.assert_allclose(by_step(cells, "assd")[-1], 4.5)
    np.testing.assert_allclose(reached(cells), [[60, 20], [80, 60]])
    np.testing.assert_allclose(reached(cells, "assd", 0), [[5, 9], [3, 7]])
    np.testing.assert_allclose(reached(cells, "misunderstanding"), [[2, 2], [2, 2]])


def test_cells_are_found_by_labelled_amount_and_by_variant(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    dice = constant(a=0.5, b=0.5)
    for labelled in ({}, {"fraction": 0.25}, {"labelled_cases": 16}, {"labelled_cases": 4}):
        write_cell(study, "mecca", dice, **labelled)  # type: ignore[arg-type]
    write_cell(study, "pnet", dice)
    for variant in ("none", "labels"):
        write_cell(study, "mecca", dice, variant=variant, labelled_cases=4, imprecise=dice)
    (found,) = read_studies(tmp_path)
    amounts = by_labelled(found)
    assert list(amounts) == ["mecca"]
    assert list(map(str, amounts["mecca"])) == ["4 cases", "25 %", "16 cases", "100 %"]  # of sixteen
    assert ablated(found) == [Labelled(cases=4)]
    assert list(by_variant(found, Labelled(cases=4))) == ["none", "labels"]
    assert list(by_variant(found, Labelled(cases=4), "imprecise")) == ["none", "labels"]


def test_a_summary_is_over_trainings_and_cases() -> None:
    results = _trainings()
    of = summarise(results)
    low, high = estimate(Means.of(results)).interval()
    sd = results.mean(axis=0).std(ddof=1)
    assert of == pytest.approx((results.mean(), low, high, sd))
    assert np.isnan(summarise(results[:1])[1:3]).all() and np.isfinite(summarise(results[:1], trained=False)).all()
    infinite = summarise(np.array([[1.0, np.inf]]))
    assert infinite.mean == np.inf and np.isnan(infinite[1:]).all()


def test_the_best_is_compared_with_each_and_corrected_for_their_number() -> None:
    results = {"a": _trainings(), "b": _trainings(1.0), "c": _trainings(-1.0)}
    found = compare(results)
    assert found is not None and (found.best, found.rival) == ("b", "a")
    p = {m: float(difference(Means.of(results["b"]), Means.of(results[m])).p()) for m in ("a", "c")}
    assert found.p == pytest.approx(corrected(p)) and found.decisive == pytest.approx(max(p.values()))
    assert found.decisive < 0.05
    assert found.gap == pytest.approx(gap(results["b"], results["a"])[0])
    assert found.gap.mean == pytest.approx(results["b"].mean() - results["a"].mean())


def test_lower_can_be_better() -> None:
    found = compare({"a": _trainings(), "b": _trainings(-2.0), "c": _trainings(-1.0)}, higher=False)
    assert found is not None and (found.best, found.rival) == ("b", "c")
    assert found.gap.high < 0 and found.decisive < 0.05


def test_a_gain_in_every_case_is_none_where_trainings_differ_by_more() -> None:
    lucky, other = EASE + np.array([[-3.0], [0], [1], [4], [5]]), EASE + np.array([[-4.0], [-2], [0], [3], [5.0]])
    found = compare({"a": lucky, "b": other})
    assert found is not None and found.best == "a" and (lucky.mean(axis=0) > other.mean(axis=0)).all()
    assert found.p["b"] > 0.5


def test_bounds_and_infinite_distances_do_not_compete() -> None:
    bounds = {name: _trainings(20.0) for name in BOUNDS}
    assert set(bounds) == {"random", "oracle", "mean-mask", "ellipsoid"}
    found = compare({**bounds, "a": _trainings(), "b": _trainings(1.0), "c": np.full((5, 12), np.inf)})
    assert found is not None and found.best == "b" and list(found.p) == ["a"]
    assert compare({**bounds, "a": _trainings()}) is None


@pytest.mark.parametrize(
    ("seeds", "p", "decisive"), [((5, 5), True, True), ((5, 4), True, False), ((5, 1), False, False)]
)
def test_no_p_of_one_seed_and_nothing_decisive_of_fewer_than_five(
    seeds: tuple[int, int], p: bool, decisive: bool
) -> None:
    for counts in (seeds, seeds[::-1]):
        found = compare({"a": _trainings(count=counts[0]), "b": _trainings(3.0, count=counts[1])})
        assert found is not None and np.isfinite(found.p["a"]) == p and np.isfinite(found.decisive) == decisive
        assert np.isfinite(found.gap.low) == p and found.gap.mean > 1


def test_fewer_than_eight_cases_are_not_compared() -> None:
    results = {"a": _trainings()[:, :7], "b": _trainings(3.0)[:, :7]}
    found = compare(results)
    assert found is not None and found.best == "b" and np.isnan([found.p["a"], found.decisive, found.gap.low]).all()


def test_what_has_no_p_is_not_corrected_for() -> None:
    assert corrected({"a": 0.04, "b": np.nan, "c": 0.01}) == pytest.approx(
        {"a": 0.04, "b": np.nan, "c": 0.02}, nan_ok=True
    )


def test_a_collapsed_training_is_found_among_those_of_its_method(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    for seed, dice in enumerate((0.8, 0.39, 0.41)):
        write_cell(study, "mecca", constant(a=dice, b=dice), seed=seed)
    write_cell(study, "iter-mrl", constant(a=0.2, b=0.2))
    write_cell(study, "mecca", constant(a=0.3, b=0.3), labelled_cases=1)  # alone of its kind
    write_cell(study, "mecca", constant(a=0.3, b=0.3), variant="none")
    assert [cell.name for cell in collapsed(read_cells(tmp_path))] == ["mecca-100-seed1"]
