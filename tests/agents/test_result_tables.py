"""The tables of docs/results.md: averaged over seeds, paired by case, and honest about what is missing."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmarks.cells import CELLS, HALF, HIPPOCAMPUS, QUARTER, Cell
from benchmarks.tables import BEGIN, END, Done, tables, write_document
from mecca_agents.evaluation import COLUMNS
from mecca_agents.presets import FAST, Preset


def _finish(
    folder: Path, cell: Cell, dice: dict[str, float], preset: Preset = FAST, auroc: float | None = None
) -> None:
    """A cell whose Dice is `dice` at step 5, and a tenth less at each step before."""
    rows = [
        dict.fromkeys(COLUMNS, 0) | {"case": case, "step": step, "dice": value - 0.1 * (5 - step), "assd": 1.5}
        for case, value in dice.items()
        for step in range(1, 6)
    ]
    with (folder / f"{cell.name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    about = {
        "preset": asdict(preset),
        "train_cases": 9,
        "test_cases": len(dice),
        "minutes": 3.0,
        "threads": 1,
        "commit": "0123456789" * 4,
        "auroc": auroc,
        "curve": {"dice": [0.1] * 10},
    }
    (folder / f"{cell.name}.json").write_text(json.dumps(about))


def test_a_line_is_the_mean_over_cases_and_seeds(tmp_path: Path) -> None:
    _finish(tmp_path, HIPPOCAMPUS["mecca", 0], {"a": 0.8, "b": 0.9}, auroc=0.9)
    _finish(tmp_path, HIPPOCAMPUS["mecca", 1], {"b": 0.7, "a": 1.0}, auroc=0.8)
    line = Done(tmp_path).table({"MECCA": [HIPPOCAMPUS["mecca", seed] for seed in range(3)]}).splitlines()[-1]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[:2] == ["MECCA", "2 of 3"]
    assert cells[2:7] == ["45.00", "55.00", "65.00", "75.00", "85.00"]
    assert cells[7] == "[80.00, 90.00]" and cells[8] == "1.500" and cells[10] == "0.850"


def test_differences_are_paired_by_case_on_the_seeds_that_both_have(tmp_path: Path) -> None:
    mecca, plain = ([HIPPOCAMPUS[method, seed] for seed in range(3)] for method in ("mecca", "iter-mrl"))
    _finish(tmp_path, mecca[0], {"a": 0.8, "b": 0.5})
    _finish(tmp_path, mecca[1], {"a": 0.0, "b": 0.0})
    assert Done(tmp_path).difference(mecca, plain) == "not done"
    _finish(tmp_path, plain[0], {"b": 0.4, "a": 0.7})
    assert Done(tmp_path).difference(mecca, plain) == "+10.00 [+10.00, +10.00]"


def test_results_of_different_settings_are_not_put_into_one_table(tmp_path: Path) -> None:
    _finish(tmp_path, QUARTER["none"], {"a": 0.8}, replace(FAST, self_adaptive_reward=False))
    _finish(tmp_path, QUARTER["all"], {"a": 0.8})
    Done(tmp_path)
    _finish(tmp_path, QUARTER["guide"], {"a": 0.8}, replace(FAST, gamma=0.9))
    with pytest.raises(ValueError, match="expected results of one preset, gamma is 0.9"):
        Done(tmp_path)
    _finish(tmp_path, QUARTER["guide"], {"a": 0.8}, replace(FAST, confidence_channels=3))
    with pytest.raises(ValueError, match="confidence_channels is [38] and [38]"):
        Done(tmp_path)


def test_what_a_cell_changes_or_does_not_use_may_differ(tmp_path: Path) -> None:
    _finish(tmp_path, QUARTER["none"], {"a": 0.8}, replace(FAST, confidence_channels=3))
    _finish(tmp_path, HALF, {"a": 0.8}, replace(FAST, num_envs=2))
    _finish(tmp_path, QUARTER["all"], {"a": 0.8})
    assert len(Done(tmp_path).rows) == 3


def test_the_document_keeps_what_stands_around_its_tables(tmp_path: Path) -> None:
    for cell in CELLS:
        _finish(tmp_path, cell, {"a": 0.8, "b": 0.9}, replace(FAST, **cell.changes))
    path = tmp_path / "results.md"
    path.write_text(f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    for _ in range(2):
        write_document(tables(Done(tmp_path)), path)
    text = path.read_text()
    assert text.startswith(f"before\n\n{BEGIN}\n") and text.endswith(f"{END}\n\nafter\n")
    assert "old" not in text and "not done" not in text.lower() and text.count("| simulated labels |") == 1
    assert "2 test cases, 9 training cases" in text and "commit 0123456" in text
