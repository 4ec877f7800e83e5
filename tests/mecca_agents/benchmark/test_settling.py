"""What cannot be trained or tested is refused before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mecca_agents.benchmark import Cell, Plan, benchmark, settle
from mecca_agents.presets import FAST, MECHANISMS
from mecca_agents.runs.errors import RunError
from mecca_env.data.base import DataError
from tests.support.agents import write_scans

PRESET = FAST.replace(**MECHANISMS, shape=(12, 12, 10), num_envs=2, updates=1, channels=4, dilations=(1, 2))


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setattr("mecca_agents.benchmark.runner.train", lambda *_, **__: pytest.fail("a training was begun"))
    root = write_scans(tmp_path / "scans", 6)
    return Plan(tmp_path / "out", "MECCA-Spleen-v0", PRESET, "tiny", root=root, device="cpu")


@pytest.mark.parametrize(
    ("cell", "settings", "message"),
    [
        (Cell("random"), {"guide": True, "user": "nobody"}, "user: expected"),
        (Cell("random"), {"horizon": 2, "clicks": (4, 3, 2)}, "clicks: expected one number for each of the 2 steps"),
        (Cell("mecca", labelled_cases=9), {}, "labelled_cases: expected at most the 5 cases that there are, found 9"),
        (Cell("mecca", 0.99), {}, "^mecca-99-seed0: labelled_share=0.5, .* to be unlabelled"),
        (Cell("mecca", 0.5), {"labelled_cases": 2}, "^mecca-50-seed0: labelled_cases, labelled_fraction: expected one"),
        (Cell("mecca", labelled_cases=2), {"labelled_share": 1.5}, "labelled_share: expected"),
    ],
)
def test_a_cell_that_cannot_be_is_refused_at_once(
    plan: Plan, cell: Cell, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        benchmark(replace(plan, settings=settings), [Cell("pnet"), cell])
    assert not plan.folder.exists()


def test_what_cannot_be_tested_is_refused_at_once(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a training is made, those of its tests are not."""
    monkeypatch.setattr(Plan, "tests", lambda self, horizon: {"shaky": {"user": "shaky", "horizon": horizon}})
    with pytest.raises(ValueError, match=r"^pnet-100-seed0: user: expected .*got 'shaky'"):
        benchmark(plan, [Cell("pnet")])


def test_every_environment_is_made_once(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    from mecca_agents.benchmark import plan as module

    made: list[tuple[str, Any]] = []
    make, evaluation = module.make_envs, module.evaluation_envs

    def noted(*arguments: Any, **keywords: Any) -> Any:
        made.append(("training", {key: keywords[key] for key in keywords if key.startswith("labelled")}))
        return make(*arguments, **keywords)

    def noted_test(*arguments: Any, **keywords: Any) -> Any:
        made.append(("test", keywords["settings"]))
        return evaluation(*arguments, **keywords)

    monkeypatch.setattr(module, "make_envs", noted)
    monkeypatch.setattr(module, "evaluation_envs", noted_test)
    settle(plan, [Cell("iter-mrl", seed=s, labelled_cases=n) for s in range(3) for n in (None, 1, 2)])
    assert [settings for kind, settings in made if kind == "test"] == [
        {"user": "edge", "horizon": 7},
        {"user": "imprecise", "horizon": 5},
    ]
    assert [settings.get("labelled_cases") for kind, settings in made[2:] if kind == "training"] == [None, 1, 2]


def test_tests_of_other_modalities_are_refused_at_once(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    from mecca_agents.benchmark import plan as module

    evaluation = module.evaluation_envs
    monkeypatch.setattr(
        module, "evaluation_envs", lambda config, **keywords: evaluation(replace(config, modalities=2), **keywords)
    )
    with pytest.raises(RunError, match="expected volumes of 2 modalities, as in training, found 1"):
        benchmark(plan, [Cell("pnet")])


def test_more_labelled_cases_than_there_are_is_the_data_sets_fault(plan: Plan) -> None:
    with pytest.raises(DataError):
        settle(plan, [Cell("pnet", labelled_cases=9)])
