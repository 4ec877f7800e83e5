"""What a person has accepted: scan, mask and log of a case in a project's folder, which is a data set as well.

    PROJECT/images/CASE.nii.gz    the scan, or a link to it
            labels/CASE.nii.gz    the mask, 1 where the target is
            logs/CASE.json        what was done, as `InteractiveSession.save_log` writes it

`MECCA-Volumes-v0` reads `images/` and `labels/` as they are. A case is named after its target, where one was given, its
scan's file, and the scan itself: `spleen__scan12-1a2b3c4d`. So the same target of the same scan takes the place of what
was accepted before, whatever its file is called now.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from mecca_agents.session.errors import SessionError
from mecca_agents.session.inputs.scan import Image
from mecca_agents.session.log import SessionLog
from mecca_env.atomic import os_errors_as, refuse_read_only
from mecca_env.data.formats.names import check_utf8
from mecca_env.data.inventory import stem, visible_files
from mecca_env.data.saving import save_mask, save_scan

IMAGES, LABELS, LOGS = "images", "labels", "logs"
"""The folders of a project."""

BETWEEN = "__"
"""Ends the target in the name of a case."""

LOCK = ".lock"
"""The file of a project that is locked while a case is put there. It may stay."""

SECONDS = 60.0
"""How long one waits for another who puts a case there."""

_WHOLE = ".whole"  # ends the name of a staged folder that has all of its case
_KEPT_OF_NAME = 40  # characters of up to four bytes, in a name that may have 255


def put_case(
    project: Path, image: Image, mask: NDArray[np.bool_], log: SessionLog | None, *, target: str | None, link: bool
) -> str:
    """Put an accepted case into a project; whole, or what was there stays.

    All files are written beside their places first and then renamed, the scan last, while nobody else does (`writing`).
    Killed on the way, what is whole by then is put there by the next one who does, and the rest is deleted.

    Args:
        project: Its folder; made where it is missing.
        image: The scan, of one modality.
        mask: (X, Y, Z).
        log: Of the session; its first file gives the case a part of its name. None: there is none, and what was there
            of an earlier one of this case goes.
        target: What the mask is of, in one word; None: nobody said.
        link: Put a link to the scan's file there, in place of a copy.

    Returns:
        The name of the case.

    Raises:
        SessionError: The mask is empty, the scan has several modalities, the target is no word, a link is asked for
            and cannot be made, the case there is read-only, or the folder cannot be written to.
        mecca_env.data.base.DataError: A file cannot be written.
    """
    check_utf8(project)
    modalities = len(image.intensities)
    if modalities != 1:
        raise SessionError(f"accept: expected a scan of one modality, got one of {modalities}")
    if not mask.any():
        raise SessionError("accept: expected a mask with foreground, got an empty one")
    begin = _begin_of(target)
    there = _opened_there(project, image, begin)
    linked = _linked(image) if link and there is None else None
    with _written(project):
        for folder in (IMAGES, LABELS, LOGS):
            (project / folder).mkdir(parents=True, exist_ok=True)
    with writing(project), _written(project), _staged(project) as staged:
        name = there or _name_of(project, image, image.files if log is None else log.files, begin)
        files = {LABELS: f"{name}.nii.gz", LOGS: f"{name}.json"}
        if there is None:
            files = {IMAGES: f"{name}{'.nii.gz' if linked is None else _ending(linked)}", **files}
        for folder, file in files.items():
            refuse_read_only(project / folder / file)
            (staged / folder).mkdir()
        if linked is not None:
            (staged / IMAGES / files[IMAGES]).symlink_to(linked)
        elif there is None:
            save_scan(image.intensities[0].numpy(), image.affine, staged / IMAGES / files[IMAGES], image.header)
        save_mask(mask, image.affine, staged / LABELS / files[LABELS], image.header)
        if log is not None:
            log.save(staged / LOGS / files[LOGS])
        else:
            (project / LOGS / files.pop(LOGS)).unlink(missing_ok=True)
        _put(staged.rename(staged.with_name(staged.name + _WHOLE)), project)
    return name


@contextmanager
def writing(project: Path) -> Iterator[None]:
    """Keep others from putting a case into a project, once they are done, and end what killed ones began.

    Raises:
        SessionError: They are not within `SECONDS`, or there is no such folder to lock.
    """
    lock = FileLock(project / LOCK)
    try:
        lock.acquire(timeout=SECONDS)
    except Timeout:
        raise SessionError(f"{project}: another process has been writing there for {SECONDS:.0f} seconds") from None
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SessionError(f"{project}: expected a project's folder that can be locked, got: {reason}") from error
    try:
        _tidy(project)
        yield
    finally:
        lock.release()


def _tidy(project: Path) -> None:
    """End what writers began that were killed: what is whole is put there, all else is deleted."""
    for staged in sorted(project.iterdir()):
        if re.fullmatch(rf"\.\d+\.[0-9a-f]{{8}}({re.escape(_WHOLE)})?", staged.name) and staged.is_dir():
            if staged.name.endswith(_WHOLE):
                with suppress(OSError):  # whoever writes now is told why
                    _put(staged, project)
            shutil.rmtree(staged, ignore_errors=True)


def _put(staged: Path, project: Path) -> None:
    """Rename the files of a case into their places, as far as they are not there by now; the scan last."""
    for folder in (LABELS, LOGS, IMAGES):
        for file in visible_files(staged / folder):
            for path in visible_files(project / IMAGES) if folder == IMAGES else ():
                if stem(path) == stem(file) and path.name != file.name:  # a link before, a copy now, or the reverse
                    path.unlink()
            os.replace(file, project / folder / file.name)


def _begin_of(target: str | None) -> str:
    """What the names of a target's cases begin with."""
    if target is not None and (not re.fullmatch(r"[\w-]{1,40}", target) or BETWEEN in target):
        raise SessionError(f"target: expected one word of letters, digits, - and _, got {target!r:.80}")
    return f"{target}{BETWEEN}" if target else ""


