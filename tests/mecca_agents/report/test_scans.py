"""Organs of one scan are no independent sample: intervals, p values and the rule of eight are about scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mecca_agents.evaluation.results import Result, dice_by_step, table
from mecca_agents.report.click_tables import table_clicks
from mecca_agents.report.comparison import by_method, reached, summarise
from mecca_agents.report.label_tables import table4
from mecca_agents.report.layout import caption
from mecca_agents.report.method_tables import table1
from mecca_agents.report.studies import Study, read_studies
from mecca_env.data.targets import scans_of
from tests.support.benchmark_folder import write_cell, write_study

SEEDS = range(5)


def _study(folder: Path, scans: int, organs: int) -> Study:
    """Two methods from five seeds on scans whose organs all come out alike; with 0 organs a case is a scan."""
    study, generator = write_study(folder), np.random.default_rng(0)
    of_scan = generator.uniform(0.7, 0.9, scans)
    for method, shift in (("unet", 0.0), ("mecca", 0.02)):
        for seed in SEEDS:
            noise = generator.normal(0, 0.005)
            names = [
                f"scan{i}" + (f"-label{j + 1}" if organs else "") for i in range(scans) for j in range(organs or 1)
            ]
            values = np.repeat(of_scan, organs or 1) + shift + noise
            write_cell(study, method, {n: [float(v)] * 5 for n, v in zip(names, values, strict=True)}, seed=seed)
    (found,) = read_studies(folder)
    return found


def test_organs_that_come_out_alike_add_nothing(tmp_path: Path) -> None:
    organs, scans = (_study(tmp_path / str(n), 9, n) for n in (4, 0))
    for method in ("unet", "mecca"):
        one, other = (summarise(reached(by_method(study.cells)[method])) for study in (organs, scans))
        assert one == pytest.approx(other, rel=1e-9)
    assert "36 test cases of 9 scans, each of which counts once;" in caption(organs, organs.cells)
    assert "; 9 test cases;" in caption(scans, scans.cells)


def test_three_scans_are_fewer_than_eight_whatever_is_in_them(tmp_path: Path) -> None:
    study = _study(tmp_path, 3, 4)
    assert np.isnan(summarise(reached(by_method(study.cells)["unet"])).low)
    made = table1([study])
    assert made is not None
    assert any("With 3 scans, fewer than 8, there is no interval" in note for note in made.sections[0].notes)


def test_a_scan_of_many_organs_weighs_no_more_than_another(tmp_path: Path) -> None:
    """Four organs that fail in one scan, one that does not in each of eight others."""
    study = write_study(tmp_path)
    dice = {f"bad-label{j}": [0.4, 0.5, 0.4, 0.5, 0.4] for j in range(1, 5)}
    dice |= {f"good{i}-label1": [0.91] * 5 for i in range(8)}
    for amount in (None, 1):
        write_cell(study, "mecca", dice, labelled_cases=amount)
    (found,) = read_studies(tmp_path)
    by_amount = table4([found])
    assert by_amount is not None and by_amount.sections[0].lines[0][-1] == "85.33"
    clicks = table_clicks([found])
    assert clicks is not None
    assert (clicks.csv_rows[0]["noc90_failed"], clicks.csv_rows[0]["worse_percent"]) == ("0.111111", "5.55556")
    rest = {"assd": 1.0, "misunderstanding": 0.0, "seconds": 0.1}
    results = [
        Result("m", "d", case, 0, 0, 1, 25, dice=of[-1], hd95=10 * of[-1], nsd=of[-1], **rest)
        for case, of in dice.items()
    ]
    line = table(results).splitlines()[-1].split()
    assert "85.33" in line and "8.53" in line and "85.3" in line
    assert dice_by_step(results) == pytest.approx([100 * (0.4 + 8 * 0.91) / 9])


def test_an_evaluation_has_no_interval_from_three_scans() -> None:
    def results(names: list[str]) -> list[Result]:
        rest = {"assd": 1.0, "hd95": 1.0, "nsd": 0.9, "misunderstanding": 0.0, "seconds": 0.1}
        values = {name: 0.5 + 0.03 * i for i, name in enumerate(names)}
        return [
            Result(method="m", dataset="d", case=n, seed=0, user_seed=0, step=1, clicks=25, dice=v, **rest)
            for n, v in values.items()
        ]

    assert "[" in table(results([f"scan{i}" for i in range(12)])).splitlines()[-1]
    assert "[" not in table(results([f"scan{i // 4}-label{i % 4 + 1}" for i in range(12)])).splitlines()[-1]


def test_names_that_only_look_like_it_are_scans_of_their_own() -> None:
    assert scans_of(["a-label1", "a-label2", "b-label2"]) == ["a", "a", "b"]
    assert scans_of(["a-label1", "a-label2", "b"]) == ["a-label1", "a-label2", "b"]
