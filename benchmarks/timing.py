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

COPY_BYTES = 256 * 2**20
"""Size of the buffer that is copied: several times the largest cache of a common machine."""


def milliseconds(work: Callable[[], Any]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def median(times: Sequence[float]) -> float:
    """The median, which a burst of other work on the machine hardly moves."""
    return statistics.median(times)


def copy_bandwidth(repeats: int = 8, size: int = COPY_BYTES) -> float:
    """Bytes read and written per second by the quicker of torch's and NumPy's copy, best of `repeats`, in GB/s."""
    source, target = torch.ones(size // 4), torch.zeros(size // 4)
    source_array, target_array = source.numpy(), target.numpy()
    best = min(
        min(milliseconds(lambda: target.copy_(source)), milliseconds(lambda: np.copyto(target_array, source_array)))
        for _ in range(repeats)
    )
    return 2 * size / best / 1e6


def machine() -> dict[str, Any]:
    """What the numbers depend on besides the code."""
    import monai
    import scipy

    return {
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
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number there")
    return parser


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
