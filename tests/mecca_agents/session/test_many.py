"""Sessions opened and closed leave nothing behind."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from mecca_agents.session import InteractiveSession, load_model
from tests.support import ROOT
from tests.support.volumes import ellipsoid, intensities, write_nifti

pytestmark = pytest.mark.slow  # fifty sessions

Runs = Callable[..., Path]
SESSIONS = 50


def play(session: InteractiveSession, scan: Path, folder: Path) -> None:
    """A short session with everything in it."""
    session.set_image(scan)
    session.set_box((6, 6, 4), (18, 16, 12))
    for step in range(3):
        session.add_clicks([(7 + step, 11, 8), (12, 7 + step, 8)])
        session.step()
        session.advice(), session.overlay("confidence", 2, 8)
    session.undo()
    session.save(folder / "mask.nii.gz")
    session.save_log(folder / "log.json")


def test_fifty_sessions_leave_memory_and_files_where_they_were(tiny_run: Runs, tmp_path: Path) -> None:
    model = load_model(tiny_run("mecca"), device="cpu")
    scan = write_nifti(tmp_path / "scan.nii.gz", intensities(ellipsoid()))
    closed, moments = [], []

    def one() -> None:
        with InteractiveSession(model) as session:
            play(session, scan, tmp_path)
            moments.append(weakref.ref(session._moment))
        closed.append(session)  # as a page may that forgets to let go

    tracemalloc.start()
    try:
        for _ in range(3):  # what is made once and kept
            one()
        closed.clear()
        gc.collect()
        before, files, threads = tracemalloc.get_traced_memory()[0], _open_files(), threading.active_count()
        for _ in range(SESSIONS):
            one()
        gc.collect()
        assert all(moment() is None for moment in moments)
        closed.clear()
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert _open_files() == files and threading.active_count() == threads
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.json", "mask.nii.gz", "scan.nii.gz"]
    assert after - before < SESSIONS * 5000, f"{after - before} bytes more"  # a scan alone has 17,000


def _open_files() -> int:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("this system does not list open files")
    return len(os.listdir("/proc/self/fd"))


RESIDENT = """
import sys
from pathlib import Path
from mecca_agents.session import InteractiveSession, load_model
from tests.mecca_agents.session.test_many import play
import torch
torch.set_num_threads(1)
model, scan = load_model({run!r}, device="cpu"), Path({scan!r})

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

for number in range(60):
    if number == 10:
        before = resident()
    with InteractiveSession(model) as session:
        play(session, scan, scan.parent)
print((resident() - before) / 2**20)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="this system does not tell a process's memory")
def test_the_process_does_not_grow(tiny_run: Runs, tmp_path: Path) -> None:
    scan = write_nifti(tmp_path / "scan.nii.gz", intensities(ellipsoid()))
    code = RESIDENT.format(run=str(tiny_run("mecca")), scan=str(scan))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 20, "MiB more after 50 sessions"
