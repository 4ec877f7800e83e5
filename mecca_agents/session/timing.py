"""Time that a person takes for the clicks of each step, from the logs of sessions: the form of Table 7."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

from mecca_agents.session.actions import AddClicks, Choose, Redo, Reset, SetBox, SetMask, Step, Undo
from mecca_agents.session.errors import SessionError
from mecca_agents.session.log import SET_IMAGE, Entry, SessionLog
from mecca_agents.tables import Section, Table, csv_row, markdown, number, plural, write_rows
from mecca_env.atomic import os_errors_as, write_text


@dataclass(frozen=True)
class StepTime:
    """One step.

    Attributes:
        step: Its number, from 1.
        clicks: Clicks that were new to the agent.
        person: Seconds from the answer before it, or from the box, until it was asked for, without the machine's own.
        agent: Seconds until its answer was there; 0 of a step that has not been taken.
    """

    step: int
    clicks: int
    person: float
    agent: float = 0.0


@dataclass(frozen=True)
class _Times:
    """The steps that stand, and the one that is waited for; `episode` is the action that it began with."""

    episode: int
    done: tuple[StepTime, ...] = ()
    waiting: StepTime = StepTime(1, 0, 0.0)

    def waited(self, seconds: float) -> _Times:
        return replace(self, waiting=replace(self.waiting, person=self.waiting.person + seconds))


def step_times(entries: Sequence[Entry], now: float | None = None) -> tuple[list[StepTime], StepTime]:
    """The times of each step, and of the one that comes next so far.

    Where a step is undone, the time that was spent until then and on looking at it counts for the step that takes its
    place: all of a person's time since the box, or since the last reset, is in one of the steps.

    Args:
        entries: A log.
        now: Seconds since the scan was opened; None: the end of the last action.
    """
    times, past, future, end = _Times(0), list[_Times](), list[_Times](), 0.0
    for position, entry in enumerate(entries):
        times = times.waited(entry.at - end)
        end = entry.end
        if entry.action == SET_IMAGE:
            times, past, future = _Times(position), [], []
        elif entry.action in (Undo.name, Redo.name):
            back, forth = (past, future) if entry.action == Undo.name else (future, past)
            if not back:
                raise SessionError(f"log: expected something to {entry.action}, found nothing")
            forth.append(times)
            times = _moved(times, back.pop())
        elif (after := _after(times, entry, position)) is not times:
            past.append(times)
            future.clear()
            times = after
    if now is not None:
        times = times.waited(now - end)
    return list(times.done), times.waiting


def _after(times: _Times, entry: Entry, position: int) -> _Times:
    """The times after an action, the same where it changes nothing."""
    waiting = times.waiting
    match entry.action:
        case Step.name | Choose.name:
            done = (*times.done, replace(waiting, agent=entry.took))
            return replace(times, done=done, waiting=StepTime(waiting.step + 1, 0, 0.0))
        case AddClicks.name if entry.details["new"]:
            return replace(times, waiting=replace(waiting, clicks=waiting.clicks + entry.details["new"]))
        case SetBox.name | SetMask.name | Reset.name:
            return _Times(position)
    return times


def _moved(times: _Times, to: _Times) -> _Times:
    """Go back or forth: in one episode all of the person's time goes along, to another one none."""
    if times.episode != to.episode:
        return to
    spent, kept = (sum(step.person for step in each.done) for each in (times, to))
    person = spent + times.waiting.person - kept
    return replace(to, waiting=replace(to.waiting, person=max(person, 0.0)))


def only_times(log: SessionLog) -> SessionLog:
    """The log with what `timing_table` reads of it, without points and masks."""
    entries = (
        replace(each, details={name: each.details[name] for name in ("new",) if name in each.details})
        for each in log.entries
    )
    return replace(log, entries=tuple(entries))


def timing_table(logs: Sequence[SessionLog]) -> Table:
    """Seconds of the person before each step, the mean over sessions, a row for each method (Table 7).

    Raises:
        SessionError: No step was taken in any of them.
    """
    by_method: dict[str, list[list[StepTime]]] = {}
    for log in logs:
        steps, _ = step_times(log.entries)
        if steps:
            by_method.setdefault(log.method, []).append(steps)
    if not by_method:
        raise SessionError(f"logs: expected one step at least, got none in {plural(len(logs), 'log')}")
    most = max(len(steps) for sessions in by_method.values() for steps in sessions)
    numbers = [str(step + 1) for step in range(most)]
    rows = [
        (method, len(sessions), [_mean(sessions, "person", step) for step in range(most)])
        for method, sessions in by_method.items()
    ]
    clicks = {
        method: [_mean(sessions, "clicks", step) for step in range(most)] for method, sessions in by_method.items()
    }
    section = Section(
        title="Interaction time (s)",
        head=["Method", "sessions", *numbers],
        lines=[[method, str(count), *(number(value, ".0f") for value in values)] for method, count, values in rows],
        notes=[
            f"Mean number of clicks before these steps, {method}: {', '.join(number(v, '.3g') for v in values)}."
            for method, values in clicks.items()
        ],
    )
    csv_rows = [
        csv_row(method=method, sessions=count, **dict(zip(numbers, values, strict=True)))
        for method, count, values in rows
    ]
    about = "Seconds between an answer of the agent and the next request, the agent's own time not counted."
    return Table("table7", "Table 7: interaction time", about, [section], csv_rows)


def write_timing_table(logs: Sequence[SessionLog], path: str | PathLike[str]) -> None:
    """Write `timing_table` as .csv or .md.

    Raises:
        SessionError: No step was taken, or the name ends otherwise or cannot be written.
    """
    path, table = Path(path), timing_table(logs)
    if path.suffix == ".csv":
        write_rows(path, list(table.csv_rows[0]), table.csv_rows)
        return
    if path.suffix != ".md":
        raise SessionError(f"{path}: expected a name that ends in .csv or .md, got {path.name!r}")
    with os_errors_as(lambda reason: SessionError(f"{path}: cannot be written ({reason})")):
        write_text(path, markdown(table) + "\n")


def _mean(sessions: Sequence[Sequence[StepTime]], name: str, step: int) -> float:
    """Over the sessions that got that far; NaN where none did."""
    values = [float(getattr(steps[step], name)) for steps in sessions if len(steps) > step]
    return sum(values) / len(values) if values else float("nan")
