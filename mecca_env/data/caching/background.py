"""A few threads that do work ahead; what they have not begun by the end of the process is left undone."""

from __future__ import annotations

import os
import queue
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeAlias, TypeVar

import torch

_Result = TypeVar("_Result")
_Job: TypeAlias = tuple["Future[Any]", Callable[[], Any]]
_Jobs: TypeAlias = "queue.SimpleQueue[_Job | None]"


class Background:
    """Threads that start with the first job; `concurrent.futures` would finish every job before the process ends.

    Torch uses one thread for what is computed in each of them: as many again as the caller's would get in its way.

    Args:
        threads: How many.
    """

    def __init__(self, threads: int) -> None:
        self._count = threads
        self._process = os.getpid()
        self._jobs: _Jobs = queue.SimpleQueue()
        self._stop: weakref.finalize[Any, Background] | None = None

    def submit(self, work: Callable[[], _Result]) -> Future[_Result]:
        """Have it done; a future that is cancelled before its turn is skipped."""
        if self._stop is None:
            self._start()
        future: Future[_Result] = Future()
        self._jobs.put((future, work))
        return future

    @property
    def alive(self) -> bool:
        """True if its threads are those of this process: those of a process that was forked stayed behind."""
        return self._process == os.getpid()

    def close(self) -> None:
        """Finish what has been begun, leave the rest. Also happens when this is forgotten, and at the end."""
        if self._stop is not None and self.alive:
            self._stop()

    def _start(self) -> None:
        ready: queue.SimpleQueue[None] = queue.SimpleQueue()
        threads = [
            threading.Thread(target=_work, args=(self._jobs, ready), name=f"mecca_env ahead {i}", daemon=True)
            for i in range(self._count)
        ]
        used = torch.get_num_threads()
        for thread in threads:
            thread.start()
        for _ in threads:
            ready.get()
        torch.set_num_threads(used)  # a thread's own number is also what later threads of others would start with
        # Not left to the interpreter: it ends daemon threads wherever they are, in the middle of torch too.
        self._stop = weakref.finalize(self, _stop, self._jobs, threads)


def _work(jobs: _Jobs, ready: queue.SimpleQueue[None]) -> None:
    torch.set_num_threads(1)
    torch.get_num_threads()  # only now it holds for this thread whatever others set
    ready.put(None)
    while (job := jobs.get()) is not None:
        future, work = job
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work())
            except BaseException as error:  # it belongs to whoever asks for the result
                future.set_exception(error)
        del job, future, work  # or the last result would be kept until the next job


def _stop(jobs: _Jobs, threads: list[threading.Thread]) -> None:
    try:
        while (job := jobs.get_nowait()) is not None:
            job[0].cancel()
    except queue.Empty:
        pass
    for _ in threads:
        jobs.put(None)
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join()
