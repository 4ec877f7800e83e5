"""Masks that a person has saved in another program: checked against scan and log, then put into a project.

A log says what was done, and not that its last mask is good: somebody may have corrected it by hand since, or given up.
So the mask is the file that a person saved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mecca_agents.session.accepting import put_case
from mecca_agents.session.actions import ACTIONS, AddClicks, SetMask
from mecca_agents.session.errors import SessionError
from mecca_agents.session.inputs.mask import LoggedMask
from mecca_agents.session.inputs.scan import Image, open_image
from mecca_agents.session.interactive import MOST_VOXELS
from mecca_agents.session.log import Entry, SessionLog, read_log
from mecca_agents.session.standing import standing
from mecca_env.data.base import DataError, Triple
from mecca_env.data.image_files import read_volume
from mecca_env.data.inventory import shortened
from mecca_env.data.reading import read_label
from mecca_env.data.world.grids import checked_tolerance, distance, same_grid

SAME = 1e-3
"""Share of a scan's range by which its intensities may differ from those that a viewer sent."""

NEAR = 2
"""Voxels by which a click may miss the target on either side of its border."""


def accept_saved(
    project: Path,
    mask: Path,
    *,
    scan: Path | None = None,
    log: Path | None = None,
    target: str | None = None,
    labels: Sequence[int] | None = None,
    link: bool = False,
    tolerance: float | None = None,
) -> str:
    """Put a mask that a person has saved into a project, with its scan and, where there is one, its log.

    Args:
        project: Its folder; made where it is missing.
        mask: The file, on the scan's grid.
        scan: The scan's own file; None: the one that the log names, which lies beside it or where the log says.
        log: As `InteractiveSession.save_log` and `mecca serve` write it; None: there is none.
        target: What the mask is of, in one word.
        labels: Values of the file that are the target; None: the only one above 0.
        link: Put a link to the scan's file there, in place of a copy.
        tolerance: Millimetres that the mask may lie apart from the scan; None: next to nothing.

    Returns:
        The name of the case.

    Raises:
        SessionError: There is neither scan nor log, the log is damaged, of another scan or of another target than the
            mask, its scan vanished, or as `put_case`.
        mecca_env.data.base.DataError: Scan or mask cannot be used: the mask is empty, has several values, or lies on
            another grid.
    """
    tolerance = checked_tolerance(tolerance)
    if log is None:
        if scan is None:
            raise SessionError("accept: expected --log LOG or --scan SCAN, got neither")
        image = _opened(scan, tolerance)
        found, kept = _target_in(mask, image, labels), None
    else:
        kept = read_log(log)
        image = _opened(scan or _scan_of(log, kept), tolerance)
        kept = _log_of(log, kept, image, own=scan is not None)
        found = _target_in(mask, image, labels, hint=scan is None)
        _check_prompts(log, kept, found)
    return put_case(project, image, found, kept, target=target, link=link)


def _opened(scan: Path, tolerance: float | None = None) -> Image:
    return open_image(scan, None, 1, MOST_VOXELS, tolerance)


def _scan_of(path: Path, log: SessionLog) -> Path:
    """The scan that a log names: beside it, or where the log says."""
    if len(log.files) != 1:
        raise SessionError(f"{path}: expected the name of one scan, found {len(log.files)}; --scan SCAN names its file")
    said = Path(log.files[0])
    beside = path.parent / said.name
    for place in (beside, said):
        if place.is_file():
            return place
    raise SessionError(f"{path}: expected its scan at {beside}, found none; --scan SCAN names the scan's own file")


def _log_of(path: Path, log: SessionLog, image: Image, *, own: bool) -> SessionLog:
    """The log, of this scan's file. Most viewers send a scan without its place, and their logs are of such a copy."""
    named = replace(log, files=image.files)
    if log.image == image.identity:
        return named
    sent = _opened(_scan_of(path, log)) if own and log.shape == image.shape else None
    if sent is None or sent.identity != log.image or not _same_intensities(sent, image):
        raise SessionError(f"{path}: expected the log of {image.files[0]}, found that of another scan")
    there, here = (np.linalg.norm(each.affine[:3, :3], axis=0) for each in (sent, image))
    return replace(named, image=image.identity) if np.allclose(there, here, rtol=SAME) else named


def _same_intensities(sent: Image, image: Image) -> bool:
    one, other = (each.intensities[0].numpy().astype(np.float32) for each in (sent, image))
    return bool(np.abs(one - other).max() <= SAME * np.ptp(other))


def _target_in(path: Path, image: Image, labels: Sequence[int] | None, hint: bool = False) -> NDArray[np.bool_]:
    """The mask in a file, (X, Y, Z). Raises `DataError`."""
    mask, affine = read_label(path, labels)
    if mask.shape != image.shape or not same_grid(image.affine, affine, image.shape, image.tolerance):
        far = f" and {distance(image.affine, affine, image.shape):.3g} mm apart (--tolerance MM)"
        apart = "" if mask.shape != image.shape else far
        how = "; most viewers send no place of a scan: --scan SCAN, its own file, has it" if hint else ""
        raise DataError(
            f"{path}: expected the grid of {image.files[0]}, {image.shape}, found one of {mask.shape}{apart}{how}"
        )
    if labels is None:
        values = np.unique(read_volume(path, label=True).data)
        values = np.unique(np.rint(values[values > 0]))
        if len(values) > 1:
            shown = shortened(f"{value:.0f}" for value in values)
            raise DataError(f"{path}: expected one value above 0, found {shown}; --label VALUE chooses")
    return mask


def _check_prompts(path: Path, log: SessionLog, mask: NDArray[np.bool_]) -> None:
    """Raise `SessionError` where a log is about something else: viewers go from one object to another on a scan."""
    standing = _standing(log.entries)
    if standing and standing[0].action == SetMask.name:
        begun = LoggedMask(**standing[0].details).unpacked(cast("Triple", mask.shape)).whole(cast("Triple", mask.shape))
        if not (begun & mask).any():
            raise SessionError(f"{path}: expected the log of this mask, found one that goes on from a mask elsewhere")
    said: dict[tuple[int, ...], bool] = {}  # of a voxel the last word counts
    for entry in standing:
        if entry.action == AddClicks.name and "inside" in entry.details:
            said |= dict.fromkeys(map(_voxel, entry.details["points"]), entry.details["inside"])
    for inside in (True, False):
        right = [_lies(mask, point, inside) for point, side in said.items() if side == inside]
        if 2 * sum(right) < len(right):
            side = "inside" if inside else "outside"
            raise SessionError(
                f"{path}: expected the log of this mask, found one of whose {len(right)} points {side} the target "
                f"{sum(right)} lie {side} the mask; another log may be the mask's own, and --scan alone needs none"
            )


def _voxel(point: Sequence[float]) -> tuple[int, ...]:
    if len(point) != 3:
        raise SessionError(f"log: expected points of three numbers, found one of {len(point)}")
    return tuple(round(value) for value in point)


def _lies(mask: NDArray[np.bool_], point: tuple[int, ...], inside: bool) -> bool:
    """Whether some voxel around a point is of the target, or is not."""
    part = mask[tuple(slice(max(p - NEAR, 0), p + NEAR + 1) for p in point)]
    return bool(part.any() if inside else not part.all())


def _standing(entries: Sequence[Entry]) -> list[Entry]:
    """What was not taken back, since the last box, mask or reset, that included."""
    done = [entries[place] for place in standing(entries)[0]]
    begins = [index for index, entry in enumerate(done) if ACTIONS[entry.action].begins_episode]
    return done[begins[-1] :] if begins else done
