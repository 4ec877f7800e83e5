"""A learner that learns nothing, and leaves a run all the same: as new weights, or as the earlier ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mecca_agents.online.live import learner
from mecca_agents.online.live.process import Ended
from mecca_agents.online.progress import Progress
from mecca_agents.online.record import publish
from mecca_agents.session import Model, load_model
from tests.support.improving import improving_run

Leave = Callable[..., Path]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One to begin with."""
    return improving_run(tmp_path_factory.mktemp("runs") / "begun")


@pytest.fixture(scope="session")
def better_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other weights."""
    return improving_run(tmp_path_factory.mktemp("runs") / "better", updates=6)


@pytest.fixture
def begun_model(run: Path) -> Model:
    return load_model(run, device="cpu")


@pytest.fixture
def leave(run: Path, better_run: Path) -> Leave:
    """Leaves a run where a learner would."""

    def left(
        out: Path, begun: Path = run, weights: str = "new", why: str = "the new weights count", cases: int = 3
    ) -> Path:
        record = {"weights": weights, "why": why, "run": str(begun.resolve()), "kept_out": []}
        learned = [f"case{number}" for number in range(cases)]
        publish(better_run if weights == "new" else begun, out, {**record, "learned": learned})
        return out

    return left


class Fake:
    """In the place of `LearnerProcess`: it runs until it is told how it ends.

    Attributes:
        made: All of them.
    """

    made: list[Fake] = []

    def __init__(self, command: list[str], niceness: int) -> None:
        self.command, self.progress, self.stopping, self.end = command, Progress(0.25, "learning"), False, None
        self.closed = False
        self.made.append(self)

    @property
    def begun(self) -> Path:
        return Path(self.command[self.command.index("--run") + 1])

    @property
    def out(self) -> Path:
        return Path(self.command[self.command.index("--out") + 1])

    def ended(self) -> Ended | None:
        return Ended(False, "the learning was stopped") if self.stopping else self.end

    def stop(self) -> None:
        self.stopping = True

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> list[Fake]:
    """Learners are of this kind."""
    monkeypatch.setattr(Fake, "made", [])
    monkeypatch.setattr(learner, "LearnerProcess", Fake)
    return Fake.made


def remove(run: Path) -> None:
    """As a person would."""
    shutil.rmtree(run)
