"""Time that an interactive session takes to open a scan and to answer, and the memory that takes.

    python -m benchmarks.session BraTS20_Training_001_flair.nii.gz --run phantom --threads 2

`phantom` has the networks of the preset `fast`; without `--run` it is `general`. Each line is the
median of `--rounds` steps; beside the time on the clock stands that of the processor, which other work on the machine
changes little.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.timing import benchmark_parser, cpu_model, measure_and_report, median
from mecca_agents.session import InteractiveSession
from mecca_agents.tables import columns

CLICKS = (25, 5, 5, 5, 5)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Play a session in a box in the middle and one in the whole scan."""
    torch.set_num_threads(options.threads)
    with InteractiveSession(options.run, device=str(options.device)) as session:
        scans: Any = options.scans if len(options.scans) > 1 else options.scans[0]
        times = {"open": [_timed(lambda: session.set_image(scans))]}
        shape = np.array(session.shape)
        boxes = {"box": (shape * 3 // 8, shape * 5 // 8), "whole scan": (None, None)}
        for name, box in boxes.items():
            times |= {f"{name}: {part}": values for part, values in _episode(session, box, options.rounds).items()}
        about = {"method": session.model.method, "shape": session.shape, "grid": session.model.config.shape}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # of KiB: GiB
    rows = {name: {"ms": median([t[0] for t in v]), "cpu_ms": median([t[1] for t in v])} for name, v in times.items()}
    return {**about, "cpu": cpu_model(), "threads": options.threads, "rows": rows, "peak_gib": peak}


def report(results: dict[str, Any]) -> str:
    """The same as text."""
    shape, grid = (" x ".join(map(str, results[name])) for name in ("shape", "grid"))
    rows = [[name, f"{row['ms']:.0f}", f"{row['cpu_ms']:.0f}"] for name, row in results["rows"].items()]
    lines = [
        f"{results['method']} on {grid} voxels, a scan of {shape}, {results['cpu']}, {results['threads']} threads",
        columns(["", "ms", "CPU ms"], rows, left=1),
        f"most memory of the process: {results['peak_gib']:.2f} GiB",
    ]
    return "\n".join(lines)


def _episode(session: InteractiveSession, box: Any, rounds: int) -> dict[str, list[tuple[float, float]]]:
    times: dict[str, list[tuple[float, float]]] = {"set_box": [], "add_clicks": [], "step": [], "overlays": []}
    rng, middle = np.random.default_rng(0), session.shape[2] // 2
    inside = True if session.model.config.signed else None
    for _ in range(rounds):
        times["set_box"].append(_timed(lambda: session.set_box(*box)))
        low, high = session.view
        for count in CLICKS:
            points = rng.uniform(low, np.array(high) - 1, (count, 3))
            times["add_clicks"].append(_timed(lambda points=points: session.add_clicks(points, inside)))  # type: ignore[misc]
            times["step"].append(_timed(session.step))
            times["overlays"].append(_timed(lambda: _look(session, middle)))
    return times


def _look(session: InteractiveSession, index: int) -> None:
    """The layers that a page draws of one slice."""
    session.image_slice(2, index)
    for layer in ("mask", "probability", "action", "confidence", "advice"):
        session.overlay(layer, 2, index)  # type: ignore[arg-type]
    session.advice()


def _timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Milliseconds on the clock and of the processor, all threads together."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return 1e3 * (time.perf_counter() - clock), 1e3 * (time.process_time() - cpu)


def main() -> None:
    """Measure and print."""
    parser = benchmark_parser(__doc__)
    parser.add_argument("scans", type=Path, nargs="+", help="one file for each modality")
    parser.add_argument("--run", type=Path, help="a run, by folder or name")
    parser.add_argument("--rounds", type=int, default=3)
    parser.set_defaults(threads=2)
    measure_and_report(parser, run, report)


if __name__ == "__main__":
    main()
