"""Which method is the best, and when that is said in bold: paired by case, corrected, and never a bound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mecca_agents.evaluation.statistics import bootstrap_interval, paired_wilcoxon
from mecca_agents.report.comparison import (
    Array,
    at_last,
    by_method,
    by_step,
    collapsed,
    compare,
    in_order,
    summarise,
    wins,
)
from mecca_agents.report.studies import read_cells
from tests.support.benchmark_folder import constant, write_cell, write_study

RNG = np.random.default_rng(0)
EASE = RNG.normal(80, 5, 12)  # of the cases, far more than what methods differ by


def _one_seed(values: dict[str, Array]) -> dict[str, dict[int, Array]]:
    return {method: {0: of} for method, of in values.items()}


def test_methods_come_in_the_registrys_order_and_own_ones_after_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mecca_agents.report.comparison.METHODS", {"unet": "", "mecca": "", "bs-iris": ""})
    assert in_order(["z:A", "bs-iris", "a:B", "unet", "mecca", "unet"]) == ["unet", "mecca", "bs-iris", "a:B", "z:A"]


def test_seeds_are_averaged_case_by_case(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    write_cell(study, "mecca", {"b": [0.1, 0.2], "a": [0.5, 0.6]})
    write_cell(study, "mecca", {"a": [0.7, 0.8], "b": [0.3, 0.6]}, seed=1)
    write_cell(study, "mecca", {"a": [0.0, 0.0], "b": [0.0, 0.0]}, fraction=0.25)
    write_cell(study, "mecca", {"a": [0.0, 0.0], "b": [0.0, 0.0]}, variant="none")
    cells = by_method(read_cells(tmp_path))["mecca"]
    np.testing.assert_allclose(by_step(cells), [[0.6, 0.7], [0.2, 0.4]])
    np.testing.assert_allclose(at_last(cells, "assd"), [3.0, 6.0])


def test_a_summary_is_over_cases() -> None:
    values = np.array([1.0, 2.0, 6.0])
    assert summarise(values) == (3.0, *bootstrap_interval(values), pytest.approx(np.sqrt(7)))
    assert summarise(np.array([1.0, np.inf])).mean == np.inf
    assert np.isnan(summarise(np.array([1.0, np.inf]))[1:]).all() and np.isnan(summarise(values[:1])[1:]).all()


def test_a_small_gain_in_every_case_is_significant_and_corrected_for_the_number_of_competitors() -> None:
    noise = RNG.normal(0, 0.1, (3, 12))
    values = {"a": EASE + noise[0], "b": EASE + 1 + noise[1], "c": EASE - 1 + noise[2]}
    found = compare(_one_seed(values))
    assert found is not None and (found.best, found.rival) == ("b", "a") and found.significant and wins(found, "b")
    assert not wins(found, "a")
    assert found.p["a"] == pytest.approx(2 * paired_wilcoxon(values["b"], values["a"]))
    assert found.gap.mean == pytest.approx((values["b"] - values["a"]).mean())


def test_lower_can_be_better() -> None:
    found = compare(_one_seed({"a": EASE, "b": EASE - RNG.uniform(1, 2, 12)}), higher=False)
    assert found is not None and found.best == "b" and found.significant and found.gap.high < 0


def test_noise_and_few_cases_are_not_significant() -> None:
    for values in ({"a": EASE, "b": EASE + RNG.normal(0, 3, 12)}, {"a": EASE[:5], "b": EASE[:5] + 9}):
        found = compare(_one_seed(values))
        assert found is not None and not found.significant and not wins(found, "b")
    same = compare(_one_seed({"a": EASE, "b": EASE}))
    assert same is not None and same.p == {"b": 1.0} and not same.significant


def test_a_mean_that_one_case_makes_is_not_significant_against_its_ranks() -> None:
    gap = np.full(12, -0.1) - np.arange(12) * 0.01
    gap[0] = 30.0
    found = compare(_one_seed({"a": EASE, "b": EASE + gap}))
    assert found is not None and found.best == "b" and found.p["a"] < 0.05 and not found.significant


def test_bounds_and_infinite_distances_do_not_compete() -> None:
    values = {"random": EASE - 50, "oracle": EASE + 20, "a": EASE, "b": EASE + 1, "c": np.full(12, np.inf)}
    found = compare(_one_seed(values))
    assert found is not None and found.best == "b" and list(found.p) == ["a"]
    assert compare(_one_seed({"random": EASE, "oracle": EASE, "a": EASE})) is None


def test_only_seeds_that_both_have_are_compared() -> None:
    """The same method twice; the one row has the better seed alone."""
    lucky, unlucky = EASE + RNG.normal(0, 0.1, 12), EASE - 2
    values = {"a": {0: unlucky, 1: lucky}, "b": {1: lucky}, "c": {2: EASE - 9}}
    found = compare(values)
    assert found is not None and (found.best, found.rival) == ("b", "a")
    assert found.p["a"] == 1 and found.gap.mean == 0 and not found.significant
    assert np.isnan(found.p["c"])  # no seed of b's
    alone = compare({"b": values["b"], "c": values["c"]})
    assert alone is not None and np.isnan(alone.gap).all() and not wins(alone, "b")


def test_a_collapsed_training_is_found_among_those_of_its_method(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    for seed, dice in enumerate((0.8, 0.39, 0.41)):
        write_cell(study, "mecca", constant(a=dice, b=dice), seed=seed)
    write_cell(study, "iter-mrl", constant(a=0.2, b=0.2))
    assert [cell.name for cell in collapsed(read_cells(tmp_path))] == ["mecca-100-seed1"]
