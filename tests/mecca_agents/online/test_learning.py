"""A learning leaves a run whose weights are the new ones or, where those are worse, the earlier ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from mecca_agents import RunError, load_agent, train
from mecca_agents.cli import main
from mecca_agents.online import Learning, ProjectError, learn, learning
from mecca_agents.online.project import kept_out, scan_of
from mecca_agents.presets import find_preset
from mecca_agents.runs import read_config
from mecca_agents.runs.locking import locked
from mecca_agents.runs.tally import Tally
from mecca_agents.session import Model, load_model
from tests.mecca_agents.online.conftest import TINY, accept
from tests.support import ROOT
from tests.support.volumes import SHAPE, ellipsoid, write_nifti, write_pairs

Dice = Callable[..., dict[str, float]]


def _learn(project: Path, run: Path, out: Path, **more: Any) -> Learning:
    return learn(project, run, out, **{"updates": 1, "device": "cpu", "stream": StringIO(), **more})


def _same_weights(run: Path, other: Path) -> bool:
    one, two = (load_agent(folder)[0].weights() for folder in (run, other))
    return all(torch.equal(value, two[name]) for name, value in one.items())


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let every run but the first have learned so much, as far as the gate can see; what it asks for is noted."""

    def set_difference(difference: float) -> None:
        def dice_of(run: Path, project: Path, cases: list[str], device: torch.device) -> dict[str, float]:
            return {case: 0.5 + difference * ("work" in run.parts) for case in cases}

        monkeypatch.setattr(learning, "dice_of", dice_of)

    return set_difference


@pytest.mark.parametrize("count", [2, 5])
def test_better_weights_count(
    count: int, begun: Path, model: Model, tmp_path: Path, judged: Callable[[float], None]
) -> None:
    project, out = tmp_path / "project", tmp_path / "out"
    names = accept(model, project, count)
    judged(0.1)
    found = _learn(project, begun, out)
    assert found.verdict.counts and not _same_weights(out, begun)
    assert found.leave_one_out == (count < 4) and list(found.kept_out) == kept_out(names)
    assert set(found.learned) == set(names) - set(found.kept_out)
    assert list(found.verdict.before) == (list(found.kept_out) or sorted(names))
    record = json.loads((out / "learned.json").read_text())
    assert (
        record["weights"] == "new" and record["learned"] == list(found.learned) and record["why"] == found.verdict.why
    )
    config = read_config(out)
    assert config.begun_from == str(begun) and set(config.sources[0]["cases"]) == set(found.learned)
    assert config.preset.learning_rate < read_config(begun).preset.learning_rate
    assert load_model(out, device="cpu").method == "intercnn"
    assert not list((project / "learning" / "work").parent.glob("work")) and not list(tmp_path.glob(".out*"))


