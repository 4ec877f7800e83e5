"""The env step on a GPU: Triton against torch, alone and within a learner's loop, and whether it waits for the device.

    python -m benchmarks.gpu.step --device cuda
    python -m benchmarks.gpu.step --device cpu --batch 2 --shape 12 11 10 --loop-envs 2 --channels 4   # whether it runs

Alone, compiled loops, torch and a copy of memory take turns on the same actions. "Waited for" is a step whose end is
waited for, as a policy on the host would; "in a row" is one of many that are asked for at once. Within the loop the
same agent learns on both, and what its steps take is measured on the device, by events before and behind each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.learner import Contender
from benchmarks.scaling import SHAPE, STEPS, make
from benchmarks.timing import (
    BYTES_PER_VOXEL,
    Copy,
    benchmark_parser,
    machine,
    measure_and_report,
    median,
    milliseconds,
    wait_for,
)
from mecca_agents import PRESETS
from mecca_agents.tables import grid
from mecca_env.kernels.backend import is_compiled, plain_torch
from mecca_env.vector_env import MeccaVectorEnv

LOOPS: dict[str, Callable[[], AbstractContextManager[None]]] = {"compiled": nullcontext, "torch": plain_torch}
"""Whose inner loops run, and within what."""


def alone(batch: int, shape: tuple[int, ...], device: torch.device, rounds: int) -> dict[str, Any]:
    """Both kinds of loops and a copy by turns, with no learner.

    Args:
        batch: B, episodes.
        shape: Of a grid, (D, H, W).
        device: Where.
        rounds: Episodes played by each, after one that warms up.

    Returns:
        Of each kind milliseconds of a step and its share of the copy's bandwidth, waited for and in a row, and the
        copy's GB/s.
    """
    envs = {kind: make(batch, shape, device) for kind in LOOPS}
    copy = Copy(device)
    action = torch.randint(6, (batch, *shape), dtype=torch.uint8).to(device)
    waited: dict[str, list[float]] = {kind: [] for kind in LOOPS}
    queued: dict[str, list[float]] = {kind: [] for kind in LOOPS}
    copies: list[float] = []
    for number in range(rounds + 1):
        for kind, loops in LOOPS.items():
            with loops():
                first, rest = _episode(envs[kind], action)
            if number:
                waited[kind] += first
                queued[kind].append(rest)
        copies += [milliseconds(copy) for _ in range(4)]
    bandwidth, moved = copy.gb_per_s(copies), BYTES_PER_VOXEL * batch * int(np.prod(shape)) / 1e6
    rows = {}
    for kind in LOOPS:
        one, many = median(waited[kind]), median(queued[kind])
        rows[kind] = {
            "ms": one,
            "share": moved / one / bandwidth,
            "queued_ms": many,
            "queued_share": moved / many / bandwidth,
            "waits": what_waits(envs[kind], action, loops=LOOPS[kind]),
        }
        envs[kind].close()
    return {"batch": batch, "shape": list(shape), "copy_gb_per_s": bandwidth, "loops": rows}


def _episode(envs: MeccaVectorEnv, action: Tensor) -> tuple[list[float], float]:
    """Milliseconds of half of an episode's steps, each waited for, and of one of the other half in a row."""
    half = STEPS // 2
    envs.reset(seed=0)
    envs.step(action)
    wait_for(envs.device)

    def once() -> None:
        envs.step(action)
        wait_for(envs.device)

    def many() -> None:
        for _ in range(half):
            envs.step(action)
        wait_for(envs.device)

    return [milliseconds(once) for _ in range(half)], milliseconds(many) / half


def what_waits(
    envs: MeccaVectorEnv, action: Tensor, loops: Callable[[], AbstractContextManager[None]] = nullcontext
) -> str | None:
    """CUDA's complaint about a step in the middle of an episode that waits for the device.

    Returns:
        Its first line; "" where nothing waits, None on a device that has no such check.
    """
    if envs.device.type != "cuda":
        return None
    with loops():
        envs.reset(seed=0)
        envs.step(action)
        torch.cuda.set_sync_debug_mode("error")
        try:
            envs.step(action)
        except RuntimeError as error:
            return str(error).splitlines()[0]
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return ""


