"""Runs on data sets that are drawn: trained and tested by their ids, and never taken for runs on scans."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mecca_agents import PRESETS, evaluate, train
from mecca_agents.cli import main
from mecca_agents.evaluation.runner import evaluation_envs
from mecca_agents.runs import read_config
from mecca_agents.session import load_model
from mecca_env import ENV_IDS
from mecca_env.data.catalog import CATALOG
from mecca_env.data.phantom import PhantomSource
from mecca_env.data.shapes import ShapesSource

SEGMENTS = [{"env": "MECCA-Phantom-v0", "cases": 2}]
IDS = [env_id for env_id, key in ENV_IDS.items() if key not in CATALOG]


@pytest.mark.slow
def test_train_then_evaluate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mecca_agents.evaluation.runner.PHANTOM_CASES", 2)
    run = tmp_path / "run"
    command = f"train random --env MECCA-Shapes-v0 --preset brief --shape 10 9 8 --updates 1 --device cpu --out {run}"
    assert main(command.split()) == 0
    config = read_config(run)
    assert (config.dataset, config.root, config.built_in) == ("shapes", None, ShapesSource)
    assert main(["evaluate", str(run)]) == 0
    assert "shapes, 2 cases, random" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_on_a_stream_is_tested_on_its_segments(tmp_path: Path) -> None:
    preset = PRESETS["brief"].replace(shape=(10, 9, 8), updates=1)
    train("random", "MECCA-Stream-v0", tmp_path / "run", preset=preset, sources=SEGMENTS, device="cpu")
    config = read_config(tmp_path / "run")
    assert (config.dataset, config.root, config.stood_in) == ("stream-phantom", None, False)
    tested = {result.case for result in evaluate(tmp_path / "run")}
    assert tested == {"phantom_0000000001-segment0", "phantom_0000000003-segment0"}
    drawn = evaluation_envs(config, env="MECCA-Phantom-v0", cases=1)
    assert drawn.dataset.name == "phantom"


def test_a_model_says_on_what_it_was_trained() -> None:
    model = load_model("phantom", device="cpu")
    runs = {
        "phantom": (PhantomSource, True, "the built-in phantom: no real scan, not for clinical use (MECCA-Phantom-v0"),
        "shapes": (ShapesSource, False, "the built-in random shapes: no real scan, not for clinical use (MECCA-P"),
        "Task09_Spleen": (None, False, "Task09_Spleen (MECCA-Phantom-v0"),
    }
    for dataset, (source, stood_in, words) in runs.items():
        run = replace(model.run, dataset=dataset)
        assert (run.built_in, run.stood_in) == (source, stood_in)
        assert replace(model, run=run).trained_on.startswith(words)
        assert replace(run, root=f"/data/{dataset}").built_in is None


@pytest.mark.parametrize("env_id", IDS)
def test_there_are_no_files_to_check(env_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", "--env", env_id]) == 2
    said = capsys.readouterr().err
    assert "env: expected one that reads files, MECCA-BraTS-v0" in said and f"got '{env_id}'" in said
    assert all(other not in said.partition(", got")[0] for other in IDS)
