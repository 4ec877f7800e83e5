"""Processes that are forked: the threads that torch shares its work out to are not in them."""

from __future__ import annotations

import os

import torch


def keep_to_one_thread() -> None:
    """From now on, torch uses one thread in every process that is forked from this one.

    Once OpenMP's threads have had work, a process that is forked waits for ever for those that stayed behind.
    Gymnasium's `AsyncVectorEnv` forks, for one. With one thread there is nobody to wait for. Torch's own `DataLoader`
    does the same in its workers.
    """
    if hasattr(os, "register_at_fork"):  # Windows has no fork
        os.register_at_fork(after_in_child=_use_one_thread)


def _use_one_thread() -> None:
    torch.set_num_threads(1)
