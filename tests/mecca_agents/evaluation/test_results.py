"""Rows and tables of an evaluation."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest

from mecca_agents.evaluation import COLUMNS, Result, result_row, table
from mecca_agents.evaluation.results import SINCE, mean_of_scans, means_of_scans

OLD = ("method", "dataset", "case", "seed", "user_seed", "step", "clicks",
       "dice", "assd", "hd95", "nsd", "misunderstanding", "seconds")  # fmt: skip


def result(
    case: str, step: int, scan: float = math.nan, obedience: float = math.nan, protocol: str = "paper"
) -> Result:
    first = ("fake", "phantom", case, 3, 0, step, step - 1, 0.5, 2.0, 3.0, 0.25, 0.01, 0.1)
    return Result(*first, protocol=protocol, obedience=obedience, dice_scan=scan, nsd_scan=scan / 2)


def test_new_columns_follow_the_old_ones() -> None:
    assert COLUMNS == (*OLD, "protocol", "obedience", "dice_scan", "nsd_scan") and COLUMNS[-4:] == SINCE
    assert tuple(field.name for field in fields(Result)) == COLUMNS
    row = result_row(result("a", 2, 0.123456789, math.nan, "cvpr25"))
    assert tuple(row) == COLUMNS
    assert [row[name] for name in SINCE] == ["cvpr25", "nan", "0.123457", "0.0617284"]


def test_the_table_has_what_was_measured() -> None:
    assert table([result("a", 1)]).splitlines()[1].endswith("misund. %")  # as results of earlier versions
    results = [result("a", 1, 0.5), result("b", 1, 0.7), result("a", 2, 0.6, 0.0), result("b", 2, 0.8, 1.0)]
    lines = table(results).splitlines()
    assert lines[0] == "phantom, 2 cases, fake"
    assert lines[1].split()[-6:] == ["scan", "Dice", "%", "scan", "NSD", "%", "obeyed", "%"][-6:]
    assert [line.split()[-3:] for line in lines[2:]] == [["60.00", "30.0", "-"], ["70.00", "35.0", "50.0"]]


def test_the_title_has_the_protocol_and_what_was_done_to_the_agent() -> None:
    results = [result("a", 1, protocol="one-click")]
    assert table(results).splitlines()[0] == "phantom, 1 case, fake, protocol one-click"
    assert table(results, "adapted: the agent sees no box").splitlines()[0] == (
        "phantom, 1 case, fake, protocol one-click (adapted: the agent sees no box)"
    )


def test_the_cases_of_a_scan_count_once() -> None:
    cases, values = ["a-label1", "a-label2", "b-label1", "b-label3"], [0.2, 0.4, 0.9, math.nan]
    assert means_of_scans(cases, values) == pytest.approx([0.3, 0.9])
    assert mean_of_scans(cases, values) == pytest.approx(0.6)
    assert math.isnan(mean_of_scans(cases, [math.nan] * 4))
    lines = table([result(case, 1, value) for case, value in zip(cases[:3], values[:3], strict=True)]).splitlines()
    assert lines[2].split()[-2:] == ["60.00", "30.0"]
