"""Several processes that train one agent on one batch: who plays which part of it, and what they add up.

`torchrun` starts the processes; each plays its own rows of the batch, with the seeds these rows have in one process.
Losses are sums over all voxels of the batch divided by a count over all of them, so the gradients of the processes add
up to those of one process on the whole batch. With one process nothing here does anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from signal import Signals
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from mecca_agents.runtime.devices import find_device

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Part:
    """Rows of the batch that this process plays.

    Attributes:
        first: The first of them.
        count: How many.
        total: Rows of the batch.
    """

    first: int
    count: int
    total: int


def world_size() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if _together() else 1


def leads() -> bool:
    """Whether this is the process that logs and writes: the one with rank 0, or the only one."""
    return not _together() or dist.get_rank() == 0


def restarted() -> bool:
    """Whether `torchrun` has started this process again after one of them was lost."""
    return _attempt() > 0


def part_of(num_envs: int) -> Part:
    """This process's rows of a batch of `num_envs`. Raises `ValueError` where they do not divide evenly."""
    processes = world_size()
    if num_envs % processes:
        raise ValueError(f"num_envs: expected a multiple of the {processes} processes, got {num_envs}")
    count = num_envs // processes
    return Part((dist.get_rank() if _together() else 0) * count, count, num_envs)


@contextmanager
def joined(device: str) -> Iterator[torch.device]:
    """Train together with the processes that `torchrun` started, if it did; the device for this one.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:1"; of several processes on one machine each gets a GPU of its own.

    Raises:
        ValueError: There is no such device.
    """
    found = find_device(device)
    if dist.is_torchelastic_launched() and found.type == "cuda" and ":" not in device:
        found = find_device(f"cuda:{os.environ['LOCAL_RANK']}")
    if not dist.is_torchelastic_launched() or dist.is_initialized():
        yield found
        return
    if found.type == "cuda":
        torch.cuda.set_device(found)
    store, rank, processes = next(rendezvous("env://"))
    # After a restart the store still knows where the processes of the last attempt listened.
    store = PrefixStore(f"attempt-{_attempt()}", store)
    dist.init_process_group("nccl" if found.type == "cuda" else "gloo", store=store, rank=rank, world_size=processes)
    try:
        yield found
    finally:
        dist.destroy_process_group()


def total(value: Tensor) -> Tensor:
    """The sum over all processes of a tensor without gradients."""
    if not _together():
        return value
    summed = value.detach().clone()
    dist.all_reduce(summed)
    return summed


def sum_gradients(module: nn.Module) -> None:
    """Add up the gradients of all processes, in place and in one message."""
    if not _together():
        return
    parameters = [p for p in module.parameters() if p.requires_grad]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = total(torch.cat([gradient.reshape(-1) for gradient in gradients]))
    pieces = torch.split(flat, [p.numel() for p in parameters])
    for parameter, piece in zip(parameters, pieces, strict=True):
        parameter.grad = piece.view(parameter.shape).contiguous(memory_format=_format(parameter))


def gathered(thing: Thing) -> list[Thing] | None:
    """The objects of all processes, by rank, in the process that leads; None in the others."""
    if not _together():
        return [thing]
    things: list[Thing] | None = [thing] * dist.get_world_size() if leads() else None
    dist.gather_object(thing, things)
    return things


def agreed(signal: Signals | None) -> Signals | None:
    """The signal that one of the processes got, None where none did; the same for all of them."""
    number = _largest(int(signal or 0))
    return Signals(number) if number else None


def anywhere(flag: bool) -> bool:
    """Whether it is so in one of the processes; the same for all of them."""
    return bool(_largest(int(flag)))


def wait_for_all() -> None:
    """Go on when every process has come this far."""
    if _together():
        dist.barrier()


def _attempt() -> int:
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def _largest(number: int) -> int:
    if not _together():
        return number
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    largest = torch.tensor(number, device=device)
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return int(largest)


def _together() -> bool:
    return dist.is_available() and dist.is_initialized()


def _format(tensor: Tensor) -> torch.memory_format:
    return torch.channels_last_3d if tensor.ndim == 5 else torch.contiguous_format
