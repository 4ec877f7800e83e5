"""The overview, and what is not above the better floor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mecca_agents.evaluation.two_level import Means, estimate
from mecca_agents.report import report
from mecca_agents.report.click_tables import table_clicks, table_misunderstanding
from mecca_agents.report.floors import MARK, below_floor, corrected_dice, floor_of
from mecca_agents.report.label_tables import table3, table4
from mecca_agents.report.method_tables import table1, table2
from mecca_agents.report.overview import overview
from mecca_agents.report.seed_table import table_seeds
from mecca_agents.report.studies import Study, read_studies
from mecca_agents.tables import Table, markdown
from tests.support.agents import Tiny
from tests.support.benchmark_folder import constant, rising, write_cell, write_study, write_trainings


def _study(folder: Path, *, floors: bool = True) -> Study:
    """A floor of 70 Dice %; a method above it, and one below it."""
    study = write_study(folder)
    if floors:
        write_cell(study, "mean-mask", rising(0.7, gain=0), optimizer_steps=0, labelled_episodes=64, minutes=0.1)
        write_cell(study, "ellipsoid", rising(0.6, gain=0), optimizer_steps=0, labelled_episodes=0, minutes=0.0)
    write_trainings(study, "mecca", 0.85)
    write_trainings(study, "pnet", 0.65, optimizer_steps=300, minutes=2.0)
    write_trainings(study, "pnet", 0.69, labelled_cases=4)
    (found,) = read_studies(folder)
    return found


def _lines(table: Table | None) -> dict[str, list[str]]:
    assert table is not None
    return {line[0]: list(line[1:]) for line in table.sections[0].lines}


def _notes(table: Table | None) -> str:
    assert table is not None
    return "\n".join(table.sections[0].notes)


def test_the_overview_says_how_far_above_the_floor_and_what_it_cost(tmp_path: Path) -> None:
    table = overview([_study(tmp_path)])
    assert table is not None and table.sections[0].title == "Spleen"
    assert table.sections[0].head[2:4] == ["Above the floor, %, after 25 clicks", "Above the floor, %, after 45 clicks"]
    lines = _lines(table)
    assert list(lines) == ["mean-mask", "ellipsoid", "pnet ▽", "mecca"]
    assert (
        lines["mecca"][0] == "5" and lines["mecca"][1].startswith("36.7 [") and lines["mecca"][2].startswith("50.0 [")
    )
    assert lines["mecca"][3:] == ["2.00", "600", "300", "4.2"]
    assert lines["pnet ▽"][2].startswith("-16.7 [") and lines["pnet ▽"][4:] == ["300", "300", "2.0"]
    assert lines["mean-mask"][1:3] == ["0.0 [0.0, 0.0]"] * 2 and lines["mean-mask"][4:] == ["0", "64", "0.1"]
    assert lines["ellipsoid"][2].startswith("-33.3 [")
    assert "The floor is mean-mask, 70.00 Dice %." in _notes(table)
    row = next(row for row in table.csv_rows if row["method"] == "mecca")
    assert (row["first_clicks"], row["last_clicks"], row["last_floor"], row["last"]) == (25, 45, "70", "50")
    assert (row["optimizer_steps"], row["labelled_episodes"], row["minutes"]) == ("600", "300", "4.2")


def test_the_overview_without_a_floor_has_plain_dice(tmp_path: Path) -> None:
    table = overview([_study(tmp_path, floors=False)])
    assert table is not None and table.sections[0].title == "Spleen: plain Dice, for want of a floor"
    assert table.sections[0].head[3] == "Dice %, after 45 clicks"
    assert _lines(table)["mecca"][2].startswith("85.0 [") and "no floor to compare with" in _notes(table)
    text = report(tmp_path).read_text(encoding="utf-8")
    assert "trainings; no floor to compare with, neither mean-mask nor ellipsoid" in text and MARK not in text
    assert text.index("\n## Overview") < text.index("\n## Table 1") and "\n## Table" not in text.partition("## Over")[0]


def test_costs_that_differ_between_seeds_are_a_range(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    for seed, steps in enumerate((300, 75)):
        write_cell(study, "mecca", rising(0.8), seed=seed, optimizer_steps=steps, minutes=1.0 + seed)
    assert _lines(overview(read_studies(tmp_path)))["mecca"][4:] == ["75 to 300", "300", "1.5"]


def test_the_better_floor_is_chosen_at_every_step(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    write_cell(study, "mean-mask", constant(a=0.7, b=0.7))
    write_cell(study, "ellipsoid", {case: [0.8, 0.7, 0.6, 0.5, 0.4] for case in ("a", "b")})
    write_cell(study, "mean-mask", constant(a=0.6, b=0.6), labelled_cases=4)
    write_cell(study, "mecca", constant(a=0.65, b=0.65), labelled_cases=4)
    write_cell(study, "mecca", constant(a=0.65, b=0.65), fraction=0.5)
    (found,) = read_studies(tmp_path)
    first, last = floor_of(found, step=0), floor_of(found)
    assert first is not None and last is not None and (first.name, last.name) == ("ellipsoid", "mean-mask")
    few, half = ([c for c in found.cells if c.method == "mecca" and str(c.labelled) == a] for a in ("4 cases", "50 %"))
    assert below_floor(found, few) is None  # the floor with as many labels
    gap = below_floor(found, half)  # there is none: the one with all
    assert gap is not None and gap.mean == pytest.approx(-5) and np.isnan(gap.low)


def test_every_table_with_methods_marks_what_is_below_the_floor(tmp_path: Path) -> None:
    study = _study(tmp_path)
    said = "▽ Below the floor: has learned nothing that shows. Mean Dice after the last step minus that of the better "
    for make in (overview, table1, table2, table_clicks, table_misunderstanding):
        table = make([study])
        assert [name for name in _lines(table) if MARK in name] == ["pnet ▽"]
        assert f"{said}floor: pnet -5.00 [-5." in _notes(table)
    table = table3([study])
    assert _lines(table)["pnet"][1:3] == ["69.00 ▽", "65.00 ▽"] and "pnet (4 cases) -1.00 [-1." in _notes(table)
    assert list(_lines(table4([study]))) == ["4 cases ▽", "100 % ▽"]
    trainings = _lines(table_seeds([study]))
    assert all(MARK not in text for text in [*trainings["mecca"], *trainings["mean-mask"], *trainings["ellipsoid"]])
    assert all(text.endswith(" ▽") for text in trainings["pnet"][2:]) and "Below the floor" in _notes(
        table_seeds([study])
    )


def test_floor_corrected_dice_is_a_ratio_of_means() -> None:
    rng = np.random.default_rng(0)
    floor = rng.normal(70, 5, (1, 41))
    dice = 85 + 0.2 * (floor - 70) + rng.normal(0, 1, (5, 1)) + rng.normal(0, 1, (5, 41))
    of = corrected_dice(dice, floor, trained=True)
    assert of.mean == pytest.approx(100 * (dice.mean() - floor.mean()) / (100 - floor.mean()))
    # Fieller's theorem: the values g for which D - F - g (100 - F) may be 0 on average, which no approximation needs.
    inside = []
    for g in np.linspace(of.low - 5, of.high + 5, 2001):
        low, high = estimate(Means.of(dice - floor - g / 100 * (100 - floor))).interval()
        inside += [g] if low <= 0 <= high else []
    assert (of.low, of.high) == pytest.approx((min(inside), max(inside)), abs=0.2)
    assert corrected_dice(floor, floor, trained=False)[:3] == (0, 0, 0)
    assert corrected_dice(np.full((5, 41), 100.0), floor, trained=True)[:3] == pytest.approx((100, 100, 100))
    assert np.isnan(corrected_dice(dice, np.full((1, 41), 100.0), trained=True)).all()


def test_footnotes_are_those_of_the_methods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tiny, "footnote", "Does the same everywhere.")
    study = write_study(tmp_path)
    for method in ("focal-iter-mrl", "tests.support.agents:Tiny", "nowhere.at_all:Gone"):
        write_cell(study, method, rising(0.8))
    write_cell(write_study(tmp_path, "Other"), "tests.support.agents:Tiny", rising(0.8))
    table = overview(read_studies(tmp_path))
    assert table is not None and [note for note in table.notes if note.startswith("`")] == [
        "`tests.support.agents:Tiny`: Does the same everywhere."
    ]
    assert markdown(table).endswith("\n- `tests.support.agents:Tiny`: Does the same everywhere.")


def test_a_method_that_does_not_count_its_costs_has_none_in_the_overview(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    write_trainings(study, "mecca", 0.8, optimizer_steps=None, labelled_episodes=None)
    (found,) = read_studies(tmp_path)
    table = overview([found])
    assert _lines(table)["mecca"][4:6] == ["-", "-"]
    assert table is not None and table.csv_rows[0]["optimizer_steps"] == ""