def test_worse_weights_do_not_count(
    begun: Path, model: Model, tmp_path: Path, judged: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    project, out = tmp_path / "project", tmp_path / "out"
    accept(model, project, 4)
    judged(-0.1)
    words = ["learn", str(project), "--run", str(begun), "--out", str(out), "--updates", "1", "--device", "cpu"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "the earlier weights stay: -10.0 points of Dice on 2 cases kept out" in printed
    assert f"{out}: a run with the earlier weights" in printed and "50.0   40.0       -10.0" in printed
    assert _same_weights(out, begun) and read_config(out) == read_config(begun)
    record = json.loads((out / "learned.json").read_text())
    assert record["weights"] == "earlier" and record["learned"] == []


@pytest.mark.slow  # trains for some seconds
def test_the_gate_refuses_weights_that_wrong_masks_made_worse(
    begun: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Masks of sparse noise teach that hardly anything is target, in long steps and next to nothing else."""
    real = learning.mixture
    monkeypatch.setattr(learning, "mixture", lambda *given: {**real(*given), "weight": 1e-6})
    project, out = tmp_path / "project", tmp_path / "out"
    names = accept(model, project, 6)
    for number, name in enumerate(sorted({*names} - {*kept_out(names)})):
        noise = np.random.default_rng(number).random(SHAPE) < 0.03
        write_nifti(project / "labels" / f"{name}.nii.gz", noise.astype(np.uint8))
    long = find_preset("online").replace(learning_rate=5e-2)
    worse = _learn(project, begun, out, updates=25, preset=long)
    assert not worse.verdict.counts and worse.verdict.difference < -0.1
    assert _same_weights(out, begun) and worse.learned == ()


def test_what_was_learned_before_is_remembered(
    begun: Path, model: Model, tmp_path: Path, judged: Callable[[float], None]
) -> None:
    project = tmp_path / "project"
    accept(model, project, 5, target="spleen")
    judged(0.1)
    first = _learn(project, begun, tmp_path / "one")
    accept(model, project, 3, target="liver", first=5)
    second = _learn(project, tmp_path / "one", tmp_path / "two")
    new, old = (set(source["cases"]) for source in read_config(tmp_path / "two").sources)
    assert old == set(first.learned) and new and new <= set(second.learned) - old
    assert set(first.kept_out) == set(second.kept_out) and not set(first.kept_out) & set(first.learned)


def test_weights_that_no_case_could_judge_are_not_gone_on_from(
    begun: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two cases, three, four and five; each fold begins from what has learned from none of them."""
    project, judging, difference = tmp_path / "project", list[tuple[str, tuple[str, ...]]](), 0.1

    def dice_of(run: Path, project: Path, cases: list[str], device: torch.device) -> dict[str, float]:
        judging.append((run.name, tuple(cases)))
        if "work" in run.parts:
            config = read_config(run)
            assert config.begun_from == str(begun.resolve()) or run.name == "all"
            assert not {*cases} & {case for source in config.sources for case in source.get("cases") or ()}
        return {case: 0.5 + difference * ("work" in run.parts) for case in cases}

    monkeypatch.setattr(learning, "dice_of", dice_of)
    run, names = begun.resolve(), accept(model, project, 1)
    for count in (2, 3):
        names += accept(model, project, 1, first=count - 1)
        found = _learn(project, run, tmp_path / str(count))
        assert found.leave_one_out and found.base == begun.resolve() and set(found.learned) == set(names)
        assert read_config(found.out).begun_from == str(begun.resolve())
        run = found.out
    names += accept(model, project, 1, first=3)
    difference = -0.1
    worse = _learn(project, run, tmp_path / "worse")
    assert _same_weights(worse.out, run) and worse.base == begun.resolve() and set(worse.learned) == set(names[:3])
    difference = 0.1
    found = _learn(project, worse.out, tmp_path / "4", seed=1)  # other weights than those whose Dice is known
    assert found.base is None and found.kept_out == worse.kept_out == tuple(kept_out(names))
    assert set(found.learned) == set(names) - set(found.kept_out)
    assert json.loads((found.out / "learned.json").read_text())["base"] is None
    accept(model, project, 1, first=4)
    assert read_config(_learn(project, found.out, tmp_path / "5").out).begun_from == str(found.out)
    assert {name for name, _ in judging} == {"begun", "without_0", "without_1", "without_2", "all"}


def test_objects_of_a_scan_are_judged_by_weights_that_have_not_seen_it(
    begun: Path, model: Model, tmp_path: Path, judged: Callable[[float], None]
) -> None:
    project = tmp_path / "project"
    for target in ("liver", "spleen"):
        accept(model, project, 2, target=target)
    judged(0.1)
    real, played = learning.mixture, list[set[str]]()

    def mixture(config: Any, project: Path, cases: Any, *more: Any) -> dict[str, Any]:
        played.append({case.name for case in cases})
        return real(config, project, cases, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "mixture", mixture)
        found = _learn(project, begun, tmp_path / "out")
    assert found.leave_one_out and len(found.verdict.after) == 4
    assert [len({scan_of(name) for name in names}) for names in played] == [1, 1, 2]
    alone = tmp_path / "alone"
    for target in ("liver", "spleen"):
        accept(model, alone, 1, target=target)
    with pytest.raises(ProjectError, match="expected accepted cases of at least 2 scans, .* found 1"):
        _learn(alone, begun, tmp_path / "none")


@pytest.mark.parametrize("count", [2, 4])
def test_both_weights_are_tried_on_the_same_masks(
    count: int, begun: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mask is accepted again while the new weights are tried: Dice is the share of its voxels here."""
    project, replaced = tmp_path / "project", list[str]()
    accept(model, project, count)

    def dice_of(run: Path, project: Path, cases: list[str], device: torch.device) -> dict[str, float]:
        labels = {case: project / "labels" / f"{case}.nii.gz" for case in cases}
        found = {case: float(np.asarray(nibabel.load(path).dataobj).mean()) for case, path in labels.items()}
        if "work" in run.parts and not replaced:
            replaced.append(cases[0])
            write_nifti(labels[cases[0]], ellipsoid(radii=(3, 3, 3)).astype(np.uint8))
        return found

    monkeypatch.setattr(learning, "dice_of", dice_of)
    verdict = _learn(project, begun, tmp_path / "out").verdict
    assert verdict.before == verdict.after and len(set(verdict.before.values())) == 2


def test_cases_that_are_missing_just_now_stay_kept_out(
    begun: Path, model: Model, tmp_path: Path, judged: Callable[[float], None]
) -> None:
    project = tmp_path / "project"
    accept(model, project, 8)
    judged(0.1)
    first = _learn(project, begun, tmp_path / "one")
    for kind in ("images", "labels"):
        (project / kind / f"{first.kept_out[0]}.nii.gz").unlink()
    (project / "logs" / f"{first.kept_out[0]}.json").unlink()
    second = _learn(project, tmp_path / "one", tmp_path / "two")
    assert set(first.kept_out) <= set(second.kept_out) and first.kept_out[0] not in second.verdict.before


@pytest.mark.parametrize("method", ["mecca", "deepigeos"])
def test_other_methods_go_on_as_well(
    method: str, tiny_run: Callable[..., Path], tmp_path: Path, judged: Callable[[float], None]
) -> None:
    """MECCA learned from unlabelled cases, too, of which a project has none; its data set is first data here."""
    run, project = tiny_run(method), write_pairs(tmp_path / "project", "abcd")
    judged(0.1)
    found = _learn(project, run, tmp_path / "out", updates=2)
    config = read_config(tmp_path / "out")
    assert found.verdict.counts and not _same_weights(tmp_path / "out", run)
    assert (config.method, config.root) == (method, read_config(run).root) and not found.note


def test_accepted_masks_are_labels_whatever_share_the_run_had(
    model: Model, tmp_path: Path, judged: Callable[[float], None]
) -> None:
    run, project = tmp_path / "run", tmp_path / "project"
    settings = {"labelled_fraction": 0.5, "protocol": "one-click"}
    train("intercnn", "MECCA-Shapes-v0", run, preset=TINY, settings=settings, device="cpu", stream=StringIO())
    accept(model, project, 4)
    judged(0.1)
    _learn(project, run, tmp_path / "out")
    shares = [read_config(folder).environment["labelled_fraction"] for folder in (run, tmp_path / "out")]
    assert shares == [0.5, 1.0]


class _Clock:
    """Time that passes with updates alone, so much with each."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self.now, self.seconds = 1000.0, seconds

    def monotonic(self) -> float:
        return self.now

    def train(self, *args: Any, on_update: Callable[[Tally], bool], **more: Any) -> Any:
        def count(tally: Tally) -> bool:
            self.now += self.seconds()
            return on_update(tally)

        return train(*args, on_update=count, **more)


@pytest.mark.parametrize(("slower", "updates"), [(1, 3), (2, 2)])
def test_minutes_are_kept_by_a_machine_that_gets_slower_too(
    slower: float,
    updates: int,
    begun: Path,
    model: Model,
    tmp_path: Path,
    judged: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An update takes ten seconds while the pace is found, and as long or twice as long afterwards."""
    accept(model, tmp_path / "project", 4)
    judged(0.1)
    begin_of_it = 1000.0 + 10 * learning._TIMED
    clock = _Clock(lambda: 10.0 * (slower if clock.now >= begin_of_it else 1))
    monkeypatch.setattr(learning, "time", clock)
    monkeypatch.setattr(learning, "train", clock.train)
    found = _learn(tmp_path / "project", begun, tmp_path / "out", updates=None, minutes=(30 + 35) / 60)
    assert found.updates == updates  # the pace takes 30 seconds, an update that begins in time is made
    assert read_config(tmp_path / "out").preset.updates == 3  # as many as would have fitted


def test_no_update_is_lost_at_the_end_of_the_minutes(
    begun: Path, model: Model, tmp_path: Path, judged: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixty updates would fit, and then each takes twenty times as long."""
    accept(model, tmp_path / "project", 4)
    judged(0.1)
    begin_of_it = 1000.0 + 10 * learning._TIMED
    clock = _Clock(lambda: 10.0 * (20 if clock.now >= begin_of_it else 1))
    monkeypatch.setattr(learning, "time", clock)
    monkeypatch.setattr(learning, "train", clock.train)
    found = _learn(tmp_path / "project", begun, tmp_path / "out", updates=None, minutes=(30 + 605) / 60)
    state = json.loads((tmp_path / "out" / "checkpoints" / "last" / "state.json").read_text())
    assert found.updates == 4 == state["updates"] and not _same_weights(tmp_path / "out", begun)


@pytest.mark.parametrize("minutes", [0, -1.0, float("nan")])
def test_there_have_to_be_minutes(minutes: float, begun: Path, model: Model, tmp_path: Path) -> None:
    accept(model, tmp_path / "project", 4)
    with pytest.raises(ValueError, match=f"minutes: expected a number above 0, got {minutes}"):
        _learn(tmp_path / "project", begun, tmp_path / "out", updates=None, minutes=minutes)


def test_what_cannot_be_learned_from_is_refused(begun: Path, model: Model, tmp_path: Path) -> None:
    project, out = tmp_path / "project", tmp_path / "out"
    accept(model, project, 1)
    with pytest.raises(ProjectError, match="expected accepted cases of at least 2 scans, .* to judge by, found 1"):
        _learn(project, begun, out)
    accept(model, project, 1, first=1)
    with pytest.raises(RunError, match="nothing: expected a run with a config.json"):
        _learn(project, tmp_path / "nothing", out)
    with locked(project / "learning"), pytest.raises(RunError, match="learning: another process is training here"):
        _learn(project, begun, out)
    assert not out.exists()
    (out / "x").mkdir(parents=True)
    with pytest.raises(RunError, match="out: exists already"):
        _learn(project, begun, out)
    (tmp_path / "damaged").mkdir()
    for name in ("config.json", "checkpoints"):
        (tmp_path / "damaged" / name).symlink_to(begun / name)
    (tmp_path / "damaged" / "learned.json").write_text("{}")
    with pytest.raises(RunError, match="learned.json: expected what a run has learned from, found something else"):
        _learn(project, tmp_path / "damaged", tmp_path / "b")


def test_a_full_disk_leaves_no_half_of_a_run(
    begun: Path, model: Model, tmp_path: Path, judged: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mecca_agents.online import record

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    accept(model, tmp_path / "project", 4)
    judged(0.1)
    monkeypatch.setattr(record.os, "rename", full)
    monkeypatch.setattr(record, "flush_to_disk", full)
    with pytest.raises(RunError, match="out: cannot be written: No space left on device; the run is as it was"):
        record.publish(begun, tmp_path / "out", {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["project"]


@pytest.mark.slow  # another interpreter
def test_a_learner_that_is_killed_leaves_the_earlier_weights(
    begun: Path, model: Model, tmp_path: Path, judged: Callable[[float], None]
) -> None:
    project, out = tmp_path / "project", tmp_path / "out"
    accept(model, project, 4)
    before = {path: path.read_bytes() for path in begun.rglob("*") if path.is_file()}
    command = [sys.executable, "-m", "mecca_agents.cli", "learn", str(project), "--run", str(begun), "--device", "cpu"]
    process = subprocess.Popen(
        [*command, "--out", str(out)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL
    )
    log = project / "learning" / "work" / "all" / "metrics.csv"
    try:
        while process.poll() is None and not (log.exists() and log.read_text().count("\n") > 2):
            time.sleep(0.02)
        with pytest.raises(RunError, match="another process is training here"):
            _learn(project, begun, out)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    assert {path: path.read_bytes() for path in begun.rglob("*") if path.is_file()} == before
    assert not out.exists() and (project / "learning" / "work").exists()
    judged(0.1)
    assert _learn(project, begun, out).verdict.counts and not (project / "learning" / "work").exists()
