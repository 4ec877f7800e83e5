"""Pages whose blocks are run, in order and in an empty folder, on the phantom with a small network."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mecca_agents import presets
from mecca_agents.cli import main
from mecca_agents.report.comparison import by_method, by_step
from mecca_agents.report.studies import read_studies
from tests.support import ROOT

pytestmark = pytest.mark.slow  # trainings

DOCS = ROOT / "docs"
SMALL = presets.DEMO.replace(shape=(12, 12, 10), channels=4, dilations=(1, 2), num_envs=2, updates=3)
INSTALLATION = ("git clone ", "cd mecca", "pip install -c constraints.txt -e .")
MODULES = ("reinforce", "elsewhere")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to stand in; the presets are small, and nothing stays behind."""
    monkeypatch.setitem(presets.PRESETS, "demo", SMALL)
    monkeypatch.setattr("mecca_agents.evaluation.runner.PHANTOM_CASES", 2)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.setattr(sys, "path", ["", *sys.path])  # as for a program started in that folder
    monkeypatch.chdir(tmp_path)
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield tmp_path
    for name in MODULES:
        sys.modules.pop(name, None)


def _blocks(page: Path) -> list[tuple[str, str]]:
    """Language and text of every block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def _run(page: Path) -> dict[str, int]:
    """Write what is Python into the files that its first lines name, do what is a command; how often each was done."""
    done = {"files": 0, "mecca": 0, "python": 0, "installation": 0}
    for language, text in _blocks(page):
        if language == "python":
            name = re.match(r"# (\w+\.py)\b", text)
            assert name is not None, f"{page.name}: a block that names no file: {text.splitlines()[0]}"
            Path(name[1]).write_text(text, encoding="utf-8")
            done["files"] += 1
            continue
        for line in text.strip().splitlines():
            program, *arguments = shlex.split(line)
            if line.startswith(INSTALLATION):
                done["installation"] += 1
            elif program == "mecca":
                assert main(arguments) == 0, line
                done["mecca"] += 1
            else:
                assert program == "python" and len(arguments) == 1, f"{page.name}: cannot run {line}"
                runpy.run_path(arguments[0], run_name="__main__")
                done["python"] += 1
    return done


def test_bring_your_own_leads_to_rows_of_the_table(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = _run(DOCS / "bring_your_own.md")
    assert done == {"files": 4, "mecca": 6, "python": 2, "installation": 3}
    printed = capsys.readouterr().out
    assert "Dice of random actions: tensor([" in printed
    assert "phantom, 2 cases, reinforce:Reinforce" in printed
    assert "failed" not in printed
    (study,) = read_studies(here / "out")
    rows = by_method(study.cells)
    assert list(rows) == ["random", "iter-mrl", "elsewhere:Elsewhere", "reinforce:Reinforce"]
    # Whether the network of the page's loop learned anything is no matter of the small preset.
    assert by_step(rows["elsewhere:Elsewhere"])[-1] > by_step(rows["random"])[-1] + 0.3
    report = (here / "out" / "report" / "report.md").read_text(encoding="utf-8")
    assert "| reinforce:Reinforce |" in report and "| elsewhere:Elsewhere |" in report


def test_the_class_of_the_page_goes_on_bit_for_bit(here: Path) -> None:
    from tests.support.runs import assert_same_run

    code = next(text for _, text in _blocks(DOCS / "bring_your_own.md") if text.startswith("# reinforce.py"))
    (here / "reinforce.py").write_text(code)
    command = "train reinforce:Reinforce --env MECCA-Phantom-v0 --preset demo --checkpoint-every 1 --device cpu --out"
    assert main([*command.split(), "whole"]) == 0
    with pytest.MonkeyPatch.context() as patch:
        import reinforce

        learn = reinforce.Reinforce.learn

        def broken(self: object, envs: object, observation: object, progress: float) -> object:
            if progress > 0.5:
                raise ConnectionAbortedError
            return learn(self, envs, observation, progress)

        patch.setattr(reinforce.Reinforce, "learn", broken)
        assert main([*command.split(), "run"]) == 2
    assert main(["train", "--resume", "run"]) == 0
    assert_same_run(Path("run"), Path("whole"))


def test_offline_episodes_are_recorded_and_read(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    minari = pytest.importorskip("minari")
    pytest.importorskip("h5py")
    assert _run(DOCS / "offline.md") == {"files": 2, "mecca": 2, "python": 2, "installation": 0}
    names = ["mecca/person-v0", "mecca/phantom-oracle-v0", "mecca/phantom-random-v0"]
    assert list(minari.list_local_datasets()) == names
    assert [minari.load_dataset(name).total_episodes for name in names] == [1, 8, 8]
