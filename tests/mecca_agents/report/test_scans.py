"""Organs of one scan are no independent sample: intervals, p values and the rule of eight are about scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mecca_agents.evaluation.runner import Result, table
from mecca_agents.report.comparison import by_method, reached, summarise
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
