"""Learning from a project while people work: one learner at a time, whose weights count for the next scan."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

from mecca_agents.online.effort import Effort, Efforts, MeanEffort, means_by_weights
from mecca_agents.online.enough import ChoiceCount, count_choices
from mecca_agents.online.learning import FEWEST
from mecca_agents.online.live.process import LOWEST, LearnerProcess, learn_command
from mecca_agents.online.live.stack import LearnedRun, WeightStack
from mecca_agents.online.project import ProjectError, scan_of
from mecca_agents.runs.errors import RunError
from mecca_agents.session import InteractiveSession, Model, SessionError
from mecca_agents.session.accepting import LABELS, LOGS
from mecca_agents.tables import plural
from mecca_env.data.formats.names import check_utf8
from mecca_env.data.inventory import stem, visible_files

_SECONDS = 0.5  # between two looks at the learner and at the project

_logger = logging.getLogger("mecca_agents")


@dataclass(frozen=True)
class LearnSettings:
    """How is learned.

    Attributes:
        project: Folder that accepted masks go into; made with the first of them.
        minutes: What each learning may take.
        updates: So many updates, in place of minutes.
        niceness: Of the learner, from 0, the usual priority, to 19.

    Raises:
        ValueError: Minutes or updates are out of range.
    """

    project: Path
    minutes: float = 1.0
    updates: int | None = None
    niceness: int = LOWEST

    def __post_init__(self) -> None:
        if not 0 < self.minutes < float("inf"):
            raise ValueError(f"minutes of a learning: expected a number above 0, got {self.minutes!r}")
        if self.updates is not None and self.updates < 1:
            raise ValueError(f"updates of a learning: expected at least 1, got {self.updates!r}")


@dataclass(frozen=True)
class Status:
    """Where the learning stands, for people.

    Attributes:
        on: Whether accepted masks are learned from.
        learning: Whether a learner runs.
        share: How far it is, from 0 to 1.
        doing: What it does, or what is waited for.
        at_work: What the weights are called that the next scan gets.
        can_go_back: Whether there are earlier ones.
        verdict: Of the last learning, one sentence; empty before the first.
        fault: What went wrong, one sentence; empty where all is well.
        news: Grows when other weights count.
        cases: What each case took, in the order of acceptance.
        means: The same, for each of the weights.
        without_log: Cases of which nobody knows.
        choices: Between two proposals, in the logs of the cases.
    """

    on: bool = False
    learning: bool = False
    share: float = 0.0
    doing: str = ""
    at_work: str = ""
    can_go_back: bool = False
    verdict: str = ""
    fault: str = ""
    news: int = 0
    cases: tuple[Effort, ...] = ()
    means: tuple[MeanEffort, ...] = ()
    without_log: int = 0
    choices: ChoiceCount = ChoiceCount()


@dataclass
class _Weights:
    """Those that count: of a run in the project, or the base's."""

    number: int
    model: Model
    names: dict[str, str] = field(default_factory=dict)


