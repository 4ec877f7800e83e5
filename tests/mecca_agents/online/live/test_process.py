"""A learner in a process of its own: what is heard of it, how it ends, and that it never outlives who began it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mecca_agents.online.live import process
from mecca_agents.online.live.process import Ended, LearnerProcess, learn_command
from mecca_agents.online.progress import Progress
from tests.support import ROOT


def _run(program: str) -> LearnerProcess:
    return LearnerProcess([sys.executable, "-c", program])


def _until(condition: Callable[[], object]) -> None:
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come to that")


def _end(learner: LearnerProcess) -> Ended:
    _until(learner.ended)
    ended = learner.ended()
    assert ended is not None
    return ended


def test_progress_is_heard_among_other_lines() -> None:
    lines = "print('other'); print('{\"share\": 0.5, \"doing\": \"learning\"}', flush=True); print('table')"
    learner = _run(lines)
    assert learner.progress == Progress(0.0, "the learner starts")
    assert _end(learner) == Ended(True)
    assert learner.progress == Progress(0.5, "learning")


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import sys; sys.exit('update 1/2\\nmecca: a: expected b\\nc: expected d')", "a: expected b (and 1 more)"),
        (
            "import sys; sys.exit('mecca: p: 2 faults:\\n  a\\n  b\\nCorrect them')",
            "the learner ended: p: 2 faults: a (and 1 more)",
        ),
        ("import sys; print('mecca: no room', file=sys.stderr); sys.exit(2)", "the learner ended: no room"),
        ("raise RuntimeError('x')", "the learner ended: RuntimeError: x"),
        ("import sys; sys.exit(3)", "the learner ended with exit code 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "the learner was killed (SIGKILL)"),
    ],
)
def test_why_it_ended_in_one_sentence(program: str, words: str) -> None:
    ended = _end(_run(program))
    assert not ended.well and words in ended.words and "\n" not in ended.words


def test_a_learner_of_low_priority_is_stopped() -> None:
    learner = _run("import time; time.sleep(600)")
    assert os.getpriority(os.PRIO_PROCESS, learner.pid) == 19
    assert learner.ended() is None and not learner.stopping
    learner.stop()
    assert learner.stopping and _end(learner) == Ended(False, "the learning was stopped")


def test_one_that_does_not_stop_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        'print(\'{"share": 1, "doing": "on"}\', flush=True); time.sleep(600)'
    )
    monkeypatch.setattr(process, "PATIENCE", 0.1)
    monkeypatch.setattr(process, "_HURRY", 0.1)
    learner, other = _run(stubborn), _run(stubborn)
    _until(lambda: learner.progress.doing == other.progress.doing == "on")
    learner.stop()
    assert not _end(learner).well
    other.close()
    assert other.ended() is not None


def test_a_learner_that_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        LearnerProcess([str(tmp_path / "none")])


def test_the_command() -> None:
    words = learn_command(Path("p"), Path("r"), Path("o"), device="cpu", minutes=0.5, updates=None)
    assert words[1:] == "-m mecca_agents.cli learn p --run r --out o --device cpu --minutes 0.5 --attended".split()
    assert "--updates" in learn_command(Path("p"), Path("r"), Path("o"), device="cpu", minutes=0.5, updates=3)


_ATTENDED = """
import sys, time
sys.path.insert(0, sys.argv[1])
from mecca_agents.online.live.attended import attend
from mecca_agents.online.progress import Progress
tell = attend()
for number in range(1000):
    tell(Progress(number / 1000, "learning"))
tell(Progress(1.0, "done"))
time.sleep(600)
"""


@pytest.mark.slow  # another interpreter with torch
def test_an_attended_learner_ends_with_its_server() -> None:
    """A process between this one and the learner is killed, so that nobody can tell the learner to end."""
    program = f"import subprocess, sys; p = subprocess.Popen({[sys.executable, '-c', _ATTENDED, str(ROOT)]!r}, "
    program += "stdin=subprocess.PIPE); print(p.pid, flush=True); p.wait()"
    between = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert between.stdout is not None
    pid = int(between.stdout.readline())
    lines = [between.stdout.readline()]
    while "done" not in lines[-1]:
        lines.append(between.stdout.readline())
    assert 1 < len(lines) < 100  # of a thousand
    os.kill(between.pid, signal.SIGKILL)
    between.wait()
    ended, _, _ = select.select([between.stdout], [], [], 60)  # the learner has its other end as long as it lives
    if not ended:
        os.kill(pid, signal.SIGKILL)
    assert ended and between.stdout.read() == ""
