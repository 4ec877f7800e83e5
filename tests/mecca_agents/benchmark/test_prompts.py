"""A benchmark of other prompts than the paper's: its users, its identity, its cells, its report."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mecca_agents.agent import METHODS, find_method
from mecca_agents.benchmark import Cell, Plan, benchmark, settle
from mecca_agents.cli import main
from mecca_agents.presets import FAST
from mecca_agents.report.studies import read_studies
from mecca_agents.runs import read_config
from mecca_agents.runs.errors import RunError
from mecca_env.process.config import EnvConfig
from tests.support.agents import ENV, write_scans

PRESET = FAST.replace(shape=(12, 12, 10), num_envs=2, updates=1, channels=4, dilations=(1, 2), interaction_guide=False)
ONE_CLICK = {"protocol": "one-click"}


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    root = write_scans(tmp_path / "scans", 6)
    return Plan(tmp_path / "out", ENV, PRESET, "tiny", root=root, settings=ONE_CLICK, device="cpu")


@pytest.mark.parametrize(
    ("settings", "horizon", "tests"),
    [
        ({}, 5, {"edge": ("edge", 7), "imprecise": ("imprecise", 5)}),
        ({"signed": True, "hint": "edt"}, 5, {"edge": ("edge", 7), "imprecise": ("imprecise", 5)}),
        (ONE_CLICK, 6, {"largest-error": ("largest-error", 6)}),
        ({**ONE_CLICK, "user": "edge"}, 6, {"edge": ("edge", 8), "imprecise": ("imprecise", 6)}),
        ({"user": "imprecise"}, 5, {"imprecise": ("imprecise", 5)}),
        ({"user": {"edge": 1.0, "none": 1.0}}, 5, {"mixed": ({"edge": 1.0, "none": 1.0}, 5)}),
    ],
    ids=str,
)
def test_its_own_user_is_the_standard_one(
    plan: Plan, settings: dict[str, Any], horizon: int, tests: dict[str, tuple[Any, int]]
) -> None:
    found = replace(plan, settings=settings).tests(horizon)
    assert found == {name: {"user": user, "horizon": steps} for name, (user, steps) in tests.items()}


def test_cells_are_trained_and_tested_with_its_prompts_and_reported(plan: Plan) -> None:
    cells = [Cell("random"), Cell("iter-mrl")]
    assert not benchmark(plan, cells).failed
    for cell in cells:
        config = read_config(plan.run(cell))
        assert config.settings["protocol"] == "one-click" and config.environment["signed"]
        with plan.result(cell, "csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert {(row["user"], row["protocol"]) for row in rows} == {("largest-error", "one-click")}
        assert [(row["step"], row["clicks"]) for row in rows[:6]] == [(str(s + 1), str(s)) for s in range(6)]
    (study,) = read_studies(plan.out)
    assert study.standard == "largest-error" and [cell.horizon for cell in study.cells] == [6] * 2


@pytest.mark.parametrize("method", METHODS)
def test_the_environment_of_every_method_can_have_its_prompts(method: str) -> None:
    """As far as its settings go: numbers for each step are of the protocol's horizon."""
    for settings in ({"protocol": "mixed"}, {"protocol": "cvpr25", "horizon": 4}):
        every = {**find_method(method).env_settings(PRESET, settings), **settings}
        assert EnvConfig(shape=PRESET.shape, **every).horizon == settings.get("horizon", 6)


def test_cells_of_other_prompts_are_refused_in_its_folder(plan: Plan) -> None:
    settings = settle(plan)
    assert settings["settings"] == ONE_CLICK and settings["users"] == ["largest-error"] and settings["horizon"] == 6
    settle(replace(plan, settings=dict(ONE_CLICK)))
    for other in ({}, {**ONE_CLICK, "clicks": ((0, 1), 1, 1, 1, 1, 1)}, {"protocol": "cvpr25"}):
        with pytest.raises(RunError, match="made with other settings"):
            settle(replace(plan, settings=other))
    plain = replace(plan, settings={}, name="plain")
    found = settle(plain)
    assert found["settings"] == {} and found["users"] == ["edge", "imprecise"]  # as in folders of earlier versions


def test_a_cell_whose_guide_nobody_would_follow_is_refused_at_once(plan: Plan) -> None:
    guided = replace(plan, preset=PRESET.replace(interaction_guide=True))
    with pytest.raises(ValueError, match=r"^mecca-100-seed0: mecca: expected a user who follows advice"):
        benchmark(guided, [Cell("random"), Cell("mecca")])
    assert not plan.folder.exists()


def test_the_command_takes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = write_scans(tmp_path / "scans", 6), tmp_path / "out"
    command = f"benchmark --env {ENV} --root {root} --out {out} --methods random --preset fast --shape 12 12 10"
    command += " --seeds 1 --updates 1 --device cpu --protocol first-click --clicks 1 0-2 1 --horizon 3"
    assert main(command.split()) == 0
    settings = json.loads((out / "Spleen" / "settings.json").read_text())
    assert settings["settings"] == {"protocol": "first-click", "clicks": [1, [0, 2], 1], "horizon": 3}
    assert main(command.split()) == 0  # it is the same benchmark
    assert "1 done before" in capsys.readouterr().out
    assert main([*command.split(), "--user", "edge"]) == 2
    assert "user was None, now 'edge'" in capsys.readouterr().err
