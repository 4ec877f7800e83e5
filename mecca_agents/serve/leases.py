"""Leases: who has a session at the moment, and when it is taken back."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

Held = TypeVar("Held")
"""Type of what is leased."""


class Full(Exception):
    """Every session is taken."""


class Gone(Exception):
    """There is no such lease: it was given back, has expired, or never was."""


@dataclass(eq=False)
class Lease(Generic[Held]):
    """A session that a viewer has.

    Attributes:
        token: Secret name, which only the viewer knows.
        number: Of the session since the server began, for people.
        held: What is leased.
        idle: Seconds without anything done after which it is taken back.
        liveness: Seconds without any request after which it is; None: there is no such clock, and the other one counts
            only when somebody else wants a session.
        acted: When something was done last, by the clock of `Leases`.
        alive: When there was any request last.
        working: Requests that are being answered; as long as there is one, it is not taken back.
        lock: One thing at a time.
        gone: Whether it was given or taken back.
        last: What was done last, for people.
        took: Seconds that took.
    """

    token: str
    number: int
    held: Held
    idle: float
    liveness: float | None
    acted: float
    alive: float
    working: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    gone: bool = False
    last: str = ""
    took: float = 0.0


class Leases(Generic[Held]):
    """All of them. For one thread: that of the server's loop.

    Args:
        make: Makes what is leased.
        close: Is told of each that was given or taken back.
        most: Leases at a time.
        idle: Seconds without anything done after which one is taken back.
        liveness: Seconds without any request after which one is.
        clock: Seconds.
        changed: Is told whenever there is one more or less.
    """

    def __init__(
        self,
        make: Callable[[], Held],
        close: Callable[[Lease[Held]], None],
        *,
        most: int,
        idle: float,
        liveness: float,
        clock: Callable[[], float] = time.monotonic,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.most, self.idle, self.liveness = most, idle, liveness
        self._make, self._close, self._clock, self._changed = make, close, clock, changed
        self._leases: dict[str, Lease[Held]] = {}
        self._numbers = count(1)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._leases)

    def __iter__(self) -> Iterator[Lease[Held]]:
        """Each of them, the oldest first."""
        return iter(tuple(self._leases.values()))

    def claim(self, *, beats: bool = True) -> Lease[Held]:
        """A new one.

        Args:
            beats: Whether its viewer says now and then that it is there.

        Raises:
            Full: There is no room.
        """
        self.sweep()
        if len(self) >= self.most:
            self.sweep(wanted=True)
        if len(self) >= self.most:
            raise Full
        now = self._clock()
        lease = Lease(
            token=secrets.token_urlsafe(24),
            number=next(self._numbers),
            held=self._make(),
            idle=self.idle,
            liveness=self.liveness if beats else None,
            acted=now,
            alive=now,
        )
        self._leases[lease.token] = lease
        self._changed()
        return lease

    def find(self, token: str) -> Lease[Held]:
        """The lease of a token; touches no clock. Raises `Gone`."""
        lease = self._leases.get(token)
        if lease is None:
            raise Gone
        if lease.liveness is not None and self._is_over(lease):
            self.release(lease)
            raise Gone
        return lease

    def beat(self, lease: Lease[Held]) -> float:
        """Note that a viewer is there; seconds that it may still do nothing."""
        lease.alive = self._clock()
        return self.remaining(lease)

    def remaining(self, lease: Lease[Held]) -> float:
        """Seconds that a viewer may still do nothing."""
        return max(lease.idle - (self._clock() - lease.acted), 0.0)

    @contextmanager
    def at_work(self, lease: Lease[Held], what: str) -> Iterator[None]:
        """Something is being done: no clock runs until it is over."""
        begun = self._clock()
        lease.working += 1
        try:
            yield
        finally:
            lease.working -= 1
            lease.acted = lease.alive = self._clock()
            lease.last, lease.took = what, lease.acted - begun
            self._changed()

    def release(self, lease: Lease[Held]) -> None:
        """Give or take one back; again does nothing."""
        if lease.gone:
            return
        lease.gone = True
        self._leases.pop(lease.token, None)
        self._close(lease)
        self._changed()

    def sweep(self, *, wanted: bool = False) -> None:
        """Take back those whose time is over.

        Args:
            wanted: Somebody wants a session: those that have no clock of life count, too.
        """
        for lease in self:
            if (wanted or lease.liveness is not None) and self._is_over(lease):
                self.release(lease)

    def close(self) -> None:
        """Take all of them back."""
        for lease in self:
            self.release(lease)

    def _is_over(self, lease: Lease[Held]) -> bool:
        now = self._clock()
        silent = lease.liveness is not None and now - lease.alive > lease.liveness
        return not lease.working and (silent or now - lease.acted > lease.idle)
