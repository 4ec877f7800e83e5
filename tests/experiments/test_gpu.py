"""One command for a GPU: what is done stays, what is stopped goes on, and all of it becomes pages."""

from __future__ import annotations

import json
import runpy
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from benchmarks import performance
from experiments.gpu import __main__ as command
from experiments.gpu import junit, pages, parts, training
from experiments.gpu.parts import Part, launch, run_parts
from mecca_agents.presets import PRESETS
from mecca_agents.runtime.stopping import Stopped
from mecca_agents.training import loop

JUNIT = """<testsuites><testsuite><testcase classname="tests.a" name="good" time="0.5"/>
<testcase classname="tests.a" name="left" time="0"><skipped message="no"/></testcase>
<testcase classname="tests.a" name="bad[cuda]" time="1"><failure message="assert 1 == 2&#10;more"/></testcase>
</testsuite></testsuites>"""


def test_what_is_done_is_not_done_again_and_a_failure_keeps_nothing_back(tmp_path: Path) -> None:
    begun: list[str] = []

    def start(command: Sequence[str], seconds: float, log: Path, environment: Mapping[str, str]) -> int | None:
        begun.append(log.stem)
        return {"bad": 2, "slow": None}.get(log.stem, 0)

    (tmp_path / "there").touch()
    names = ("there", "bad", "slow", "good")
    found = run_parts([Part(name, (), tmp_path / name) for name in names], tmp_path, 60, start)
    assert begun == ["bad", "slow", "good"]
    assert found == {"there": "done before", "bad": "failed (exit code 2)", "slow": "stopped", "good": "done"}
    begun.clear()
    assert run_parts([Part("good", (), tmp_path / "no")], tmp_path, 20, start) == {"good": "no time"} and not begun


STUBBORN = """
import pathlib, signal, sys, time
def end(*_):
    pathlib.Path(sys.argv[1]).touch()
    sys.exit(143)
signal.signal(signal.SIGTERM, end)
print("begun", flush=True)
time.sleep(60)
"""


def test_a_part_is_stopped_in_time_and_may_write_down_how_far_it_came(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    assert launch(["-c", STUBBORN, str(tmp_path / "checkpoint")], 5, log, {}) is None
    assert (tmp_path / "checkpoint").exists() and log.read_text() == "begun\n"
    assert launch(["-c", "import os, sys; sys.exit(int(os.environ['CODE']))"], 30, log, {"CODE": "4"}) == 4


def test_junit_files_are_counted_with_their_failures(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(JUNIT)
    found = junit.summary([tmp_path / "a.xml"])
    assert (found["passed"], found["failed"], found["skipped"], found["seconds"]) == (1, 1, 1, 1.5)
    assert found["failures"] == {"tests.a::bad[cuda]": "assert 1 == 2"}
    assert "- `tests.a::bad[cuda]`: assert 1 == 2" in junit.described(found)


def _inside(command: Sequence[str], seconds: float, log: Path, environment: Mapping[str, str]) -> int | None:
    """Run a module in this process, which has loaded everything; pytest leaves what it would have left."""
    assert command[0] == "-m"
    if command[1] == "pytest":
        Path(command[command.index("--junitxml") + 1]).write_text(JUNIT)
        return 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", list(command[1:]))
        try:
            runpy.run_module(command[1], run_name="__main__")
        except SystemExit as end:
            return int(end.code or 0)
    return 0


@pytest.mark.slow  # trainings
@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_all_of_it_runs_on_a_cpu_and_becomes_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    asked = ["--device", "cpu", "--tiny", "--out", str(out), "--commit", "0123456789abcdef", "--methods", "intercnn"]
    assert command.main(asked, _inside) == 1, "a test has failed"
    text = capsys.readouterr().out
    assert "commit 0123456789" in text and "tests.a::bad[cuda]" in text
    assert "### Env step" in text and "### Learner" in text and "### Phantom-tiny" in text
    again: list[str] = []
    assert command.main(asked, lambda command, *_: (again.append(command[1]), 0)[1]) == 1
    assert again == ["experiments.gpu.training"], "which sees itself what is done"

    docs = tmp_path / "docs"
    (docs / "images").mkdir(parents=True)
    for name, marks in {"performance": (*performance.MARKS, *pages.MARKS), "results": pages.MARKS}.items():
        (docs / f"{name}.md").write_text("\n\n".join(("words", *marks, "more words")))
    for module, attribute, value in (
        *((module, "DOCS", docs) for module in (performance, pages)),
        (pages, "KEPT", docs / "gpu"),
        (pages, "PICTURE", docs / "images" / "gpu_training.png"),
        (performance, "FOLDER", docs / "performance"),
        (performance, "DOCUMENT", docs / "performance.md"),
    ):
        monkeypatch.setattr(module, attribute, value)
    assert command.main(["--table", "--out", str(out)]) == 0
    page, results = ((docs / f"{name}.md").read_text() for name in ("performance", "results"))
    assert "commit 0123456789" in page and "1 failed" in page and "### Env step" in page
    assert "| intercnn | 1 |" in results and "gpu_training.png" in results and results.endswith("more words")
    assert (docs / "images" / "gpu_training.png").exists() and not list(docs.rglob("*.safetensors"))
    assert json.loads((docs / "gpu" / "curves.json").read_text())["Phantom-tiny/intercnn-100-seed0"]["dice"]


def _options(*given: str, out: Path, tiny: bool = True) -> Namespace:
    parser = ArgumentParser()
    training.arguments(parser)
    parser.add_argument("--out", type=Path, default=out)
    return parser.parse_args(["--device", "cpu", *["--tiny"] * tiny, *given])


@pytest.mark.slow  # trainings
def test_a_training_that_is_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = _options("--methods", "intercnn", "--updates", "3", out=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "agreed", lambda _: signal.SIGTERM)
        with pytest.raises(Stopped, match="stopped by SIGTERM"):
            training.run(options)
    assert list(tmp_path.rglob("metrics.csv"))[0].read_text().count("\n") == 2, "one update"
    (outcome,) = training.run(options)
    assert outcome.done == ("intercnn-100-seed0",)
    (curve,) = training.curves(tmp_path).values()
    assert curve["update"] == [0, 1, 2]


def test_the_trainings_are_the_papers_grid_in_bfloat16_on_a_gpu(tmp_path: Path) -> None:
    preset = training.PRESET
    assert preset.shape == PRESETS["paper"].shape == (55, 55, 30) and preset.network.channels == 64
    assert preset.network.precision == "bf16" and preset.network.dilations == PRESETS["paper"].network.dilations
    for env in training.SETS:
        (tmp_path / env.folder).mkdir()
    given = ("--updates", "7", "--num-envs", "3", "--data", str(tmp_path))
    plans = list(training.plans(_options(*given, out=tmp_path / "out", tiny=False)))
    assert [plan.env for plan in plans] == ["MECCA-LeftAtrium-v0", "MECCA-Hippocampus-v0"]
    on_cpu = preset.replace(updates=7, num_envs=3, precision="float32")
    assert all(plan.preset == on_cpu for plan in plans)


def test_every_measurement_of_a_gpu_is_a_part_of_its_own(tmp_path: Path) -> None:
    names = {part.name for part in command._measurements(tmp_path, "cuda", tiny=False)}
    assert names == set(performance.PARTS["cuda"])
    assert parts.GRACE > parts.LEAST > 0


def test_without_data_only_a_try_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--device", "cpu", "--out", str(tmp_path)])
    assert "--data: expected the folder" in capsys.readouterr().err
