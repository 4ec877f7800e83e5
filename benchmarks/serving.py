"""Time that a viewer waits for a server of `mecca serve`: opening a scan, a prompt, undo.

    python -m benchmarks.serving scan.nii.gz --run runs/spleen --threads 2

The client is the one that viewers use (package nninteractive-client), on this machine's own address. Without a scan it
is a phantom of 240 x 240 x 155 voxels. Points are at random places in the middle of the scan.
"""

from __future__ import annotations

import argparse
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.timing import benchmark_parser, cpu_model, measure_and_report, median
from mecca_agents.serve import Settings, make_app
from mecca_agents.session import load_model
from mecca_agents.tables import columns
from mecca_env.data.phantom import phantom_scan
from mecca_env.data.reading import read_image

SHAPE = (240, 240, 155)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Open the scan and prompt in it."""
    from nnInteractive.inference.remote import nnInteractiveRemoteInferenceSession as Client

    torch.set_num_threads(options.threads)
    model = load_model(options.run, device=str(options.device))
    image = _image(options.scan).T  # as viewers have it, (z, y, x)
    rng, shape = np.random.default_rng(0), np.array(image.shape)
    with _served(model) as url:
        client = Client(url)
        buffer = np.zeros(image.shape, np.uint8)
        times = {"set_image": _timed(options.openings, lambda: client.set_image(image[None], {"spacing": [1, 1, 1]}))}
        client.set_target_buffer(buffer)
        flat = [[int(n * 0.4), int(n * 0.6)] for n in shape[1:]]
        middle = int(shape[0] // 2)
        box = [[middle, middle + 1], *flat]
        times["box on one slice"] = _timed(1, lambda: client.add_bbox_interaction(box, True))
        times["point"] = _timed(options.prompts, lambda: _point(client, rng, shape))
        area = np.ones((1, *(b - a for a, b in flat)), np.uint8)
        times["lasso"] = _timed(1, lambda: client.add_lasso_interaction(area, True, interaction_bbox=box))
        times["undo"] = _timed(1, client.undo)
        mask = np.zeros_like(buffer)
        mask[tuple(slice(a, b) for a, b in [[middle - 5, middle + 5], *flat])] = 1
        times["first mask"] = _timed(1, lambda: client.add_initial_seg_interaction(mask))
        client.close()
    rows = {name: {"ms": median(found), "most": max(found), "count": len(found)} for name, found in times.items()}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # of KiB: GiB
    about = {"method": model.method, "grid": model.config.shape, "shape": image.shape[::-1], "cpu": cpu_model()}
    return {**about, "threads": options.threads, "rows": rows, "peak_gib": peak}


def report(results: dict[str, Any]) -> str:
    """The same as text."""
    shape, grid = (" x ".join(map(str, results[name])) for name in ("shape", "grid"))
    rows = [
        [name, str(row["count"]), f"{row['ms']:.0f}", f"{row['most']:.0f}"] for name, row in results["rows"].items()
    ]
    lines = [
        f"{results['method']} on {grid} voxels, a scan of {shape}, {results['cpu']}, {results['threads']} threads",
        columns(["", "times", "ms, median", "most"], rows, left=1),
        f"most memory of server and client together: {results['peak_gib']:.2f} GiB",
    ]
    return "\n".join(lines)


def _image(scan: Path | None) -> NDArray[np.float32]:
    if scan is None:
        return np.asarray(phantom_scan(3, size=SHAPE)[0][0].numpy(), np.float32)
    return read_image([scan], 1)[0][0]


def _point(client: Any, rng: np.random.Generator, shape: NDArray[np.int64]) -> None:
    middle = rng.uniform(0.35, 0.65, 3) * shape
    client.add_point_interaction(tuple(middle.tolist()), bool(rng.integers(2)))


def _timed(count: int, work: Callable[[], Any]) -> list[float]:
    """Milliseconds on the clock of each time that something is done."""
    found = []
    for _ in range(count):
        begun = time.perf_counter()
        work()
        found.append(1e3 * (time.perf_counter() - begun))
    return found


@contextmanager
def _served(model: Any) -> Iterator[str]:
    """A server in this process; its address."""
    import uvicorn

    os.environ["NO_PROXY"] = "127.0.0.1"  # which the client would ask for this machine, too
    app, _ = make_app(model, Settings(port=0))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def main() -> None:
    """Measure and print."""
    parser = benchmark_parser(__doc__)
    parser.add_argument("scan", type=Path, nargs="?", help="a file; by default a phantom")
    parser.add_argument("--run", help="a run's folder, or the name of one that comes with the package")
    parser.add_argument("--prompts", type=int, default=30)
    parser.add_argument("--openings", type=int, default=3)
    parser.set_defaults(threads=2)
    measure_and_report(parser, run, report)


if __name__ == "__main__":
    main()
