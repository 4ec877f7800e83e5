"""Going on with a run on what people have accepted, for so many minutes; the result counts only through the gate."""

from __future__ import annotations

import shutil
import time
from collections import ChainMap
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import inf, isfinite
from pathlib import Path
from typing import Any, TextIO

from mecca_agents.online.gate import Verdict, dice_of, judge
from mecca_agents.online.measured import Measured
from mecca_agents.online.memory import first_data, mixture
from mecca_agents.online.progress import Progress, Progression
from mecca_agents.online.project import AcceptedCase, ProjectError, kept_out, read_project, scan_of
from mecca_agents.online.prompts import fits
from mecca_agents.online.record import beginning_of, cases_of, publish
from mecca_agents.presets import Preset, find_preset
from mecca_agents.runs.config import RunConfig, read_config
from mecca_agents.runs.errors import RunError
from mecca_agents.runs.folder import check_folder
from mecca_agents.runs.locking import locked
from mecca_agents.runs.shipped import find_run
from mecca_agents.runs.tally import Tally
from mecca_agents.runtime.devices import find_device
from mecca_agents.runtime.stopping import Stopped
from mecca_agents.tables import plural
from mecca_agents.training import train
from mecca_env.atomic import os_errors_as
from mecca_env.data.recorded import write_recordings
from mecca_env.process.config import ALL_LABELLED, EnvConfig

FOLDER = "learning"
"""The folder of a project in which its one learner works."""

STEPS = ("updates", "num_envs", "learning_rate", "final_learning_rate", "balance")
"""What a learning takes of the preset `online`; everything else is the run's own, its networks above all."""

FEWEST = 2
"""With cases of fewer scans there is none to learn from, or none to judge by."""

_TIMED = 3  # updates that tell how long one takes, the first of which is slower


@dataclass(frozen=True)
class Learning:
    """What came of it.

    Attributes:
        out: The run's folder: with the new weights, or the earlier ones.
        verdict: Whether the new ones count, and why.
        leave_one_out: Whether the cases of each scan were judged by weights that had learned from all others.
        learned: Cases that the weights in `out` have learned from, earlier learnings included.
        kept_out: Cases that none may learn from.
        updates: Of the last training.
        note: What a person should know of the data; nothing where all is as it should be.
        base: What the next learning goes on from in place of `out`; None: from `out`.
    """

    out: Path
    verdict: Verdict
    leave_one_out: bool
    learned: tuple[str, ...]
    kept_out: tuple[str, ...]
    updates: int
    note: str = ""
    base: Path | None = None


