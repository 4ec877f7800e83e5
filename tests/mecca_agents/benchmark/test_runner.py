"""The benchmark: cells that resume, fail alone, are never mixed with others' settings and never done twice."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mecca_agents.benchmark import benchmark, run_cell
from mecca_agents.benchmark.cells import ABLATION, Cell, make_cells, shard_of
from mecca_agents.benchmark.plan import Plan, settle
from mecca_agents.benchmark.timing import time_methods
from mecca_agents.cli import main
from mecca_agents.presets import FAST, MECHANISMS
from mecca_agents.runs import read_config
from mecca_agents.runs.errors import RunError
from mecca_agents.runs.locking import locked
from mecca_agents.runtime.stopping import Stopped
from mecca_env.data.base import DataError
from tests.support import ROOT
from tests.support import agents as tiny
from tests.support.agents import write_scans

PRESET = FAST.replace(**MECHANISMS, shape=(12, 12, 10), num_envs=2, updates=3, channels=4, dilations=(1, 2))


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    root = write_scans(tmp_path / "scans", 6)
    return Plan(tmp_path / "out", "MECCA-Spleen-v0", PRESET, "tiny", root=root, device="cpu")


def _files(plan: Plan) -> dict[str, bytes]:
    """Every result but what depends on the clock."""
    found = {}
    for path in sorted((plan.folder / "results").iterdir()):
        if path.suffix == ".csv":
            rows = [{k: v for k, v in row.items() if k != "seconds"} for row in _rows(path)]
            found[path.name] = json.dumps(rows).encode()
    return found


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_cells_have_names_of_their_own() -> None:
    cells = make_cells(["mecca", "iter-mrl", "my_module:Mine"][:2], (0.125, 1.0), range(2), ablation=True)
    assert len({cell.name for cell in cells}) == len(cells) == 2 * 2 * (2 + len(ABLATION))
    assert Cell("mecca", 0.125, 1, "reward-guide").name == "mecca-reward-guide-12.5-seed1"
    assert Cell("my_module:Mine").name == "my_module.Mine-100-seed0"
    assert Cell("mecca", labelled_cases=4).name == "mecca-4cases-seed0"
    assert Cell("mecca", 1.0, 2, "guide", 4).name == "mecca-guide-4cases-seed2"


def test_numbers_of_labelled_cases_stand_beside_fractions() -> None:
    cells = make_cells(["mecca", "pnet"], (0.5, 1.0), range(2), ablation=True, labelled_cases=(1, 4))
    assert len({cell.name for cell in cells}) == len(cells) == 4 * 2 * (2 + len(ABLATION))
    amounts = {(cell.fraction, cell.labelled_cases) for cell in cells}
    assert amounts == {(0.5, None), (1.0, None), (1.0, 1), (1.0, 4)}
    assert {cell.variant for cell in cells if cell.labelled_cases == 4} == {"", *ABLATION}


def test_a_cell_draws_its_labelled_cases_by_its_seed() -> None:
    assert Cell("mecca", seed=2).settings == {} and Cell("mecca").all_labelled
    assert Cell("mecca", 0.5, 2).settings == {"labelled_fraction": 0.5, "labelled_draw": 2}
    assert Cell("mecca", seed=2, labelled_cases=4).settings == {"labelled_cases": 4, "labelled_draw": 2}
    assert not Cell("mecca", 0.5).all_labelled and not Cell("mecca", labelled_cases=4).all_labelled


def test_an_ablation_switches_the_mechanisms_of_table_5() -> None:
    preset = Cell("mecca", variant="guide").preset(PRESET)
    own = preset.mecca
    assert (own.self_adaptive_reward, own.interaction_guide, own.simulated_labels) == (False, True, False)
    assert Cell("mecca").preset(PRESET) == PRESET
    bare = PRESET.replace(**dict.fromkeys(MECHANISMS, False))
    assert Cell("mecca").preset(bare) == PRESET and Cell("iter-mrl").preset(bare) == bare
    assert Cell("mecca", variant="none").preset(PRESET) == bare
    assert Cell("oracle").preset(PRESET).updates == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"methods": ["nobody"]}, "method: expected one of"),
        ({"methods": ["mecca"], "fractions": [0.0]}, "fractions: expected numbers above 0"),
        ({"methods": ["mecca"], "labelled_cases": [0]}, "labelled_cases: expected an integer of at least 1, got 0"),
        ({"methods": []}, "at least one method"),
    ],
)
def test_cells_that_cannot_be(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_cells(**arguments)


def test_shards_divide_the_cells() -> None:
    cells = make_cells(["mecca", "iter-mrl", "pnet"], (0.5, 1.0), range(3))
    parts = [shard_of(cells, f"{i}/5") for i in range(1, 6)]
    assert sorted(cell.name for part in parts for cell in part) == sorted(cell.name for cell in cells)
    for bad in ("0/5", "6/5", "2", "2/", "a/b"):
        with pytest.raises(ValueError, match="shard: expected i/n"):
            shard_of(cells, bad)


def test_a_cell_leaves_its_results_and_is_not_done_again(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    cells = make_cells(["pnet", "iter-mrl"])
    assert benchmark(plan, cells).done == ("pnet-100-seed0", "iter-mrl-100-seed0")
    rows = _rows(plan.result(cells[1], "csv"))
    cases = json.loads((plan.folder / "settings.json").read_text())["test_cases"]
    expected = [("edge", case, step) for case in cases for step in range(1, 8)]
    expected += [("imprecise", case, step) for case in cases for step in range(1, 6)]
    assert [(row["user"], row["case"], int(row["step"])) for row in rows] == expected
    about = json.loads(plan.result(cells[1], "json").read_text())
    cell = {"method": "iter-mrl", "fraction": 1.0, "seed": 0, "variant": "", "labelled_cases": None}
    assert about["cell"] == cell
    assert (about["updates"], about["horizon"]) == (3, 5)
    log = _rows(plan.run(cells[1]) / "metrics.csv")
    for cost in ("optimizer_steps", "labelled_episodes"):
        assert about[cost] == sum(float(row[cost]) for row in log) > 0
    before = plan.result(cells[1], "csv").stat().st_mtime_ns
    outcome = benchmark(plan, cells)
    assert outcome.there == ("pnet-100-seed0", "iter-mrl-100-seed0") and not outcome.done
    assert plan.result(cells[1], "csv").stat().st_mtime_ns == before


def test_the_steps_of_the_training_are_those_of_an_evaluation_that_ends_with_it(plan: Plan) -> None:
    from mecca_agents.evaluation import COLUMNS, evaluate, result_row

    cell = Cell("mecca")
    benchmark(plan, [cell])
    rows = [row for row in _rows(plan.result(cell, "csv")) if row["user"] == "edge" and int(row["step"]) <= 5]
    plain = [result_row(result) for result in evaluate(plan.run(cell), device="cpu")]
    kept = [column for column in COLUMNS if column != "seconds"]
    assert [[row[c] for c in kept] for row in rows] == [[str(row[c]) for c in kept] for row in plain]


def test_fractions_and_numbers_label_a_part_of_the_training_cases(plan: Plan) -> None:
    cells = [Cell("random", 0.5), Cell("random", seed=3, labelled_cases=2)]
    benchmark(plan, cells)
    share, number = (read_config(plan.run(cell)).settings for cell in cells)
    assert share == {"labelled_share": 1.0, "labelled_fraction": 0.5, "labelled_draw": 0}
    assert number == {"labelled_share": 1.0, "labelled_cases": 2, "labelled_draw": 3}
    assert json.loads(plan.result(cells[1], "json").read_text())["cell"]["labelled_cases"] == 2
    assert {(row["seed"], row["user_seed"]) for row in _rows(plan.result(cells[1], "csv"))} == {("3", "0")}


def test_settings_of_its_own_for_each_step_are_tested_for_further_steps(plan: Plan) -> None:
    plan = replace(plan, settings={"horizon": 2, "clicks": (4, 2), "supervoxels": (9, 8)})
    assert benchmark(plan, [Cell("random")]).done == ("random-100-seed0",)
    steps = [(row["user"], int(row["step"])) for row in _rows(plan.result(Cell("random"), "csv"))]
    assert steps == [("edge", step) for step in (1, 2, 3, 4)] + [("imprecise", step) for step in (1, 2)]


@pytest.mark.parametrize("faulty", ["Raising", "Exploding", "Overflowing", "WrongShape", "NotANumber"])
def test_a_cell_that_fails_keeps_its_traceback_and_the_others_go_on(plan: Plan, faulty: str) -> None:
    cells = [Cell(f"tests.support.agents:{faulty}"), Cell("tests.support.agents:Tiny")]
    plan = replace(plan, preset=PRESET.replace(updates=7))
    outcome = benchmark(plan, cells)
    assert outcome.done == ("tests.support.agents.Tiny-100-seed0",) and list(outcome.failed) == [cells[0].name]
    assert "failed: " + cells[0].name in outcome.text()
    about = json.loads(plan.result(cells[1], "json").read_text())
    assert about["optimizer_steps"] is None and about["labelled_episodes"] is None  # it does not count them
    text = plan.failure(cells[0]).read_text()
    assert "Traceback (most recent call last)" in text and "Error" in text
    assert plan.status(cells[0]) == "failed" and not plan.result(cells[0], "json").exists()


def test_a_cell_that_failed_is_tried_again(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = Cell("tests.support.agents:Raising")
    plan = replace(plan, preset=PRESET.replace(updates=7))
    benchmark(plan, [cell])
    monkeypatch.setattr(tiny.Raising, "learn", tiny.Tiny.learn)
    assert benchmark(plan, [cell]).done == (cell.name,)
    assert plan.status(cell) == "done" and not plan.failure(cell).exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"preset": PRESET.replace(gamma=0.5)}, "gamma was 0.95, now 0.5"),
        ({"env": "MECCA-Liver-v0", "name": "Spleen"}, "env was 'MECCA-Spleen-v0', now 'MECCA-Liver-v0'"),
        ({"test_cases": 1}, "test_cases_at_most was None, now 1"),
        ({"settings": {"epsilon": 0.02}}, "epsilon was None, now 0.02"),
    ],
)
def test_a_folder_of_other_settings_is_refused(plan: Plan, change: dict[str, Any], named: str) -> None:
    settle(plan)
    before = (plan.folder / "settings.json").read_bytes()
    with pytest.raises(RunError, match="made with other settings .*choose another --out or --name") as caught:
        benchmark(replace(plan, **change), [Cell("pnet")])
    assert named in str(caught.value)
    assert (plan.folder / "settings.json").read_bytes() == before and not (plan.folder / "runs").exists()


def test_cells_from_before_a_setting_was_there_are_gone_on_with(plan: Plan) -> None:
    settle(plan)
    path = plan.folder / "settings.json"
    found = json.loads(path.read_text())
    del found["preset"]["chunk"]  # None by default, and here
    path.write_text(json.dumps(found))
    settle(plan)
    del found["preset"]["updates"]  # not what it is here
    path.write_text(json.dumps(found))
    with pytest.raises(RunError, match="updates was 20000, now 3"):
        settle(plan)


def test_a_data_set_that_is_missing_is_not_replaced_by_the_phantom(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MECCA_DATA", raising=False)
    with pytest.raises(DataError, match="MECCA_DATA is not set"):
        benchmark(replace(plan, root=None), [Cell("pnet")])


def test_damaged_settings_are_named(plan: Plan) -> None:
    settle(plan)
    for damaged in ("{", "[]", "{}"):
        (plan.folder / "settings.json").write_text(damaged)
        with pytest.raises(RunError, match=r"settings\.json: expected the settings of a benchmark"):
            settle(plan)


def test_a_cell_that_another_process_does_is_left_to_it(plan: Plan) -> None:
    settle(plan)
    cell = Cell("pnet")
    with locked(plan.folder / "locks" / cell.name):
        assert run_cell(plan, cell) is False
        assert benchmark(plan, [cell]).elsewhere == (cell.name,)
    assert run_cell(plan, cell) is True  # the lock of a process that is gone holds nothing


def test_the_phantom_is_not_tested_under_the_name_of_a_data_set(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MECCA_DATA", raising=False)
    plan = replace(plan, env="MECCA-Phantom-v0", root=None, cases=4)
    settle(plan)
    elsewhere = replace(plan, test_env="MECCA-Spleen-v0", name=plan.folder.name)
    with pytest.raises(DataError, match="MECCA_DATA is not set"):
        run_cell(elsewhere, Cell("mean-mask"))


def test_trained_on_one_data_set_and_tested_on_another(plan: Plan, tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "others", 3)
    plan = replace(plan, env="MECCA-Phantom-v0", root=None, cases=4)
    plan = replace(plan, test_env="MECCA-Spleen-v0", test_root=scans, test_split="all")
    benchmark(plan, [Cell("pnet")])
    rows = _rows(plan.result(Cell("pnet"), "csv"))
    assert {row["dataset"] for row in rows} == {"others"} and len({row["case"] for row in rows}) == 3
    assert plan.folder.name == "Spleen"
    assert time_methods(plan, [Cell("pnet")], cases=1).exists()


@pytest.mark.slow
def test_inference_time_is_that_of_the_agent_and_of_the_environment(plan: Plan) -> None:
    cells = make_cells(["pnet", "intercnn", "oracle"])
    with pytest.raises(RunError, match="expected finished cells to time, found none of the 3"):
        time_methods(plan, cells)
    benchmark(plan, cells[:2])
    with pytest.raises(RunError, match="channels was 4, now 3"):
        time_methods(replace(plan, preset=PRESET.replace(channels=3)), cells)
    found = json.loads(time_methods(plan, cells).read_text())
    assert set(found["rows"]) == {"pnet", "intercnn"} and found["grid"] == [12, 12, 10]
    assert found["cases"] == len(json.loads((plan.folder / "settings.json").read_text())["test_cases"]) < 10
    for row in found["rows"].values():
        low, high = row["interquartile_ms"]
        assert 0 < row["agent_ms"] < row["total_ms"] and 0 < row["step_ms"] and low <= row["total_ms"] <= high


COMMAND = (
    *(sys.executable, "-m", "mecca_agents.cli", "benchmark", "--methods", "pnet", "tests.support.agents:Tiny", "mecca"),
    *("--env", "MECCA-Spleen-v0", "--seeds", "1", "--preset", "brief", "--shape", "12", "12", "10", "--num-envs", "2"),
    *("--updates", "40", "--channels", "4", "--dilations", "1", "2", "--device", "cpu", "--threads", "1"),
)


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_results(plan: Plan, tmp_path: Path) -> None:
    """SIGKILL and SIGTERM alike, wherever they come."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}

    def command(out: Path) -> list[str]:
        return [*COMMAND, "--root", str(plan.root), "--out", str(out)]

    unbroken, broken = replace(plan, out=tmp_path / "unbroken"), replace(plan, out=tmp_path / "broken")
    started = time.monotonic()
    subprocess.run(command(unbroken.out), env=env, check=True, capture_output=True)
    whole = time.monotonic() - started
    draw = random.Random(0)
    for number in range(6):
        process = subprocess.Popen(command(broken.out), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(draw.uniform(0.2, 1.0) * whole * 0.6)
        process.send_signal(signal.SIGKILL if number % 2 else signal.SIGTERM)
        process.wait()
    last = subprocess.run(command(broken.out), env=env, capture_output=True, text=True)
    assert last.returncode == 0, last.stderr
    assert len(_files(unbroken)) == 3 and _files(broken) == _files(unbroken)


def test_stopped_in_a_training_it_says_how_to_go_on(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TINY_ONCE", str(tmp_path / "once"))
    monkeypatch.setenv("TINY_SIGNAL", str(int(signal.SIGTERM)))
    plan = replace(plan, preset=PRESET.replace(updates=7))
    cells = [Cell("tests.support.agents:Signalled"), Cell("tests.support.agents:Tiny")]
    with pytest.raises(
        Stopped, match="stopped by SIGTERM in tests.support.agents.Signalled-100-seed0; the same command goes on"
    ):
        benchmark(plan, cells)
    assert [plan.status(cell) for cell in cells] == ["begun", "missing"]
    assert plan.root is not None
    (tmp_path / "moved").mkdir()
    moved = replace(plan, root=plan.root.rename(tmp_path / "moved" / plan.root.name))  # where files lie may change
    assert len(benchmark(moved, cells).done) == 2


def test_the_command_lists_its_cells(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["benchmark", "--env", plan.env, "--root", str(plan.root), "--out", str(plan.out), "--list"]
    benchmark(plan, [Cell("pnet")])
    capsys.readouterr()
    assert main([*arguments, "--methods", "pnet", "mecca", "--seeds", "2", "--fractions", "1", "0.5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8 and lines[0].split() == ["done", "pnet-100-seed0"]
    assert [line.split()[0] for line in lines].count("missing") == 7
    assert main([*arguments, "--methods", "pnet", "--seeds", "1", "--labelled-cases", "1", "4"]) == 0
    names = [line.split()[1] for line in capsys.readouterr().out.splitlines()]
    assert names == ["pnet-1cases-seed0", "pnet-4cases-seed0", "pnet-100-seed0"]
    assert main([*arguments, "--shard", "3/2"]) == 2
    assert "shard: expected i/n" in capsys.readouterr().err


def test_a_failed_cell_is_the_exit_code(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["benchmark", "--env", plan.env, "--root", str(plan.root), "--out", str(plan.out), "--seeds", "1"]
    small = ["--shape", "12", "12", "10", "--updates", "7", "--device", "cpu", "--num-envs", "2"]
    assert main([*arguments, *small, "--methods", "tests.support.agents:Raising", "tests.support.agents:Tiny"]) == 1
    assert "cells: 1 done, 1 failed" in capsys.readouterr().out
