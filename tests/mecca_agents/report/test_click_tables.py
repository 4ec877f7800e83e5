"""Number of clicks, area under the curve and steps that made things worse, by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mecca_agents.report.click_tables import (
    area_under_clicks,
    clicks_to_reach,
    share_worse,
    table_clicks,
    table_misunderstanding,
)
from mecca_agents.report.studies import read_studies
from tests.support.benchmark_folder import CLICKS, constant, write_cell, write_csv, write_study

DICE = np.array(
    [
        [0.85, 0.80, 0.90, 0.90, 0.90],  # at once
        [0.50, 0.60, 0.86, 0.80, 0.80],  # at the third step
        [0.50, 0.60, 0.70, 0.80, 0.85],  # at the last one
        [0.50, 0.60, 0.70, 0.80, 0.84],  # never
    ]
)
GIVEN = np.array([CLICKS, CLICKS, CLICKS, (25, 30, 32, 32, 32)], float)


def test_clicks_to_reach_a_dice_score() -> None:
    clicks, failed = clicks_to_reach(DICE, GIVEN, 0.85)
    assert clicks.tolist() == [25, 35, 45, 32] and failed.tolist() == [False, False, False, True]
    clicks, failed = clicks_to_reach(DICE, GIVEN, 0.90)
    assert clicks.tolist() == [35, 45, 45, 32] and failed.tolist() == [False, True, True, True]


def test_area_is_by_trapezoids_over_the_clicks_that_were_made() -> None:
    rising = np.linspace(0.5, 0.9, 5)[None]
    assert area_under_clicks(rising, GIVEN[:1]) == pytest.approx([0.7])
    # 5 clicks at 0.55 on average and 2 at 0.65; no clicks, no area.
    assert area_under_clicks(DICE[3:], GIVEN[3:]) == pytest.approx([(5 * 0.55 + 2 * 0.65) / 7])
    assert area_under_clicks(np.full((1, 5), 0.8), GIVEN[:1]) == pytest.approx([0.8])
    assert area_under_clicks(rising, np.full((1, 5), 25.0)) == [0.9]
    assert area_under_clicks(rising[:, :1], GIVEN[:1, :1]) == [0.5]


def test_share_of_steps_that_made_things_worse() -> None:
    assert share_worse(DICE).tolist() == [0.25, 0.25, 0, 0]
    assert np.isnan(share_worse(DICE[:, :1])).all()


def test_the_table_averages_over_seeds_and_prints_failures(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    write_cell(study, "mecca", {"a": DICE[0].tolist(), "b": DICE[3].tolist()})
    write_cell(study, "mecca", {"a": DICE[2].tolist(), "b": DICE[1].tolist()}, seed=1)
    table = table_clicks(read_studies(tmp_path))
    assert table is not None
    (row,) = table.csv_rows
    assert row["noc85"] == "37.5"  # 25, 45 (failed), 45, 35
    assert row["noc85_failed"] == "0.25" and row["noc90_failed"] == "0.75" and row["worse_percent"] == "12.5"
    (line,) = table.sections[0].lines
    assert line[:4] == ["mecca", "2", "37.5", "25"]  # two cases are too few for an interval


def test_misunderstanding_by_step(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    path = write_cell(study, "mecca", constant(a=0.5, b=0.5))
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["misunderstanding"] = str(0.01 * int(row["step"]) + (0.02 if row["case"] == "b" else 0))
    write_csv(path, rows)
    table = table_misunderstanding(read_studies(tmp_path))
    assert table is not None
    assert table.sections[0].lines[0][2:] == ["2.00", "3.00", "4.00", "5.00", "6.00", "4.00"]
    assert [row["step"] for row in table.csv_rows] == [1, 2, 3, 4, 5, "mean"]
    assert json.loads(table.csv_rows[-1]["percent"]) == 4