def _opened_there(project: Path, image: Image, begin: str) -> str | None:
    """The name of the case whose scan in the project was opened; None: it lies elsewhere."""
    for path in image.places:
        own = str(stem(path))
        if path.parent == (project / IMAGES).resolve() and own.startswith(begin):
            return own
    return None


def _name_of(project: Path, image: Image, files: Sequence[str], begin: str) -> str:
    """The name under which a scan's case is in the project; if it is not, one by the first of the files."""
    ending = f"-{image.identity[:8]}"
    for path in visible_files(project / IMAGES):
        own = str(stem(path))
        if own.startswith(begin) and own.endswith(ending) and BETWEEN not in own[len(begin) :]:
            return own
    file = str(stem(files[0])) if files else "scan"
    readable = re.sub(r"_{2,}", "_", file)[:_KEPT_OF_NAME].strip("_.") or "scan"
    return f"{begin}{readable}{ending}"


def _linked(image: Image) -> Path:
    """The file that a link is to lead to."""
    if len(image.places) != 1 or image.places[0].name.lower().endswith(".hdr"):
        raise SessionError("link: expected a scan of one file, got an array or several; without link it is copied")
    if not image.places[0].is_file():
        raise SessionError(f"link: expected {image.places[0]}, found nothing there; without link it is copied")
    return image.places[0]


def _ending(path: Path) -> str:
    return path.name[len(str(stem(path))) :]


@contextmanager
def _staged(project: Path) -> Iterator[Path]:
    """A hidden folder in a project, gone afterwards, also with `_WHOLE` after its name."""
    folder = project / f".{os.getpid()}.{secrets.token_hex(4)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        for each in (folder, folder.with_name(folder.name + _WHOLE)):
            shutil.rmtree(each, ignore_errors=True)


def _written(project: Path) -> AbstractContextManager[None]:
    return os_errors_as(lambda reason: SessionError(f"{project}: the case cannot be put there ({reason})"))
