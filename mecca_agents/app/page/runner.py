"""What a page does: asks the workplace in another thread, says what went wrong, and shows the result."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from inspect import iscoroutine
from typing import Any

from nicegui import ui

from mecca_agents.app.tab.tab import Workplace
from mecca_agents.session import SessionError

_logger = logging.getLogger("mecca_agents")


class Desk:
    """Runs what a person asks for, one thing at a time, while the server answers everybody else.

    Args:
        place: The workplace.
        workers: Threads for what takes long, shared by all pages.

    Attributes:
        place: The workplace.
        doing: What takes long at the moment, in words; empty when nothing does.
        since: When that began, by `time.perf_counter`.
        client: Whose page it is.
        shown: Called after everything that may have changed what is to be seen.
    """

    def __init__(self, place: Workplace, workers: ThreadPoolExecutor) -> None:
        self.place = place
        self.doing, self.since = "", 0.0
        self.shown: list[Callable[[], None]] = []
        self._workers = workers
        self._turn = asyncio.Lock()
        self._told = False
        self.client = ui.context.client

    async def do(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run something in another thread.

        Args:
            what: In words, where it takes long; empty where it does not. What takes long is not waited for by others:
                they are refused.
            function: What to run.
            arguments: Its arguments.

        Returns:
            What it returned; None where it failed, which the page says, or where the page is gone.
        """
        if self.doing:
            self.say(f"Please wait: {self.doing} is not done yet.")
            return None
        async with self._turn:
            self.doing, self.since = what, time.perf_counter()
            self.refresh()
            try:
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._workers, function, *arguments)
            except Exception as error:
                self._complain(error)
                return None
            finally:
                self.doing = ""
                self.refresh()

    def over(self) -> bool:
        """Whether the workplace is closed, for instance to make room while no browser was here; the page says so."""
        if self.place.closed and not self._told:
            self._told = True
            self.say("This session was closed while the page was away; load the page anew.", "negative")
        return self.place.closed

    def say(self, message: str, kind: str = "warning") -> None:
        """A message on the page."""
        if not self.client.is_deleted:
            with self.client:
                where = "bottom-left"  # below the buttons, where it covers nothing
                ui.notify(message[:1000], type=kind, position=where, multi_line=True, timeout=6000, close_button="OK")

    def told(self, message: Any) -> None:
        """A message that the browser sends to itself by way of the server."""
        self.say(str(message)[:300], "negative")

    def guarded(self, handler: Callable[[Any], Any]) -> Callable[[Any], Awaitable[None]]:
        """A handler of what a browser sends, which may be anything: what it cannot use is a message on the page."""

        async def handle(event: Any) -> None:
            try:
                result = handler(event.args)
                if iscoroutine(result):
                    await result
            except Exception as error:
                self._complain(error)

        return handle

    def _complain(self, error: Exception) -> None:
        if not isinstance(error, (SessionError, ValueError, OSError, MemoryError)):
            _logger.error("the page of %s", self.place.name or "no scan", exc_info=error)
        self.say(str(error) or type(error).__name__, "negative")

    def refresh(self) -> None:
        """Show where everything stands; of a workplace that is closed there is nothing to show."""
        if self.client.is_deleted or self.place.closed:
            return
        with self.client:
            for show in self.shown:
                show()
