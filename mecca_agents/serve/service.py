"""The sessions of a server: who has which, what is done in them, and what is kept of them."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from mecca_agents.serve.leases import Gone, Lease, Leases
from mecca_agents.serve.prompting.prompts import PromptedSession
from mecca_agents.serve.settings import Settings
from mecca_agents.session import MOST_VOXELS, Model, SessionError, SessionLog
from mecca_env.data.base import DataError

Result = TypeVar("Result")

_KEPT_AS = {"bool": np.uint8, "float16": np.float32}  # NIfTI has neither
_LOG = logging.getLogger("mecca.serve")


@dataclass(eq=False)
class Held:
    """What a viewer has while it has a lease.

    Attributes:
        prompts: Its session.
        dtype: Type of the values that it wants masks to have.
        scan: File that its scan is kept in, where logs are.
        scans: How many it has opened.
        logs: How many were written of this one.
        logged: How many of its prompts are in them.
        name: Of its logs.
    """

    prompts: PromptedSession
    dtype: np.dtype[Any]
    scan: Path | None = None
    scans: int = 0
    logs: int = 0
    logged: int = 0
    name: str = field(default_factory=lambda: secrets.token_hex(3))


class Service:
    """Sessions over one shared model.

    Args:
        model: The trained method.
        settings: How.
        changed: Is told whenever there is something new to show.
        clock: Seconds.
        kept: Is told of each log that was written, by whichever thread wrote it.

    Attributes:
        model: The trained method.
        settings: How.
        leases: Who has which session.

    Raises:
        ValueError: The run needs several modalities, which no viewer's protocol has.
    """

    def __init__(
        self,
        model: Model,
        settings: Settings,
        changed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        kept: Callable[[Path], None] = lambda log: None,
    ) -> None:
        if model.modalities != 1:
            raise ValueError(
                f"{model.folder}: expected a run for one modality, since viewers send one image, "
                f"found one for {model.modalities}"
            )
        self.model, self.settings, self._kept = model, settings, kept
        self.leases: Leases[Held] = Leases(
            self._make,
            self._end,
            most=settings.sessions,
            idle=settings.idle,
            liveness=settings.liveness,
            changed=changed,
            clock=clock,
        )
        self._pool = ThreadPoolExecutor(settings.workers, thread_name_prefix="mecca")

    @asynccontextmanager
    async def at_work(self, token: str, what: str) -> AsyncIterator[Lease[Held]]:
        """The lease of a token, for one request at a time.

        Raises:
            Gone: There is none, or it went while this waited.
        """
        lease = self.leases.find(token)
        self.leases.beat(lease)
        with self.leases.at_work(lease, what):
            async with lease.lock:
                if lease.gone:
                    raise Gone
                yield lease

    async def do(self, lease: Lease[Held], action: Callable[[Held], Result]) -> Result:
        """Do something in a session, in another thread.

        Raises:
            Gone: The session was taken back meanwhile.
        """
        loop = asyncio.get_running_loop()
        try:
            result = await loop.run_in_executor(self._pool, action, lease.held)
        except SessionError as error:
            if lease.gone:
                raise Gone from error
            raise
        if lease.gone:
            raise Gone
        return result

    def open_scan(self, held: Held, image: NDArray[Any], affine: NDArray[np.float64]) -> None:
        """Open a scan, (X, Y, Z); where logs are kept, the scan is, too, and what was done to the one before.

        Raises as `InteractiveSession.set_image`; the one before is then still open, and its log goes on.
        """
        if self.settings.logs is None:
            held.prompts.set_image(image, affine)
            return
        before, log = held.scan, self._unwritten(held)
        name = f"{datetime.now():%Y%m%d-%H%M%S}-{held.name}-{held.scans + 1}.nii"
        path = self.settings.logs / name
        kept = image.astype(_KEPT_AS.get(image.dtype.name, image.dtype))
        try:
            nib.save(nib.Nifti1Image(kept, affine, dtype=kept.dtype), path)
            held.prompts.set_image(path)
        except BaseException as error:
            path.unlink(missing_ok=True)
            if isinstance(error, HeaderDataError):
                raise DataError(f"image: expected one that NIfTI can hold, found another ({error})") from error
            if isinstance(error, DataError):  # a viewer is not to know where it was kept
                raise DataError(str(error).replace(str(path), "image")) from error
            raise
        self._finish(before, log, held.logs)
        held.scan, held.scans, held.logs, held.logged = path, held.scans + 1, 0, 0

    def reset(self, held: Held) -> None:
        """Begin anew, with another object say: what was done up to here is a log of its own."""
        if log := self._unwritten(held):
            self._write(*log)
            held.logs, held.logged = held.logs + 1, held.prompts.prompts
        held.prompts.reset()

    async def sweep(self) -> None:
        """Look at the clocks, for ever."""
        while True:
            await asyncio.sleep(self.settings.sweep)
            self.leases.sweep()

    def warm_up(self) -> None:
        """Play a little in the background, so that no person waits for what is loaded and compiled at first use."""
        self._pool.submit(_play, self.model)

    def close(self) -> None:
        """Take all sessions back, and end the threads once the logs are written."""
        self.leases.close()
        self._pool.shutdown()

    def _make(self) -> Held:
        return Held(
            PromptedSession(self.model, most_voxels=min(MOST_VOXELS, self.settings.most_bytes)), np.dtype(np.uint8)
        )

    def _end(self, lease: Lease[Held]) -> None:
        """Close a session; its log, which may be long, is written in another thread."""
        held = lease.held
        self._pool.submit(self._finish, held.scan, self._unwritten(held), held.logs)
        held.prompts.session.close()

    def _unwritten(self, held: Held) -> tuple[Path, SessionLog] | None:
        """The log of what was done since the scan was opened, or reset, and its place; None without a prompt."""
        if held.scan is None or held.prompts.prompts == held.logged:
            return None
        number = f"-{held.logs + 1}" if held.logs else ""
        return held.scan.with_name(f"{held.scan.stem}{number}.json"), held.prompts.session.session_log()

    def _finish(self, scan: Path | None, log: tuple[Path, SessionLog] | None, logs: int) -> None:
        """Write the last log of a scan, which has so many others; a scan without a prompt is not kept."""
        if log is not None:
            self._write(*log)
        elif scan is not None and not logs:
            with suppress(OSError):
                scan.unlink()

    def _write(self, path: Path, log: SessionLog) -> None:
        try:
            log.save(path)
        except (OSError, ValueError) as error:
            _LOG.error("%s", error)
        else:
            self._kept(path)


def _play(model: Model) -> None:
    """One prompt on noise."""
    noise = np.random.default_rng(0).normal(size=(40, 40, 40)).astype(np.float32)
    session = PromptedSession(model)
    with session.session, suppress(SessionError):
        session.set_image(noise)
        session.add_point((20, 20, 20), True)
