"""The table of what MECCA's mechanisms are worth, from made-up trainings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scipy.stats import ttest_rel

from experiments.mechanisms import PARTS, Row, table
from mecca_agents.presets import PRESETS
from mecca_env.process.config import EnvConfig

DICE = {"iter-mrl": [80.0, 82.0, 81.0], "other": [81.0, 83.5, 81.5]}


def _measured(row: Row, runs: Path, values: list[float]) -> None:
    """Leave what a training leaves when it is measured, for seeds from 0."""
    for seed, value in enumerate(values):
        run = row.trial(Path("data"), runs).run(row.settings(seed), seed)
        run.mkdir(parents=True)
        (run / "validation.json").write_text(json.dumps([70.0, value, 3.0]))


def test_gains_are_paired_by_seed_and_only_over_those_that_both_have(tmp_path: Path) -> None:
    plain, other = PARTS["all cases labelled"][:2]
    _measured(plain, tmp_path, DICE["iter-mrl"])
    _measured(other, tmp_path, [*DICE["other"], 99.0])
    line = next(line for line in table(Path("data"), tmp_path).splitlines() if other.name in line)
    test = ttest_rel(DICE["other"], DICE["iter-mrl"])
    low, high = test.confidence_interval()
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1] == "4" and cells[3] == f"{(sum(DICE['other']) + 99) / 4:.2f}"
    assert cells[5] == f"+1.00 [{low:+.2f}, {high:+.2f}]" and cells[6] == f"{test.pvalue:.3f}"


def test_where_nothing_is_measured_there_is_no_row(tmp_path: Path) -> None:
    text = table(Path("data"), tmp_path)
    assert all(name in text for name in PARTS) and "IteR-MRL" not in text


@pytest.mark.parametrize("row", [row for rows in PARTS.values() for row in rows], ids=lambda row: row.name)
def test_every_row_can_be_trained_and_rows_do_not_share_a_folder(row: Row, tmp_path: Path) -> None:
    PRESETS["brief"].replace(**row.setting)
    few = {name: value for name, value in row.settings(3).items() if name not in row.setting}
    assert (EnvConfig(**few).labelled_cases, EnvConfig(**few).labelled_draw) == (
        row.labelled_cases,
        0 if row.labelled_cases is None else 3,
    )
    runs = {each.trial(tmp_path, tmp_path).run(each.settings(0), 0) for rows in PARTS.values() for each in rows}
    assert len(runs) == sum(map(len, PARTS.values())) and all(len(run.name) < 255 for run in runs)
