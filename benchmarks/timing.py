"""Timing in rounds, the machine's copy bandwidth, and what the machine is."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mecca_agents.runtime.devices import find_device

COPY_BYTES = 256 * 2**20
"""Size of the buffer that is copied: several times the largest cache of a common machine."""

BYTES_PER_VOXEL = 22
"""Of an env step: read action 1, probability 4, label 1 and hint 4; write probability, hint and gain 12."""


def milliseconds(work: Callable[[], Any]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def median(times: Sequence[float]) -> float:
    """The median, which a burst of other work on the machine hardly moves."""
    return statistics.median(times)


class Copy:
    """A copy of memory to compare with; on a CPU by the quicker of torch and NumPy.

    Args:
        device: Whose memory.
        size: Bytes to copy.
    """

    def __init__(self, device: torch.device | str = "cpu", size: int = COPY_BYTES) -> None:
        self._device, self._size = torch.device(device), size
        source, target = torch.ones(size // 4, device=device), torch.zeros(size // 4, device=device)
        ways: list[Callable[[], Any]] = [lambda: target.copy_(source)]
        if self._device.type == "cpu":
            ways.append(lambda: np.copyto(target.numpy(), source.numpy()))
        self._quickest = min(ways, key=lambda way: min(milliseconds(way) for _ in range(4)))

    def __call__(self) -> None:
        """Copy once."""
        self._quickest()
        wait_for(self._device)

    def gb_per_s(self, times: Sequence[float]) -> float:
        """Gigabytes read and written per second at the median of these times, in milliseconds."""
        return 2 * self._size / median(times) / 1e6


def wait_for(device: torch.device) -> None:
    """Return when the device has done all that it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def machine(device: torch.device | str = "cpu") -> dict[str, Any]:
    """The machine that the numbers depend on besides the code."""
    import monai
    import scipy

    on_gpu = torch.device(device).type == "cuda"
    return {
        **({"gpu": torch.cuda.get_device_name(device)} if on_gpu else {}),
        "cpu": cpu_model(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "monai": monai.__version__,
    }


def cpu_model() -> str:
    """The processor's name."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def benchmark_parser(description: str | None) -> argparse.ArgumentParser:
    """The options that benchmarks of the env and of the learner share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", type=device_there, default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number there")
    return parser


def device_there(name: str) -> torch.device:
    """A device by its name, for `argparse`. Raises `argparse.ArgumentTypeError` where there is none."""
    try:
        return find_device(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def measure_and_report(
    parser: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace], dict[str, Any]],
    report: Callable[[dict[str, Any]], str],
) -> None:
    """Read the options, measure, print, and write what was measured where that was asked for."""
    options = parser.parse_args()
    results = run(options)
    print(report(results))
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
