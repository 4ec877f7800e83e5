"""A run that was killed at any moment goes on as if it had not been, and no two processes train in one folder."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mecca_agents.runs import RunError
from mecca_agents.training import resume
from tests.support import ROOT
from tests.support.agents import PRESET
from tests.support.runs import assert_same_run, log_of, train_tiny

pytestmark = pytest.mark.slow  # other interpreters


_PREAMBLE = """
import os, signal, sys
import torch
torch.set_num_threads(1)
from tests.support.agents import ENV, PRESET
from mecca_agents.runs import checkpoints
from mecca_agents.training import resume, train
out, scans, updates = sys.argv[1], sys.argv[2], int(sys.argv[3])
def begin():
    preset = PRESET.replace(updates=updates)
    train("tests.support.agents:Tiny", ENV, out, preset=preset, root=scans, checkpoint_every=2, device="cpu")
def die():
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _process(code: str, *arguments: object) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", _PREAMBLE + code, *map(str, arguments)], env=environment, stderr=subprocess.DEVNULL
    )


def test_killed_at_random_moments(tmp_path: Path, scans: Path) -> None:
    updates, draw = 120, random.Random(0)
    preset = PRESET.replace(updates=updates)
    train_tiny(tmp_path / "whole", scans, preset=preset)
    run, reached = tmp_path / "run", 0
    for code in ("begin()", "resume(out)", "resume(out)"):
        process = _process(code, run, scans, updates)
        wanted = reached + draw.randrange(1, 18)
        while process.poll() is None and (not (run / "metrics.csv").exists() or len(log_of(run)) < wanted):
            time.sleep(0.002)
        time.sleep(draw.random() * 0.05)
        assert process.poll() is None, "it ended before it could be killed"
        process.kill()
        assert process.wait() == -signal.SIGKILL
        reached = len(log_of(run))
        assert reached < updates
    resume(run, stream=io.StringIO())
    assert_same_run(run, tmp_path / "whole")


@pytest.mark.parametrize(
    "code",
    [
        # the third checkpoint is being written: its first file is there in part
        """
real, calls = checkpoints.save_file, []
def save_file(tensors, path):
    calls.append(path)
    real(tensors, path)
    if len(calls) == 6:
        os.truncate(path, os.path.getsize(path) // 2)
        die()
checkpoints.save_file = save_file
begin()
""",
        # the old one has left its place, the new one has not taken it
        """
real = os.rename
def rename(source, target):
    real(source, target)
    if str(target).endswith(".last.previous"):
        rename.calls += 1
        if rename.calls == 2:
            die()
rename.calls = 0
os.rename = rename
begin()
""",
        # the new one is in place, the old one half removed
        """
real = checkpoints.shutil.rmtree
def rmtree(folder):
    if str(folder).endswith(".last.previous") and os.path.exists(os.path.join(out, "checkpoints", "best")):
        os.unlink(os.path.join(folder, "model.safetensors"))
        die()
    real(folder)
checkpoints.shutil.rmtree = rmtree
begin()
""",
        # before there is any checkpoint
        """
checkpoints.save_file = lambda tensors, path: die()
begin()
""",
    ],
    ids=["writing", "between the renamings", "removing", "first"],
)
def test_killed_while_a_checkpoint_is_written(tmp_path: Path, scans: Path, code: str) -> None:
    train_tiny(tmp_path / "whole", scans)
    assert _process(code, tmp_path / "run", scans, PRESET.updates).wait() == -signal.SIGKILL
    resume(tmp_path / "run", stream=io.StringIO())
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_only_one_process_trains_in_a_folder(tmp_path: Path, scans: Path) -> None:
    run, updates = tmp_path / "run", 30
    preset = PRESET.replace(updates=updates)
    train_tiny(tmp_path / "whole", scans, preset=preset)
    process = _process(
        """
from tests.support.agents import Tiny
real = Tiny.learn
def learn(self, envs, observation, progress):
    if progress >= 0.5:
        signal.pause()
    return real(self, envs, observation, progress)
Tiny.learn = learn
begin()
""",
        run,
        scans,
        updates,
    )
    try:
        while process.poll() is None and (not (run / "metrics.csv").exists() or len(log_of(run)) < updates // 2):
            time.sleep(0.01)
        process.send_signal(signal.SIGSTOP)  # else its metrics may be there before its curves are
        os.waitpid(process.pid, os.WUNTRACED)
        before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
        for begin in (lambda: resume(run), lambda: train_tiny(run, scans, preset=preset, overwrite=True)):
            with pytest.raises(RunError, match="run: another process is training here"):
                begin()
        assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    resume(run, stream=io.StringIO())
    assert_same_run(run, tmp_path / "whole")
