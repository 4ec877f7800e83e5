"""What the server shows in its terminal: one line of progress, and a table of the sessions."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mecca_agents.serve.leases import Lease, Leases
from mecca_agents.serve.service import Held

COLUMNS = ("session", "scan", "prompts", "last", "seconds", "ends in")


class Board:
    """The line and the table; where the output is no terminal, a line for each thing that is done.

    Args:
        console: Where they are shown.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._live: Live | None = None
        self._leases: Leases[Held] | None = None
        self._said: dict[int, tuple[str, float]] = {}

    def watch(self, leases: Leases[Held]) -> None:
        """Show these leases from now on."""
        self._leases = leases

    def changed(self) -> None:
        """Show what is new."""
        if self._live is not None:
            self._live.update(self.shown(), refresh=True)
        elif self._leases is not None and not self._console.is_terminal:
            self._say(self._leases)

    def kept(self, log: Path) -> None:
        """Say how the mask that a log ends in gets into a project, once a person has saved it."""
        command = f"mecca accept PROJECT --log {shlex.quote(str(log.resolve()))} --scan SCAN --mask MASK"
        self._console.print(
            f"{log.name} is kept; with the saved mask: {command}", highlight=False, markup=False, soft_wrap=True
        )

    @contextmanager
    def showing(self) -> Iterator[None]:
        """As long as this lasts, the table is kept up to date."""
        if not self._console.is_terminal:
            yield
            return
        with Live(self.shown(), console=self._console, auto_refresh=False) as self._live:
            yield
        self._live = None

    async def keep_fresh(self, seconds: float = 1.0) -> None:
        """Show how time goes by, for ever."""
        while True:
            await asyncio.sleep(seconds)
            if self._live is not None:
                self.changed()

    def shown(self) -> Group:
        """The line and the table."""
        table = Table(*COLUMNS)
        leases = self._leases
        for lease in leases or ():
            table.add_row(*_row(lease), f"{leases.remaining(lease):.0f} s" if leases else "")
        return Group(Text(self.line()), table) if leases else Group(Text(self.line()))

    def line(self) -> str:
        """How many sessions there are, and what they are doing."""
        leases = self._leases
        if leases is None:
            return "starting"
        working = sum(lease.working > 0 for lease in leases)
        prompts = sum(lease.held.prompts.prompts for lease in leases)
        return f"{len(leases)} of {leases.most} sessions, {working} at work, {prompts} prompts"

    def _say(self, leases: Leases[Held]) -> None:
        known = {lease.number: lease for lease in leases}
        for number in sorted(self._said.keys() - known):
            self._console.print(f"session {number} is over; {self.line()}", highlight=False, soft_wrap=True)
            del self._said[number]
        for number, lease in known.items():
            news = (lease.last, lease.acted)
            if self._said.get(number) != news:
                self._said[number] = news
                _, scan, _, last, seconds = _row(lease)
                what = f"{last} on {scan} in {seconds} s" if last else "begins"
                self._console.print(f"session {number} {what}; {self.line()}", highlight=False, soft_wrap=True)


def _row(lease: Lease[Held]) -> tuple[str, str, str, str, str]:
    prompts = lease.held.prompts
    scan = " x ".join(map(str, prompts.shown.shape)) if prompts.opened else "-"
    return str(lease.number), scan, str(prompts.prompts), lease.last, f"{lease.took:.2f}" if lease.last else ""
