"""What each accepted case took a person, from the logs of a project, and whether it became less."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mecca_agents.session import SessionError, SessionLog, read_log
from mecca_agents.session.accepting import BETWEEN, LABELS, LOGS
from mecca_agents.session.actions import AddClicks, Choose, SetBox, SetMask, Step
from mecca_agents.session.standing import standing
from mecca_env.data.inventory import stem, visible_files


@dataclass(frozen=True)
class Effort:
    """What a case took. What was taken back counts as well: it took its time.

    Attributes:
        case: Its name.
        prompts: Boxes, clicks, lines, areas, strokes of a brush and masks that were loaded; what brought an object back
            that had been left is none.
        steps: Of the agent, those that the person chose of two proposals included.
        seconds: Of the person, from the opened scan to the last action, without the machine's own.
        weights: SHA-256 of the agent's.
        choices: Between two proposals; those that were taken back do not count here.
    """

    case: str
    prompts: int
    steps: int
    seconds: float
    weights: str
    choices: int = 0

    @property
    def target(self) -> str:
        """What was segmented, as the case's name says."""
        target, between, _ = self.case.partition(BETWEEN)
        return target if between else ""


@dataclass(frozen=True)
class MeanEffort:
    """What cases took with the same weights.

    Attributes:
        weights: SHA-256 of them.
        cases: How many.
        prompts: Of a case, the mean.
        steps: Likewise.
        seconds: Likewise.
    """

    weights: str
    cases: int
    prompts: float
    steps: float
    seconds: float


def effort_of(case: str, log: SessionLog) -> Effort:
    """What a case took, by its log. Raises `SessionError` where that undoes what is not there.

    What a page did at once when the object was come back to does not count, and a box with a mask right after it is one
    prompt: a stroke of the brush beyond what the agent saw.
    """
    pauses = [now.at - before.end for before, now in zip(log.entries, log.entries[1:], strict=False)]
    own = [entry for entry in log.entries if entry.at > log.entries[0].end or entry.took > 0]
    prompts = sum(
        now.action == SetMask.name
        or (now.action == SetBox.name and (after is None or after.action != SetMask.name))
        or (now.action == AddClicks.name and now.details["new"] > 0)
        for now, after in zip(own, [*own[1:], None], strict=True)
    )
    steps = sum(entry.action in (Step.name, Choose.name) for entry in log.entries)
    done, _ = standing(log.entries)
    choices = sum(log.entries[place].action == Choose.name for place in done)
    return Effort(case, prompts, steps, sum(pauses), log.weights, choices)


def means_by_weights(efforts: Sequence[Effort]) -> list[MeanEffort]:
    """The means over the cases that were segmented with the same weights, in the order in which these came to work."""
    found: dict[str, list[Effort]] = {}
    for effort in efforts:
        found.setdefault(effort.weights, []).append(effort)
    return [
        MeanEffort(
            weights,
            len(cases),
            *(sum(getattr(case, name) for case in cases) / len(cases) for name in ("prompts", "steps", "seconds")),
        )
        for weights, cases in found.items()
    ]


class Efforts:
    """What a project's cases took, read again where a file has changed.

    Args:
        project: Its folder; it need not be there yet.

    Attributes:
        cases: Of those that have a log, in the order in which these were written.
        without_log: How many have none: their masks came from elsewhere.
        faults: A sentence about each log that cannot be read.
    """

    def __init__(self, project: Path) -> None:
        self._project = project
        self._read: dict[Path, tuple[tuple[int, int], Effort | str]] = {}
        self.cases: tuple[Effort, ...] = ()
        self.without_log = 0
        self.faults: tuple[str, ...] = ()

    def read(self) -> None:
        """Bring them up to date."""
        labels = {stem(path) for path in visible_files(self._project / LABELS)} - {None}
        paths = {path.stem: path for path in visible_files(self._project / LOGS) if path.suffix == ".json"}
        there = {case: path for case, path in paths.items() if case in labels}
        self._read = {path: found for path, found in self._read.items() if path in there.values()}
        found = sorted((self._of(case, path) for case, path in there.items()), key=lambda each: each[0])
        self.cases = tuple(one for _, one in found if isinstance(one, Effort))
        self.faults = tuple(one for _, one in found if isinstance(one, str))
        self.without_log = len(labels - there.keys())

    def _of(self, case: str, path: Path) -> tuple[tuple[int, int], Effort | str]:
        try:
            state = path.stat()
            version = (state.st_mtime_ns, state.st_size)
            if path not in self._read or self._read[path][0] != version:
                self._read[path] = (version, _effort_in(case, path))
        except OSError as error:
            return (0, 0), f"{path}: cannot be read ({error.strerror or error})"
        return self._read[path]


def _effort_in(case: str, path: Path) -> Effort | str:
    try:
        return effort_of(case, read_log(path))
    except SessionError as error:
        return str(error)
