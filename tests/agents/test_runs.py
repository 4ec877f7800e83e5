"""Run folders: what is written comes back, what is wrong is refused in one sentence, nothing is lost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mecca_agents.agent import TaskSpec, make_agent
from mecca_agents.presets import PRESETS
from mecca_agents.runs import (
    RunConfig,
    RunError,
    check_writable,
    load_agent,
    prepare_folder,
    read_config,
    save_weights,
    write_config,
    write_rows,
)
from mecca_env.atomic import atomically

PRESET = replace(PRESETS["demo"], shape=(10, 9, 8), channels=4)
CONFIG = RunConfig(
    method="iter-mrl",
    env="MECCA-Phantom-v0",
    dataset="phantom",
    root=None,
    label=(1, 2),
    settings={"horizon": 3},
    preset=PRESET,
    modalities=1,
    seed=5,
    train_cases=("a", "b"),
)


def _run(folder: Path) -> dict[str, torch.Tensor]:
    folder.mkdir()
    write_config(folder, CONFIG)
    agent = make_agent("iter-mrl", PRESET, TaskSpec((10, 9, 8), 1, 6), device=torch.device("cpu"), seed=1)
    save_weights(folder, agent.weights())
    return agent.weights()


def test_settings_come_back_as_they_were(tmp_path: Path) -> None:
    write_config(tmp_path, CONFIG)
    assert read_config(tmp_path) == CONFIG


def test_weights_come_back_bit_for_bit(tmp_path: Path) -> None:
    written = _run(tmp_path / "run")
    agent, config = load_agent(tmp_path / "run")
    assert config == CONFIG
    assert all(torch.equal(value, written[key]) for key, value in agent.weights().items())


def test_an_existing_run_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    _run(tmp_path / "run")
    with pytest.raises(RunError, match="exists already"):
        prepare_folder(tmp_path / "run", overwrite=False)
    prepare_folder(tmp_path / "run", overwrite=True)
    assert not any((tmp_path / "run").iterdir())


def test_something_else_than_a_run_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("three years of work")
    with pytest.raises(RunError, match="left as it is"):
        prepare_folder(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "three years of work"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: (run / "config.json").unlink(), "expected a run with a config.json"),
        (lambda run: (run / "config.json").write_text("{"), "expected the settings of a run"),
        (lambda run: (run / "config.json").write_text(json.dumps({"format": 99})), "expected format 1, found 99"),
        (lambda run: (run / "checkpoints/last/model.safetensors").unlink(), "found no file"),
        (lambda run: _truncate(run / "checkpoints/last/model.safetensors"), "expected weights of iter-mrl"),
        (lambda run: save_weights(run, {"foreign": torch.zeros(3)}), "weights do not fit"),
    ],
)
def test_a_damaged_run_is_one_clear_error(tmp_path: Path, damage: object, message: str) -> None:
    _run(tmp_path / "run")
    damage(tmp_path / "run")  # type: ignore[operator]
    with pytest.raises(RunError, match=message) as error:
        load_agent(tmp_path / "run")
    assert str(tmp_path / "run") in str(error.value)


def test_weights_of_another_width_are_refused(tmp_path: Path) -> None:
    _run(tmp_path / "run")
    write_config(tmp_path / "run", replace(CONFIG, preset=replace(PRESET, channels=6)))
    with pytest.raises(RunError, match="weights do not fit"):
        load_agent(tmp_path / "run")


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        atomically(path, fail)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_table_into_a_missing_folder_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nowhere"):
        write_rows(tmp_path / "nowhere" / "table.csv", ["a"], [{"a": 1}])


def test_whether_a_file_can_be_written_is_known_without_touching_it(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("results of last year")
    check_writable(table)
    assert table.read_text() == "results of last year"
    for path in (tmp_path, tmp_path / "nowhere" / "table.csv"):
        with pytest.raises(RunError, match=str(path)):
            check_writable(path)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])
