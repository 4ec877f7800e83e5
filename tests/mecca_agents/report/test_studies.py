"""Reading what a benchmark left: what counts as finished, and which damage is found and named."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mecca_agents.evaluation.layout import Labelled
from mecca_agents.evaluation.results import SINCE
from mecca_agents.report.comparison import reached
from mecca_agents.report.document import write_report
from mecca_agents.report.studies import read_studies
from mecca_agents.runs.errors import RunError
from tests.support.benchmark_folder import CLICKS, constant, read_cells, timing, write_cell, write_csv, write_study

DICE = {"b": [0.5, 0.6, 0.7, 0.8, 0.9], "a": [0.1, 0.2, 0.3, 0.4, 0.5]}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_cell_is_what_its_files_say(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    other = constant(a=0.1, b=0.2)
    write_cell(study, "my_module:MyAgent", DICE, seed=2, fraction=0.125, variant="all", imprecise=other)
    (cell,) = read_cells(tmp_path)
    assert (cell.method, cell.seed, cell.labelled, cell.variant) == ("my_module:MyAgent", 2, Labelled(0.125), "all")
    assert cell.name == "my_module.MyAgent-all-12.5-seed2"
    assert (cell.minutes, cell.updates, cell.threads, cell.commit) == (4.2, 150, 1, "0123456789" * 4)
    assert (cell.optimizer_steps, cell.labelled_episodes) == (600, 300)
    assert {(row.seed, row.user_seed) for rows in cell.rows.values() for row in rows} == {(2, 0)}
    assert cell.cases == ("a", "b") and cell.horizon == 5
    np.testing.assert_array_equal(cell.grid("dice"), [DICE["a"], DICE["b"]])
    np.testing.assert_array_equal(cell.grid("dice", "imprecise"), [[0.1] * 5, [0.2] * 5])


def test_a_number_of_labelled_cases_may_take_the_place_of_a_share(tmp_path: Path) -> None:
    path = write_cell(write_study(tmp_path), "mecca", DICE, labelled_cases=4)
    (cell,) = read_cells(tmp_path)
    assert cell.labelled == Labelled(cases=4) and cell.name == "mecca-4cases-seed0"
    about = json.loads(path.with_suffix(".json").read_text())
    del about["cell"]["labelled_cases"]
    path.with_suffix(".json").write_text(json.dumps(about))
    assert read_cells(tmp_path)[0].labelled == Labelled()


def test_only_what_is_finished_counts(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    write_cell(study, "mecca", DICE)
    write_cell(study, "iter-mrl", DICE).with_suffix(".json").unlink()
    (study / "results" / ".7.abc.mecca-100-seed1.json").write_text("{")  # being written
    (study / "failed").mkdir()
    (study / "failed" / "mecca-100-seed0.txt").write_text("failed at first\n")
    (study / "failed" / "mecca-100-seed9.txt").write_text("Traceback ...\n  line\nValueError: no\n\n")
    write_study(tmp_path, "Empty")
    (tmp_path / "report").mkdir()
    (found,) = read_studies(tmp_path)
    assert [cell.name for cell in found.cells] == ["mecca-100-seed0"]
    assert found.failed == {"mecca-100-seed9": "ValueError: no"} and found.train_cases == 16


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nowhere: expected the folder of a benchmark, found none"):
        read_studies(tmp_path / "nowhere")
    with pytest.raises(RunError, match="expected results of a benchmark, .* found none$"):
        read_studies(tmp_path)
    study = write_study(tmp_path)
    (study / "failed").mkdir()
    (study / "failed" / "mecca-100-seed0.txt").write_text("")
    with pytest.raises(RunError, match=r"found none \(1 failed\)"):
        read_studies(tmp_path)
    (study / "timing.json").write_text(json.dumps(timing(mecca=10.0)))
    assert read_studies(tmp_path)[0].failed == {"mecca-100-seed0": "no reason given"}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("", r"seed0.json: expected JSON"),
        ("[1]", r"seed0.json: expected an object, found \[1\]"),
        ({"minutes": "4"}, "seed0.json: expected minutes to be a number, found '4'"),
        ({"updates": True}, "seed0.json: expected updates to be an integer, found True"),
        ({"optimizer_steps": 1.5}, "seed0.json: expected optimizer_steps to be an integer, found 1.5"),
        ({"labelled_episodes": "many"}, "seed0.json: expected labelled_episodes to be an integer, found 'many'"),
        ({"cell": None}, "seed0.json: expected cell to be an object, found None"),
        (
            {"cell": {"method": "mecca", "fraction": 25, "seed": 0, "variant": ""}},
            "seed0.json: labelled: expected a fraction above 0 and at most 1, .* got 25.0 and None",
        ),
        (
            {"cell": {"method": "mecca", "fraction": 1, "seed": 0, "variant": "", "labelled_cases": 0.5}},
            "expected labelled_cases to be an integer, found 0.5",
        ),
        (
            {"cell": {"method": "mecca", "fraction": 1, "seed": 0.5, "variant": ""}},
            "expected seed to be an integer, found 0.5",
        ),
    ],
)
def test_a_damaged_json_is_named(tmp_path: Path, damage: str | dict[str, object], message: str) -> None:
    path = write_cell(write_study(tmp_path), "mecca", DICE).with_suffix(".json")
    path.write_text(damage if isinstance(damage, str) else json.dumps(json.loads(path.read_text()) | damage))
    with pytest.raises(RunError, match=message):
        read_cells(tmp_path)


def test_damaged_settings_and_timings_are_named(tmp_path: Path) -> None:
    study = write_study(tmp_path, format=1)
    write_cell(study, "mecca", DICE)
    with pytest.raises(RunError, match="Spleen/settings.json: expected format 2, found 1: an older version made"):
        read_cells(tmp_path)
    write_study(tmp_path, preset=3)
    with pytest.raises(RunError, match="settings.json: expected preset to be an object, found 3"):
        read_cells(tmp_path)
    write_study(tmp_path)
    broken = timing(mecca=10.0)
    broken["rows"]["mecca"]["interquartile_ms"] = [1]
    (study / "timing.json").write_text(json.dumps(broken))
    with pytest.raises(RunError, match=r"timing.json: expected interquartile_ms to be two numbers, found \[1\]"):
        read_cells(tmp_path)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("dice", "nan", "case 'b', step 3: expected dice from 0 to 1, found nan"),
        ("dice", "1.2", "case 'b', step 3: expected dice from 0 to 1, found 1.2"),
        ("assd", "far", "case 'b', step 3: expected assd to be a number, found 'far'"),
        ("clicks", "2.5", "case 'b', step 3: expected clicks to be an integer, found '2.5'"),
        ("clicks", "2", r"case 'b': expected clicks that add up over the steps, found \[25, 30, 2, 40, 45\]"),
        ("step", "2", "case 'b', step 2: expected one row, found two"),
        ("case", "c", "expected every case once at each of the steps 1 to 5, found none of case 'b' at step 3"),
        ("user", "other", "expected every case once at each of the steps 1 to 5, found none of case 'b' at step 3"),
    ],
)
def test_a_damaged_row_is_named(tmp_path: Path, column: str, value: str, message: str) -> None:
    path = write_cell(write_study(tmp_path), "mecca", DICE)
    rows = _rows(path)
    rows[2][column] = value  # of b, which was written first
    write_csv(path, rows)
    with pytest.raises(RunError, match=message) as error:
        read_cells(tmp_path)
    assert str(path) in str(error.value)


def test_a_damaged_csv_is_named(tmp_path: Path) -> None:
    path = write_cell(write_study(tmp_path), "mecca", DICE)
    whole = path.read_bytes()
    for damaged, message in (
        (whole[:-38], "case 'a', step 5: expected assd to be a number, found ''"),
        (whole.replace(b"assd", b"distance"), "found no assd"),
        (b"", "expected the columns user, method"),
        (b"\xff\xfe" + whole, "expected the results of a cell"),
        (whole.splitlines(keepends=True)[0], "expected rows of the user 'edge', found no rows"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(RunError, match=message) as error:
            read_cells(tmp_path)
        assert str(path) in str(error.value)
    path.unlink()
    with pytest.raises(RunError, match="mecca-100-seed0.csv: cannot be read: No such file"):
        read_cells(tmp_path)


def test_cells_that_cannot_be_compared_are_named(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    write_cell(study, "iter-mrl", DICE)
    other = write_cell(study, "mecca", {"a": DICE["a"], "c": DICE["b"]})
    with pytest.raises(RunError, match="mecca-100-seed0.csv: expected the 2 cases of iter-mrl-100-seed0.* has b, c"):
        read_cells(tmp_path)
    write_cell(study, "mecca", {case: dice[:3] for case, dice in DICE.items()})
    with pytest.raises(RunError, match="seed0.csv: user 'edge': expected a horizon of 5 in 5 .* one of 3 in 3"):
        read_cells(tmp_path)
    write_cell(study, "mecca", DICE, imprecise={case: dice[:2] for case, dice in DICE.items()})
    with pytest.raises(RunError, match="mecca-100-seed0.csv: user 'imprecise': expected a horizon of 5 in 2 steps"):
        read_cells(tmp_path)
    write_cell(study, "mecca", DICE, dataset="phantom")
    with pytest.raises(RunError, match="expected the data set of iter-mrl-100-seed0, Task_Spleen, found phantom"):
        read_cells(tmp_path)
    write_cell(study, "mecca", DICE)
    for suffix in (".csv", ".json"):
        (study / "results" / f"twice{suffix}").write_bytes(other.with_suffix(suffix).read_bytes())
    with pytest.raises(RunError, match="twice.csv: expected each training once, found it in mecca-100-seed0.csv"):
        read_cells(tmp_path)


def test_steps_after_the_horizon_are_there_for_who_asks_for_them(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    dice = {case: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7] for case in ("a", "b")}
    imprecise = {case: values[:5] for case, values in dice.items()}
    write_cell(study, "mecca", dice, clicks=(*CLICKS, 50, 55), imprecise=imprecise)
    (cell,) = read_cells(tmp_path)
    assert cell.horizon == 5
    assert cell.grid("dice").shape == cell.grid("dice", "imprecise").shape == (2, 5)
    assert cell.grid("dice", further=True).shape == (2, 7)
    assert cell.grid("dice")[0, -1] == 0.5 and cell.grid("clicks", further=True)[0, -1] == 55


def test_training_cases_may_be_endless(tmp_path: Path) -> None:
    study = write_study(tmp_path, train_cases=None)
    write_cell(study, "mecca", DICE)
    assert read_studies(tmp_path)[0].train_cases == 0


def test_results_without_the_columns_that_came_later_are_read(tmp_path: Path) -> None:
    path = write_cell(write_study(tmp_path), "mecca", DICE, obedience=0.25, protocol="cvpr25")
    (cell,) = read_cells(tmp_path)
    assert {(row.protocol, row.obedience) for row in cell.rows["edge"]} == {("cvpr25", 0.25)}
    np.testing.assert_array_equal(cell.grid("dice_scan"), cell.grid("dice"))
    rows = [{key: value for key, value in row.items() if key not in SINCE} for row in _rows(path)]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (cell,) = read_cells(tmp_path)
    assert {row.protocol for row in cell.rows["edge"]} == {"paper"} and np.isnan(cell.grid("obedience")).all()
    np.testing.assert_array_equal(cell.grid("dice"), [DICE["a"], DICE["b"]])
    write_csv(path, [row | dict.fromkeys(SINCE, "") for row in rows])
    with pytest.raises(RunError, match="case 'b', step 1: expected obedience to be a number, found ''"):
        read_cells(tmp_path)


def test_the_standard_user_is_the_first_of_the_benchmarks_own(tmp_path: Path) -> None:
    path = write_cell(write_study(tmp_path, users=["largest-error"]), "mecca", DICE)
    with pytest.raises(RunError, match=r"expected rows of the user 'largest-error', found \['edge'\]"):
        read_cells(tmp_path)
    write_csv(path, [row | {"user": "largest-error"} for row in _rows(path)])
    (study,) = read_studies(tmp_path)
    assert study.standard == "largest-error" and study.others == []
    (cell,) = study.cells
    assert cell.cases == ("a", "b") and cell.grid("dice").shape == (2, 5)
    np.testing.assert_array_equal(reached([cell]), [[50.0, 90.0]])
    written = write_report([study], tmp_path / "report")
    assert "Table 1" in written.read_text() and "Table S2" not in written.read_text()
