"""What is in bold holds for the whole report: in simulated reports, in families of p values by hand, in tables."""

from __future__ import annotations

from functools import cache
from math import nan
from pathlib import Path

import numpy as np
import pytest

from mecca_agents.evaluation.layout import Labelled
from mecca_agents.evaluation.two_level import Best, Means, best_of
from mecca_agents.report.studies import Study, read_studies
from mecca_agents.report.winners import Column, significant, winners
from tests.support.benchmark_folder import write_cell, write_study
from tests.support.simulated import grids

REPORTS = 400
MAIN, FEW = 11, 5
"""Methods in Tables 1 and 2, with Dice and ASSD and four earlier steps; and in Table 3, with three smaller amounts."""


def _bold(better: tuple[float, ...] = (), amounts: int = 3) -> tuple[list[list[list[list[bool]]]], Best]:
    """What is bold in each of the simulated reports, and the comparison of its first columns."""
    rng = np.random.default_rng(0)
    main = best_of(Means.of(grids(rng, REPORTS, 6, MAIN, better=better)))
    few = [best_of(Means.of(grids(rng, REPORTS, 1, FEW, better=better))) for _ in range(amounts)]
    p = [[[main.p[i].tolist()], [of.p[i].tolist() for of in few]] for i in range(REPORTS)]
    return [significant(of_report) for of_report in p], main


@cache
def _share_with_anything_bold(better: tuple[float, ...] = ()) -> float:
    reports, _ = _bold(better)
    return float(np.mean([any(each for group in report for family in group for each in family) for report in reports]))


def test_reports_of_equal_methods_have_no_winner() -> None:
    assert _share_with_anything_bold() <= 0.05


def test_reports_of_two_methods_level_at_the_top_have_no_winner_either() -> None:
    """The worst case: the best has one rival, which is as good, in every column."""
    assert _share_with_anything_bold((6, 6)) <= 0.05


def test_a_method_that_is_better_by_two_dice_is_found() -> None:
    reports, main = _bold((2,), amounts=0)
    found = [report[0][0][0] for report in reports]
    assert np.mean(found) > 0.6 and np.mean(main.index[:, 0][found]) == 0
    assert np.mean([all(report[0][0]) for report in reports]) > 0.2  # in all six columns
    assert _share_with_anything_bold((2,)) > 0.75


def test_of_two_methods_the_one_that_is_better_by_two_dice_is_found_nearly_always() -> None:
    found = best_of(Means.of(grids(np.random.default_rng(0), REPORTS, 1, 2, better=(2,))))
    assert np.mean((found.p < 0.05) & (found.index == 0)) > 0.9


def test_the_first_claim_of_a_family_decides() -> None:
    assert significant([[[0.04, 0.001, 0.03]]]) == [[[True, True, True]]]
    assert significant([[[0.06, 0.001]]]) == [[[False, False]]]
    assert significant([[[nan, 0.001]]]) == [[[False, False]]]
    assert significant([[[0.001, 0.026, 0.03, nan]]]) == [[[True, False, False, False]]]  # 2 x 0.026
    assert significant([[[0.001, 0.024, 0.03, nan]]]) == [[[True, True, True, False]]]
    assert significant([[], []]) == [[], []]


def test_groups_and_families_share_what_there_is() -> None:
    assert significant([[[0.04]], []]) == [[[True]], []]
    assert significant([[[0.026]], [[0.024]]]) == [[[False]], [[True]]]
    assert significant([[[0.04]], [[nan]]]) == [[[True]], [[False]]]  # what can claim nothing has no share
    assert significant([[[0.024], [0.026]]]) == [[[True], [False]]]
    assert significant([[[0.02]], [[0.012], [0.02], [nan]]]) == [[[True]], [[True], [False], [False]]]


def _study(folder: Path, seeds: dict[str, int], cases: int = 8, name: str = "Spleen") -> Study:
    """Methods of which the first is much better than the others, in a data set of its own."""
    rng = np.random.default_rng(0)
    study = write_study(folder, name)
    for number, (method, count) in enumerate(seeds.items()):
        for seed in range(count):
            for labelled in (None, 4):
                dice = 0.9 - 0.2 * (number > 0) + rng.normal(0, 0.002, (cases, 5))
                of_case = {f"case{i}": [float(d) for d in of] for i, of in enumerate(dice)}
                write_cell(study, method, of_case, seed=seed, labelled_cases=labelled)
    return next(study for study in read_studies(folder) if study.name == name)


def test_with_five_seeds_and_eight_cases_all_columns_may_be_bold(tmp_path: Path) -> None:
    found = winners([_study(tmp_path, {"mecca": 5, "iter-mrl": 5, "pnet": 6})])
    steps = {Column("Spleen", step=step) for step in (0, 1, 2, 3, -1)}
    assert found.bold == {*steps, Column("Spleen", measure="assd"), Column("Spleen", Labelled(cases=4))}
    assert all(found.wins(column, "mecca") and not found.wins(column, "pnet") for column in found.bold)


@pytest.mark.parametrize(
    ("seeds", "cases"),
    [
        ({"mecca": 4, "iter-mrl": 5, "pnet": 5}, 8),
        ({"mecca": 5, "iter-mrl": 4, "pnet": 5}, 8),
        ({"mecca": 5, "iter-mrl": 5, "pnet": 1}, 8),
        ({"mecca": 5, "iter-mrl": 5, "pnet": 5}, 7),
    ],
)
def test_with_fewer_nothing_is(tmp_path: Path, seeds: dict[str, int], cases: int) -> None:
    study = _study(tmp_path, seeds, cases)
    found = winners([study])
    assert not found.bold
    comparison = found.found[Column("Spleen")]
    assert comparison is not None and comparison.best == "mecca"
    assert np.isnan(comparison.p["pnet"]) == (1 in seeds.values() or cases < 8)


def test_a_data_set_without_claims_takes_nothing_from_the_others(tmp_path: Path) -> None:
    many = _study(tmp_path, {"mecca": 5, "iter-mrl": 5})
    alone = winners([many]).bold
    assert alone and winners([many, _study(tmp_path, {"mecca": 1, "iter-mrl": 1}, name="Liver")]).bold == alone