def learn(
    project: Path | str,
    run: Path | str | None,
    out: Path | str,
    *,
    minutes: float = 5.0,
    updates: int | None = None,
    preset: Preset | None = None,
    skip_bad: bool = False,
    seed: int = 0,
    device: str = "auto",
    stream: TextIO | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Learning:
    """Go on with a run's method from its weights, on the accepted cases of a project and on what it knew before.

    One scan of four is kept out (`project.kept_out`), and judges the new weights against the earlier ones
    (`gate.judge`). With fewer than four each is judged by weights that learned from all the others, and those in `out`
    learned from all: so many trainings share the minutes. None is left then to judge what goes on from those, so the
    next learning begins where this one did, until new weights count on cases that were kept out.

    `out` appears complete or not at all. Killed at any time, nothing of it is there, and the run is as it was.

    Args:
        project: Folder of the cases.
        run: Folder of the run, or the name of one that comes with the package; None: the one that acts where none is
            named. It is not changed.
        out: Folder of the new run, which must not be there yet.
        minutes: What the trainings may take together; looking at the cases and playing those kept out comes on top.
        updates: So many updates in each training, in place of minutes: the same cases then give the same weights.
        preset: In place of `online`; only its `STEPS` count.
        skip_bad: Leave cases that are at fault out, with a warning, rather than refuse.
        seed: Of the trainings.
        device: "auto", "cpu" or "cuda".
        stream: Where progress is shown; None takes standard error.
        on_progress: Called with how far it is, after each update and whenever something else is begun.

    Raises:
        ValueError: An argument is out of range.
        ProjectError: The project cannot be used, or has cases of fewer than two scans.
        mecca_env.data.base.DataError: A scan or a mask cannot be used.
        mecca_agents.runs.RunError: The run cannot be used, `out` is there or cannot be written, or another process
            learns from this project.
        FloatingPointError: A loss became NaN or infinite.
        mecca_agents.runtime.stopping.Stopped: Ctrl-C or SIGTERM came; a `KeyboardInterrupt`.
    """
    if not (isfinite(minutes) and minutes > 0):
        raise ValueError(f"minutes: expected a number above 0, got {minutes!r}")
    project, out, begun = Path(project), Path(out), find_run(run)
    base = beginning_of(begun)
    config, torch_device = read_config(base), find_device(device)
    check_folder(out, overwrite=False)
    steps = (preset or find_preset("online")).flat()
    own = config.preset.replace(**{name: steps[name] for name in STEPS}, simulated_labels=False)
    own = own if updates is None else own.replace(updates=updates)
    progress = Progression(on_progress)
    progress.say("the cases are read")
    cases = read_project(project, skip_bad=skip_bad)
    names = [case.name for case in cases]
    scans = sorted({scan_of(name) for name in names})
    if len(scans) < FEWEST:
        raise ProjectError(
            f"{project}: expected accepted cases of at least {FEWEST} scans, one to learn from and one to judge by, "
            f"found {len(scans)}"
        )
    earlier, before_held = cases_of(base)[0], cases_of(base)[1] | cases_of(begun)[1]
    held = kept_out(names, earlier, before_held)
    with working_in(project / FOLDER) as work, stopped_in_words():
        prompts, others_note = _own_prompts(work, config, cases)
        trainer = _Trainer(project, base, config, own, earlier, prompts, seed, device, stream, progress)
        measured = Measured(work.parent, project, torch_device, dice_of)
        final = [case for case in cases if case.name not in held]
        folds = {work / f"without_{number}": scan for number, scan in enumerate([] if held else scans)}
        progress.expect(len(folds) + 1)
        progress.say("the earlier weights are tried")
        before = measured.dice_of(base, held or names)
        end = time.monotonic() + 60 * minutes if updates is None else inf
        for number, (folder, scan) in enumerate(folds.items()):
            others = [case for case in cases if scan_of(case.name) != scan]
            trainer.train(folder, others, _share(end, len(folds) + 1 - number))
        done = trainer.train(work / "all", final, end)

        def tried() -> dict[str, float]:
            apart = {folder: [name for name in names if scan_of(name) == scan] for folder, scan in folds.items()}
            found = [dice_of(folder, project, own, torch_device) for folder, own in apart.items()]
            return dict(ChainMap(*found)) if folds else measured.dice_of(work / "all", held)

        progress.say("the new weights are tried")
        after = tried()
        while before != (now := measured.dice_of(base, held or names)):  # a mask was replaced meanwhile
            before, after = now, tried()
        verdict = judge(before, after)
        found = Learning(
            out=out,
            verdict=verdict,
            leave_one_out=not held,
            learned=tuple(sorted({*earlier, *(case.name for case in final)} if verdict.counts else cases_of(begun)[0])),
            kept_out=tuple(sorted({*held, *before_held})),
            updates=done,
            note="; ".join(filter(None, (_note(config), others_note))),
            base=base if not held or (base != begun and not verdict.counts) else None,
        )
        publish(work / "all" if verdict.counts else begun, out, _record(found, begun, project))
    return found


@dataclass
class _Trainer:
    """Trainings that differ in their cases and in the time that they have."""

    project: Path
    base: Path
    config: RunConfig
    preset: Preset
    earlier: Collection[str]
    prompts: Path | None
    seed: int
    device: str
    stream: TextIO | None
    progress: Progression
    pace: float | None = None  # seconds an update takes

    def train(self, folder: Path, cases: Sequence[AcceptedCase], end: float) -> int:
        """Train until `end`, on the clock of `time.monotonic`, or to the preset's last update; how many were made."""
        self.progress.begin()
        if end == inf:
            return self._train(folder, cases, self.preset, inf)
        if self.pace is None:
            times = [time.monotonic()]
            self._train(folder.with_name("pace"), cases, self.preset.replace(updates=_TIMED), inf, times)
            self.pace = max((times[-1] - times[1]) / (_TIMED - 1), 1e-3)
        fitting = max(int((end - time.monotonic()) / self.pace), 1)
        return self._train(folder, cases, self.preset.replace(updates=min(fitting, self.preset.updates)), end)

    def _train(
        self, folder: Path, cases: Sequence[AcceptedCase], preset: Preset, end: float, times: list[float] | None = None
    ) -> int:
        done = 0

        def count(tally: Tally) -> bool:
            nonlocal done
            done = tally.updates
            if times is not None:
                times.append(time.monotonic())
            else:
                self.progress.trained(done / preset.updates)
            return time.monotonic() > end

        train(
            self.config.method,
            out=folder,
            preset=preset,
            settings={**self.config.settings, **ALL_LABELLED},
            begin_from=self.base,
            skip_bad=True,  # of these cases none is bad; others may just be put there
            tolerance=self.config.tolerance,
            checkpoint_every=preset.updates,  # one at the end, whenever that comes: nobody goes on from another
            seed=self.seed,
            device=self.device,
            stream=self.stream,
            on_update=count,
            **mixture(self.config, self.project, cases, self.earlier, self.prompts),
        )
        return done


@contextmanager
def working_in(folder: Path) -> Iterator[Path]:
    """A folder for one learner at a time, empty at the beginning, whoever was killed before, and gone at the end."""
    with locked(folder):
        work = folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


@contextmanager
def stopped_in_words() -> Iterator[None]:
    """Whoever stops a learner is told what stays."""
    try:
        yield
    except Stopped as stopped:
        said = f"learning was stopped by {stopped.signal.name}; the earlier weights stay"
        raise Stopped(said, stopped.signal) from None


def _share(end: float, parts: int) -> float:
    """The moment at which one of so many equal parts of the time that is left is over."""
    now = time.monotonic()
    return end if end == inf else now + max(end - now, 0.0) / parts


def _record(found: Learning, begun: Path, project: Path) -> dict[str, Any]:
    """What the folder says of itself."""
    verdict = asdict(found.verdict)
    counts = verdict.pop("counts")
    return {
        "weights": "new" if counts else "earlier",
        "why": found.verdict.why,
        "run": str(begun.resolve()),
        "project": str(project.resolve()),
        "learned": found.learned,
        "kept_out": found.kept_out,
        "leave_one_out": found.leave_one_out,
        **verdict,
        "updates": found.updates,
        "note": found.note,
        "base": found.base and str(found.base.resolve()),
    }


def _own_prompts(work: Path, config: RunConfig, cases: Sequence[AcceptedCase]) -> tuple[Path | None, str]:
    """The file of what people gave on the cases, None where there is nothing, and a note on what a run cannot take."""
    signed = EnvConfig(shape=config.preset.shape, **config.settings).signed
    given = {case.name: case.prompts for case in cases if case.prompts is not None}
    own = {name: prompts for name, prompts in given.items() if fits(prompts, signed)}
    others = len(given) - len(own)
    kinds = ("without", "with") if signed else ("with", "without")
    said = f"{plural(others, 'log')} of clicks {kinds[0]} sides, and the run was trained {kinds[1]} them"
    note = f"{said}: simulated users prompt in their cases" if others else ""
    if not own:
        return None, note
    path = work / "prompts.json"
    with os_errors_as(lambda reason: RunError(f"{path}: cannot be written: {reason}; the run is as it was")):
        write_recordings(path, own)
    return path, note


def _note(config: RunConfig) -> str:
    if first_data(config):
        return ""
    return "nothing that the run was first trained on is on this machine: the built-in shapes were played in its place"