class Watch:
    """Measures every step of an env while others ask for it.

    Args:
        envs: Whose `step` is replaced by one that is measured.
    """

    def __init__(self, envs: MeccaVectorEnv) -> None:
        self._device, self._step = envs.device, envs.step
        self._spans: list[Callable[[], float]] = []
        envs.step = self._measured  # type: ignore[method-assign]

    def _measured(self, actions: Any) -> Any:
        with self._span():
            return self._step(actions)

    @contextmanager
    def _span(self) -> Iterator[None]:
        if self._device.type != "cuda":
            start = time.perf_counter()
            yield
            taken = (time.perf_counter() - start) * 1e3
            self._spans.append(lambda: taken)
            return
        before, behind = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        before.record()
        yield
        behind.record()
        self._spans.append(lambda: before.elapsed_time(behind))

    def milliseconds(self) -> float:
        """Of all steps since the last call."""
        wait_for(self._device)
        taken = sum(span() for span in self._spans)
        self._spans.clear()
        return taken


def in_a_loop(options: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Both kinds of loops by turns under the same learner: milliseconds of an update, and of the steps in it."""
    preset = PRESETS["paper"].replace(
        **{"shape": tuple(options.shape), "num_envs": options.loop_envs, "channels": options.channels},
        precision="bf16" if device.type == "cuda" else "float32",
    )
    learners = {kind: Contender(options.method, preset, device) for kind in LOOPS}
    watches = {kind: Watch(learner.envs) for kind, learner in learners.items()}
    updates: dict[str, list[float]] = {kind: [] for kind in LOOPS}
    steps: dict[str, list[float]] = {kind: [] for kind in LOOPS}
    for number in range(options.repeats + 1):
        for kind, loops in LOOPS.items():
            with loops():
                taken = milliseconds(learners[kind].update)
            inside = watches[kind].milliseconds()
            if number:
                updates[kind].append(taken)
                steps[kind].append(inside)
    rows = {kind: {"update_ms": median(updates[kind]), "steps_ms": median(steps[kind])} for kind in LOOPS}
    return {"method": options.method, "num_envs": options.loop_envs, "channels": options.channels, "loops": rows}


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Both, as plain numbers."""
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    return {
        "machine": machine(device),
        "device": str(device),
        "compiled": is_compiled(device),
        "alone": alone(options.batch, tuple(options.shape), device, options.repeats),
        "in_a_loop": in_a_loop(options, device),
    }


def table(found: dict[str, Any]) -> str:
    """What was found, as Markdown."""
    first, second = found["alone"], found["in_a_loop"]
    compiled, plain = (second["loops"][kind] for kind in ("compiled", "torch"))
    alone_ratio = first["loops"]["torch"]["queued_ms"] / first["loops"]["compiled"]["queued_ms"]
    rows = []
    for kind, row in first["loops"].items():
        inside = second["loops"][kind]
        waits = {None: "not to be seen on this device", "": "no"}.get(row["waits"], row["waits"])
        times = [f"{row['ms']:.3f}", f"{row['share']:.0%}", f"{row['queued_ms']:.3f}", f"{row['queued_share']:.0%}"]
        rows.append([kind, *times, str(waits), f"{inside['steps_ms']:.2f}", f"{inside['update_ms']:.1f}"])
    head = ["loops", "a step, waited for ms", "share of copy", "in a row ms", "share of copy", "waits for the device"]
    head += ["steps within an update ms", "an update ms"]
    where = found["machine"].get("gpu") or found["machine"]["cpu"]
    return (
        f"### Env step, {where}\n\nOf {first['batch']} episodes at {' x '.join(map(str, first['shape']))}; a copy of "
        f"memory moves {first['copy_gb_per_s']:.0f} GB/s. Within an update: five steps of {second['num_envs']} "
        f"episodes under {second['method']} with {second['channels']} channels.\n\n"
        f"{grid(head, rows, padded=False)}\n\n"
        f"Compiled loops are {alone_ratio:.1f} times as fast alone, "
        f"{plain['steps_ms'] / compiled['steps_ms']:.1f} times within the learner's loop, and make an update "
        f"{plain['update_ms'] / compiled['update_ms']:.2f} times as fast."
    )


def main() -> None:
    """Read the options, measure, print."""
    parser = benchmark_parser(__doc__)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--shape", type=int, nargs=3, default=list(SHAPE))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--method", default="iter-mrl")
    parser.add_argument("--loop-envs", type=int, default=8, help="episodes of the learner")
    parser.add_argument("--channels", type=int, default=64, help="of the learner")
    measure_and_report(parser, run, table)


if __name__ == "__main__":
    main()
