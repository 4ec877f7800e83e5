"""Running what a person asks for: in another thread, with a message where it fails, and the result shown."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from inspect import iscoroutine
from typing import Any, TypeVar

from nicegui import ui
from typing_extensions import ParamSpec

from mecca_agents.app.tab.tab import Tab
from mecca_agents.session import SessionError

Given = ParamSpec("Given")
Result = TypeVar("Result")

_logger = logging.getLogger("mecca_agents")


class Runner:
    """Runs what a person asks for, one thing at a time, while the server answers everybody else.

    Args:
        tab: The state of the page.
        workers: Threads for what takes long, shared by all pages.

    Attributes:
        tab: The state of the page.
        doing: What takes long at the moment, in words; empty when nothing does.
        since: When that began, by `time.perf_counter`.
        client: NiceGUI's, of the page.
        refreshers: Called after everything that may have changed what is to be seen.
    """

    def __init__(self, tab: Tab, workers: ThreadPoolExecutor) -> None:
        self.tab = tab
        self.doing, self.since = "", 0.0
        self.refreshers: list[Callable[[], None]] = []
        self._workers = workers
        self._one_at_a_time = asyncio.Lock()
        self._said_closed = False
        self.client = ui.context.client

    async def do(
        self, what: str, function: Callable[Given, Result], *arguments: Given.args, **named: Given.kwargs
    ) -> Result | None:
        """Run something in another thread.

        Args:
            what: In words, where it takes long; empty where it does not. What takes long is not waited for by others:
                they are refused.
            function: What to run.
            arguments: Its arguments.
            named: Its arguments by name.

        Returns:
            What it returned; None where it failed, which the page says, or where the page is gone.
        """
        if self.doing:
            self.say(f"Please wait: {self.doing} is not done yet.")
            return None
        async with self._one_at_a_time:
            self.doing, self.since = what, time.perf_counter()
            self.refresh()
            try:
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._workers, partial(function, *arguments, **named))
            except Exception as error:
                self._complain(error)
                return None
            finally:
                self.doing = ""
                self.refresh()

    def say_if_closed(self) -> bool:
        """Say so where the tab was closed, for instance to make room while no browser was here; whether it was."""
        if self.tab.closed and not self._said_closed:
            self._said_closed = True
            self.say("This session was closed while the page was away; load the page anew.", "negative")
        return self.tab.closed

    def say(self, message: str, kind: str = "warning") -> None:
        """A message on the page."""
        if not self.client.is_deleted:
            with self.client:
                where = "bottom-left"  # below the buttons, where it covers nothing
                ui.notify(message[:1000], type=kind, position=where, multi_line=True, timeout=6000, close_button="OK")

    def say_for_browser(self, message: Any) -> None:
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
            _logger.error("the page of %s", self.tab.name or "no scan", exc_info=error)
        self.say(str(error) or type(error).__name__, "negative")

    def refresh(self) -> None:
        """Show where everything stands; of a tab that is closed there is nothing to show."""
        if self.client.is_deleted or self.tab.closed:
            return
        with self.client:
            for show in self.refreshers:
                show()
