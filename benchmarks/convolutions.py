"""Time the passes of a single dilated 3x3x3 convolution, and its weight gradient on interleaved grids.

    python -m benchmarks.convolutions
    python -m benchmarks.convolutions --device cuda --channels 32 --batch 8

Channels last, one layer of as many channels in as out; medians in milliseconds. "Interleaved" is the way of
`mecca_agents.bfloat16_convolution`, with the copies that it takes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv3d

from benchmarks.timing import benchmark_parser, machine, measure_and_report, median, milliseconds, wait_for
from mecca_agents.bfloat16_convolution import gradients, subgrids

PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16}


def measure(sizes: tuple[int, ...], dilation: int, dtype: torch.dtype, device: torch.device, repeats: int) -> Any:
    """Medians of every pass of a convolution of inputs of these sizes, (B, C, D, H, W)."""

    def draw(*shape: int) -> Tensor:
        values = torch.randn(shape, device=device).to(dtype)
        return values.contiguous(memory_format=torch.channels_last_3d)

    inputs, gradient, weight = draw(*sizes), draw(*sizes), draw(sizes[1], sizes[1], 3, 3, 3)
    work: dict[str, Callable[[], Any]] = {
        "forward": lambda: conv3d(inputs, weight, padding=dilation, dilation=dilation),
        "input gradient": lambda: gradients(gradient, inputs, weight, dilation, (True, False, False)),
        "weight gradient": lambda: gradients(gradient, inputs, weight, dilation, (False, True, True)),
        "interleaved": lambda: gradients(
            subgrids(gradient, dilation), subgrids(inputs, dilation), weight, 1, (False, True, True)
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(repeats + 1):
        for name, once in work.items():
            taken = milliseconds(lambda once=once: (once(), wait_for(device)))
            if turn:  # the first one warms up
                times[name].append(taken)
    return {name: median(values) for name, values in times.items()}


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Every dilation in both precisions."""
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    sizes = (options.batch, options.channels, *options.shape)
    rows = [
        {"precision": name, "dilation": d, **measure(sizes, d, dtype, device, options.repeats)}
        for name, dtype in PRECISIONS.items()
        for d in options.dilations
    ]
    return {"machine": machine(device), "device": str(device), "sizes": sizes, "rows": rows}


def report(results: dict[str, Any]) -> str:
    """A table."""
    names = list(results["rows"][0])
    about = f"inputs of {' x '.join(map(str, results['sizes']))}, {results['device']}"
    lines = [f"{about}, {results['machine']['threads']} thread; ms", "  ".join(names)]
    for row in results["rows"]:
        cells = (f"{row[name]:.2f}" if isinstance(row[name], float) else str(row[name]) for name in names)
        lines.append("  ".join(cell.rjust(len(name)) for cell, name in zip(cells, names, strict=True)))
    return "\n".join(lines)


def main() -> None:
    """Read the options, measure, print."""
    parser = benchmark_parser(__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=[55, 55, 30])
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--dilations", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--repeats", type=int, default=7)
    measure_and_report(parser, run, report)


if __name__ == "__main__":
    main()
