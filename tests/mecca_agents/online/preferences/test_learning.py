"""Learning from choices leaves a run: with new weights where choices or Dice speak for them, else with the earlier."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mecca_agents import RunError, load_agent, train
from mecca_agents.cli import main
from mecca_agents.online import ProjectError
from mecca_agents.online.preferences import ChoiceLearning, foresight, learn_from_choices, learning
from mecca_agents.online.record import cases_of
from mecca_agents.runs import read_config
from mecca_agents.runs.locking import locked
from mecca_agents.runtime.stopping import Stopped
from mecca_agents.session import InteractiveSession, Model
from tests.mecca_agents.online.conftest import TINY
from tests.mecca_agents.online.preferences.conftest import Pair, write_choices
from tests.support.volumes import ellipsoid, write_nifti


def _learn(project: Path, run: Path, out: Path, **more: Any) -> ChoiceLearning:
    return learn_from_choices(project, run, out, **{"updates": 20, "device": "cpu", "stream": StringIO(), **more})


def _same_weights(run: Path, other: Path) -> bool:
    one, two = (load_agent(folder)[0].weights() for folder in (run, other))
    return all(torch.equal(value, two[name]) for name, value in one.items())


def _sizes(run: Path, project: Path) -> float:
    with InteractiveSession(run, device="cpu") as session:
        session.set_image(str(project / "images" / "scan0.nii.gz"))
        session.set_box((5, 5, 3), (19, 17, 13))
        session.add_clicks((12, 11, 8), inside=True)
        session.step()
        return float(session.probability().mean())


def test_who_wants_more_gets_more(
    project: Path, begun: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, out = tmp_path / "project", tmp_path / "out"
    shutil.copytree(project, copy)
    words = ["learn", str(copy), "--run", str(begun), "--out", str(out), "--preferences", "--updates", "20"]
    assert main([*words, "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "choices, 20 updates" in printed and "the new weights count: they lean to what was taken in" in printed
    assert f"{out}: a run with the new weights" in printed and "reward models of other cases foresee" in printed
    assert not _same_weights(out, begun) and _sizes(out, copy) > _sizes(begun, copy)
    record = json.loads((out / "learned.json").read_text())
    assert record["weights"] == "new" and record["choices"] == 40 and len(record["kept_out"]) == 2
    assert cases_of(out) == (frozenset(record["learned"]), frozenset(record["kept_out"]))
    assert set(record["learned"]) == {f"scan{n}" for n in range(6)} - set(record["kept_out"])
    assert read_config(out).begun_from == str(begun) and not list((copy / "learning").glob("work"))
    again = _learn(copy, begun, tmp_path / "again")
    assert again.verdict.counts and _same_weights(out, tmp_path / "again")
    assert again.improvement is not None and again.improvement.gain > 0
    following = _learn(copy, out, tmp_path / "following")  # logs of other weights, and cases that stay kept out
    assert following.kept_out == again.kept_out and set(following.learned) == set(again.learned)


def test_choices_by_chance_change_nothing(begun: Path, model: Model, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)

    def chance(_: Pair) -> int:
        return int(rng.integers(2))

    write_choices(model, tmp_path / "project", 4, 12, chance)
    found = _learn(tmp_path / "project", begun, tmp_path / "out")
    assert not found.verdict.counts and found.improvement is None and found.verdict.leaning is None
    assert found.verdict.why.startswith("the earlier weights stay: reward models of other cases foresee")
    assert _same_weights(begun, tmp_path / "out") and found.learned == ()
    assert json.loads((tmp_path / "out" / "learned.json").read_text())["weights"] == "earlier"


@pytest.mark.parametrize("difference", [0.1, -0.1])
def test_accepted_masks_judge_where_there_are_any(
    difference: float, project: Path, begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, asked = tmp_path / "project", []
    shutil.copytree(project, copy)
    for number in range(6):
        write_nifti(copy / "labels" / f"scan{number}.nii.gz", ellipsoid().astype(np.uint8))

    def dice_of(run: Path, folder: Path, cases: list[str], device: torch.device) -> dict[str, float]:
        asked.append(cases)
        return {case: 0.5 + difference * ("work" in run.parts) for case in cases}

    monkeypatch.setattr(learning, "dice_of", dice_of)
    found = _learn(copy, begun, tmp_path / "out")
    assert found.verdict.dice is not None and found.verdict.counts == (difference > 0)
    assert asked == [list(found.kept_out)] * 2 and len(found.kept_out) == 2
    assert _same_weights(begun, tmp_path / "out") == (difference < 0)
    assert "points of Dice on 2 cases kept out" in found.verdict.why


def test_few_scans_keep_out_choices_in_place_of_cases(begun: Path, model: Model, tmp_path: Path) -> None:
    write_choices(model, tmp_path / "project", 2, 20)
    found = _learn(tmp_path / "project", begun, tmp_path / "out")
    assert found.verdict.leaning is not None and found.verdict.foreseen.total == 40
    assert found.kept_out == () and (found.choices, found.verdict.leaning.total) == (30, 10)


def test_what_cannot_be_learned_from_is_refused(
    project: Path, begun: Path, model: Model, tmp_path: Path, tiny_run: Callable[..., Path]
) -> None:
    few, out = tmp_path / "few", tmp_path / "out"
    write_choices(model, few, 2, 4)
    with pytest.raises(ProjectError, match="expected at least 24 choices to learn from and 8 to judge by, found 6 and"):
        _learn(few, begun, out)
    for name, value in (("minutes", 0.0), ("minutes", float("nan")), ("hold", -1.0)):
        with pytest.raises(ValueError, match=f"{name}: expected a number above 0, got {value}"):
            _learn(project, begun, out, **{name: value})
    walker = tmp_path / "walker"
    settings = {"protocol": "one-click", "horizon": 2}
    train("random-walker", "MECCA-Shapes-v0", walker, preset=TINY, settings=settings, device="cpu", stream=StringIO())
    with pytest.raises(ProjectError, match="preferences: expected a run of a mask predictor or an actor-critic"):
        _learn(project, walker, out)
    with pytest.raises(ProjectError, match="scan0.json: inside: expected None: this run was not trained"):
        _learn(project, tiny_run("iter-mrl"), out)
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)
    with locked(copy / "learning"), pytest.raises(RunError, match="learning: another process is training here"):
        _learn(copy, begun, out)
    out.mkdir()
    with pytest.raises(RunError, match="out: exists already"):
        _learn(copy, begun, out)


def test_time_is_kept_and_a_signal_stops_it(
    project: Path, begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "project"
    shutil.copytree(project, copy)
    times = count(0.0, 0.3)
    monkeypatch.setattr(learning.time, "monotonic", lambda: next(times))
    found = _learn(copy, begun, tmp_path / "out", updates=None, minutes=1.0)
    monkeypatch.undo()
    assert found.improvement is not None and 0 < found.improvement.updates < learning.UPDATES

    def stop(*_: Any, **__: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        (over,) = [value for value in (*_, *__.values()) if callable(value) and not isinstance(value, torch.nn.Module)]
        over()

    monkeypatch.setattr(foresight, "fit_reward", stop)
    with pytest.raises(Stopped, match="learning was stopped by SIGINT; the earlier weights stay"):
        _learn(copy, begun, tmp_path / "stopped")
    assert not (tmp_path / "stopped").exists() and not list((copy / "learning").glob("work"))


def test_choices_have_no_attendant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["learn", str(tmp_path), "--out", str(tmp_path / "out"), "--preferences", "--attended"]
    assert main(words) != 0
    assert "--attended: expected a learning from accepted masks" in capsys.readouterr().err