class ProjectLearner:
    """Learns from a project, in a process of its own, and says which weights the next scan gets.

    Its methods may be called from any thread; `status`, `model` and `name_of` never wait.

    Args:
        settings: How is learned.
        model: The agent that people begin with. Where its learnings have left weights that count, these are taken up.

    Raises:
        mecca_agents.online.ProjectError: The project's name is that of a file, or the agent wants several modalities.
        mecca_env.data.base.DataError: The project's name is not UTF-8.
    """

    def __init__(self, settings: LearnSettings, model: Model) -> None:
        project = settings.project
        check_utf8(project)
        if project.exists() and not project.is_dir():
            raise ProjectError(f"{project}: expected a folder for a project, found a file")
        if model.modalities != 1:
            raise ProjectError(
                f"{project}: expected a run of one modality for a project, got one of {model.modalities}"
            )
        self.settings = settings
        self._base, self._stack = model, WeightStack(project, model.folder)
        self._weights = _Weights(0, model)
        self._efforts = Efforts(project)
        self._process: LearnerProcess | None = None
        self._log_fault = ""
        self._seen: object = None  # the files of the cases when they were read last
        self._tried: object = None  # and when a learning began last
        self._status = Status()
        self._lock, self._closed = threading.RLock(), threading.Event()
        self._watcher: threading.Thread | None = None
        with self._lock:
            self._take_up()

    @property
    def project(self) -> Path:
        """The folder of the cases."""
        return self.settings.project

    @property
    def model(self) -> Model:
        """The agent that the next scan gets."""
        return self._weights.model

    @property
    def first(self) -> str:
        """SHA-256 of the weights that people began with."""
        return self._base.weights

    @property
    def status(self) -> Status:
        """Where it stands."""
        process, status = self._process, self._status
        if process is None:
            return status
        doing = "the learner stops" if process.stopping else process.progress.doing
        return replace(status, learning=True, share=process.progress.share, doing=doing)

    def session_after(self, now: InteractiveSession) -> InteractiveSession:
        """The session for another scan: the same one, or where other weights count by now, a new one that has these.

        Raises:
            SessionError: The one of now is at work.
        """
        model = self.model
        if model is now.model:
            return now
        if now.busy:
            raise SessionError("session: expected one that is idle, got one that is at work; wait until it is done")
        fresh = InteractiveSession(model, tolerance=now.tolerance)
        fresh.version = now.version  # so that no two moments of both have the same one
        return fresh

    def name_of(self, weights: str) -> str:
        """What weights are called, by their SHA-256."""
        return self._weights.names.get(weights, f"other weights ({weights[:8]})")

    def begin(self) -> None:
        """Look at the project and the learner from now on, in a thread of its own, until `close`."""
        self._watcher = threading.Thread(target=self._watch, name="mecca-learner", daemon=True)
        self._watcher.start()

    def switch(self, on: bool) -> None:
        """Learn from accepted masks, or no longer; off, a learner that runs is stopped."""
        with self._lock:
            self._tried = None
            self._say(on=on, fault="")
            if not on:
                self.stop()
        self.poll()

    def stop(self) -> None:
        """Stop the learner that runs; the next mask that is accepted is learned from again."""
        with self._lock:
            if self._process is not None:
                self._process.stop()

    def back(self) -> None:
        """Let the earlier weights count, from the next scan on; a learner that goes on from those of now is stopped.

        Raises:
            RunError: There are none, or it cannot be written that they count; then those of now do.
        """
        with self._lock:
            if not self._weights.number:
                raise RunError(f"back: expected weights that were learned, got {self._status.at_work}, the first ones")
            self._stack.back(self._weights.number)
            self.stop()
            self._take_up()

    def poll(self) -> None:
        """Look at the learner and at the project: take what came of the one, begin the next where there is reason."""
        with self._lock:
            if self._closed.is_set():
                return
            self._look_at_the_learner()
            files = self._files()
            if files != self._seen:
                self._seen = files
                self._read_efforts()
            cases = self._cases()
            enough = len({scan_of(case) for case in cases}) >= FEWEST
            if self._process is None and self._status.on and files != self._tried and enough:
                self._tried = files
                self._learn()
            self._say_what_is_waited_for(len(cases), enough)

    def close(self) -> None:
        """End the learner and look no more; closing twice does nothing."""
        self._closed.set()
        with self._lock:
            if self._process is not None:
                self._process.close()
                self._process = None
        if self._watcher is not None and self._watcher is not threading.current_thread():
            self._watcher.join()

    def _watch(self) -> None:
        while not self._closed.wait(_SECONDS):
            try:
                self.poll()
            except Exception as error:  # whatever it is, people go on with the weights that they have
                _logger.error("the learner of %s", self.project, exc_info=error)
                self._say(fault=str(error) or type(error).__name__)

    def _learn(self) -> None:
        """Begin a learning, after what an earlier one may have left."""
        try:
            self._look_at_what_is_new()
            out = self._stack.run(self._stack.next_number())
            command = learn_command(
                self.project,
                self._stack.run(self._weights.number),
                out,
                device=self._base.device.type,
                minutes=self.settings.minutes,
                updates=self.settings.updates,
            )
            self._process = LearnerProcess(command, self.settings.niceness)
            self._say(fault="")
        except (ValueError, OSError) as error:
            self._say(fault=f"no learning was begun: {error}")

    def _look_at_the_learner(self) -> None:
        ended = None if self._process is None else self._process.ended()
        if ended is None:
            return
        self._process = None
        if not ended.well:
            self._say(fault=f"{ended.words}; the weights stay as they were")
            return
        try:
            self._look_at_what_is_new()
        except ValueError as error:
            self._say(fault=str(error))

    def _look_at_what_is_new(self) -> None:
        """Take the runs that count among those that nobody has looked at."""
        for number in self._stack.pending(self._weights.number):
            found, model = self._stack.look_at(number, self._weights.number, self._base.device.type)
            if model is not None:
                self._weights = _Weights(number, model, self._weights.names)
            self._show_weights()
            self._say(verdict=found.why, news=self._status.news + (model is not None))

    def _take_up(self) -> None:
        """Let the weights count that the project says, as far as they can be used."""
        faults: list[str] = []
        try:
            number, model, faults = self._stack.load(self._base.device.type)
            self._weights = _Weights(number, model or self._base, self._weights.names)
            if last := max(self._runs(), key=lambda run: run.number, default=None):
                self._say(verdict=last.why)
            self._show_weights()
            self._look_at_what_is_new()
        except ValueError as error:
            faults = [*faults, str(error)]
            self._show_weights()
        self._say(fault="; ".join(faults), news=self._status.news + 1)

    def _runs(self) -> list[LearnedRun]:
        return [run for run in self._stack.state().runs if run.base == self._stack.base]

    def _show_weights(self) -> None:
        try:
            names = self._stack.names(self._base)
        except RunError:
            names = {self._base.weights: Path(self._stack.base).name}
        self._weights.names = names
        self._say(at_work=self.name_of(self.model.weights), can_go_back=self._weights.number > 0)
        self._seen = None  # of the cases other ones are kept out of a learning

    def _files(self) -> tuple[tuple[object, ...], tuple[object, ...]]:
        """What tells whether a case is new: names, times and sizes of masks, and of logs."""
        found = []
        for folder in (LABELS, LOGS):
            states = []
            for path in visible_files(self.project / folder):
                try:
                    state = path.stat()
                except OSError:  # it has just been deleted
                    continue
                states.append((path.name, state.st_mtime_ns, state.st_size))
            found.append(tuple(states))
        return found[0], found[1]

    def _read_efforts(self) -> None:
        self._efforts.read()
        cases = self._efforts.cases
        means = tuple(means_by_weights(cases))
        self._say(cases=cases, means=means, without_log=self._efforts.without_log)
        before, self._log_fault = self._log_fault, next(iter([*self._efforts.faults, *self._count_choices()]), "")
        if self._log_fault or self._status.fault == before:
            self._say(fault=self._log_fault)

    def _count_choices(self) -> list[str]:
        """Say how many there are for the run at work; what goes wrong."""
        choices = {case.case: case.choices for case in self._efforts.cases}
        try:
            self._say(choices=count_choices(choices, self._cases(), self.model.folder))
        except RunError as error:
            return [str(error)]
        return []

    def _cases(self) -> set[str]:
        """Names of those that were accepted."""
        return {str(stem(path)) for path in visible_files(self.project / LABELS)}

    def _say_what_is_waited_for(self, cases: int, enough: bool) -> None:
        if not self._status.on:
            words = f"{plural(cases, 'case')} accepted"
        elif not enough:
            words = f"{plural(cases, 'case')} accepted; learning begins with {FEWEST} scans"
        else:
            words = f"{plural(cases, 'case')} accepted; the next one is learned from"
        if words != self._status.doing:
            self._say(doing=words)

    def _say(self, **changes: object) -> None:
        with self._lock:
            self._status = replace(self._status, **changes)  # type: ignore[arg-type]
