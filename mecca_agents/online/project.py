"""Reading a project's folder: which cases people have accepted, and what does not fit."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from mecca_agents.online.prompts import own_prompts
from mecca_agents.session import SessionError, SessionLog, read_log
from mecca_agents.session.accepting import BETWEEN, IMAGES, LABELS, LOGS, writing
from mecca_env.data.base import DataError
from mecca_env.data.files import FileSource
from mecca_env.data.inventory import visible_files
from mecca_env.data.recorded import RecordedPrompts

ENV = "MECCA-Volumes-v0"
"""The environment that plays a project's cases."""

KEPT_OUT = 4
"""One scan of so many is kept out of the learning, with all of its cases."""

FEWEST_KEPT_OUT = 2
"""No fewer are kept out, since one scan alone judges badly."""


class ProjectError(ValueError):
    """A project's folder cannot be used; the message names it, what was expected and what was found."""


@dataclass(frozen=True)
class AcceptedCase:
    """A case that a person has accepted.

    Attributes:
        name: Of the case.
        log: What was done; None where there is none: masks may come from elsewhere.
        prompts: What of it can be given again (`mecca_agents.online.prompts`); None: nothing.
    """

    name: str
    log: SessionLog | None
    prompts: RecordedPrompts | None = None

    @property
    def target(self) -> str:
        """What the mask is of, as its name says; nothing where nobody said."""
        target, between, _ = self.name.partition(BETWEEN)
        return target if between else ""


def read_project(folder: Path | str, *, skip_bad: bool = False) -> list[AcceptedCase]:
    """Every case of a project, read once and found good, by name; whoever puts one there meanwhile waits.

    Args:
        folder: The project's, or any with `images/` and `labels/`.
        skip_bad: Leave cases that are at fault out, with a warning, rather than refuse.

    Raises:
        ProjectError: There is no such folder, a log is damaged, or the scan and the mask that it belongs to vanished.
        mecca_env.data.base.DataError: A scan or a mask is missing or damaged, or one does not fit the other; all
            faults are listed.
        SessionError: Somebody is writing there and does not end.
    """
    folder = Path(folder)
    if not (folder / IMAGES).is_dir():
        raise ProjectError(f"{folder}: expected a project with {IMAGES}/ and {LABELS}/, found no {IMAGES}/")
    with writing(folder):
        source = FileSource(folder.name, folder, layout="pairs", split="all", skip_bad=skip_bad)
        names = [source.case_name(index) for index in range(len(source))]
        logs = {path.stem: path for path in visible_files(folder / LOGS) if path.suffix == ".json"}
        cases, faults = [], []
        for name in names:
            try:
                cases.append(_case(source, names.index(name), logs.pop(name, None)))
            except (SessionError, ProjectError) as error:
                faults.append(str(error))
    faults += [] if skip_bad else [_vanished(path) for path in logs.values()]
    if faults and not skip_bad:
        raise ProjectError("\n".join(faults))
    if faults and cases:
        warnings.warn(f"{folder}: cases left out: {'; '.join(faults)}", UserWarning, stacklevel=2)
    if not cases:
        raise DataError(f"{folder}: expected at least one good case, found none: {'; '.join(faults)}")
    return cases


def kept_out(names: Sequence[str], learned: Collection[str] = (), before: Collection[str] = ()) -> list[str]:
    """The cases that are kept out of the learning: those of one scan of `KEPT_OUT`, of `FEWEST_KEPT_OUT` at least.

    What was kept out stays so, and a scan that was learned from never is: new ones make up the number. Only where there
    are too few, those that were kept out having been deleted, scans that were learned from are taken; they favour the
    earlier weights. With fewer than `KEPT_OUT` scans none is kept out.

    Args:
        names: All cases.
        learned: Those that the run has learned from.
        before: Those that it was kept from.
    """
    scans, known, held_before = ({scan_of(name) for name in each} for each in (names, learned, before))
    if len(scans) < KEPT_OUT:
        return []
    held = sorted(scans & held_before - known)
    first = {scan_of(name): name for name in sorted(names, reverse=True)}
    fresh, old = (
        sorted(each, key=lambda scan: drawn(first[scan])) for each in (scans - known - set(held), scans & known)
    )
    held += fresh[: max(max(round(len(scans) / KEPT_OUT), FEWEST_KEPT_OUT) - len(held), 0)]
    held += old[: max(FEWEST_KEPT_OUT - len(held), 0)]
    return sorted(name for name in names if scan_of(name) in held)


def scan_of(name: str) -> str:
    """What tells the scan of a case: the eight digits that its name ends with, or where it has none, all of it."""
    found = re.search(r"-([0-9a-f]{8})$", name)
    return found[1] if found else name


def drawn(name: str) -> bytes:
    """The place of a name in an order that was drawn once for all."""
    return hashlib.sha256(f"kept out:{name}".encode()).digest()


def _case(source: FileSource, index: int, path: Path | None) -> AcceptedCase:
    name = source.case_name(index)
    if path is None:
        return AcceptedCase(name, None)
    log, shape = read_log(path), source.case(index).scan_shape
    if log.shape != shape:
        raise ProjectError(f"{path}: expected the log of a scan of {shape} voxels, found one of {log.shape}")
    try:
        return AcceptedCase(name, log, own_prompts(log))
    except SessionError as error:
        raise ProjectError(f"{path}: {error}") from error


def _vanished(path: Path) -> str:
    return f"{path}: expected scan and mask of {path.stem} beside this log, found neither; put them back, or delete it"
