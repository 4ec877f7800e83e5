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
from numpy.typing import NDArray

from mecca_agents.serve.leases import Gone, Lease, Leases
from mecca_agents.serve.prompting.prompts import PromptedSession
from mecca_agents.serve.settings import Settings
from mecca_agents.session import MOST_VOXELS, Model, SessionError

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
        kept: Is told of each log that was written.

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
        """Open a scan, (X, Y, Z); where logs are kept, the scan is, too. Raises as `InteractiveSession.set_image`."""
        if self.settings.logs is None:
            held.prompts.set_image(image, affine)
            return
        self._keep(held)
        held.scans += 1
        name = f"{datetime.now():%Y%m%d-%H%M%S}-{held.name}-{held.scans}.nii"
        path = self.settings.logs / name
        kept = image.astype(_KEPT_AS.get(image.dtype.name, image.dtype))
        try:
            nib.save(nib.Nifti1Image(kept, affine, dtype=kept.dtype), path)
            held.prompts.set_image(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        held.scan = path

    def reset(self, held: Held) -> None:
        """Begin anew, with another object say: what was done up to here is a log of its own."""
        self._write_log(held)
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
        """Take all sessions back, and end the threads."""
        self.leases.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _make(self) -> Held:
        return Held(
            PromptedSession(self.model, most_voxels=min(MOST_VOXELS, self.settings.most_bytes)), np.dtype(np.uint8)
        )

    def _end(self, lease: Lease[Held]) -> None:
        self._keep(lease.held)
        lease.held.prompts.session.close()

    def _keep(self, held: Held) -> None:
        """Write the log of what was done to a scan last; a scan without a prompt is not kept."""
        self._write_log(held)
        if held.scan is not None and not held.logs:
            with suppress(OSError):
                held.scan.unlink()
        held.scan, held.logs, held.logged = None, 0, 0

    def _write_log(self, held: Held) -> None:
        """Write what was done since the scan was opened, or reset, beside the scan; nothing without a prompt."""
        if held.scan is None or held.prompts.prompts == held.logged:
            return
        held.logs, held.logged = held.logs + 1, held.prompts.prompts
        number = f"-{held.logs}" if held.logs > 1 else ""
        path = held.scan.with_name(f"{held.scan.stem}{number}.json")
        try:
            held.prompts.session.save_log(path)
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
