"""Time the env step at 55x55x30 against the same step in NumPy/SciPy and against MONAI's click transforms.

    python -m benchmarks.step
    python -m benchmarks.step --batches 8 --repeats 4 --json step.json

One process, one thread. The contenders are interleaved in random order; medians, and ratios of medians of the same run.
Time nothing while something else runs.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

_HEADINGS = (
    *("B", "compiled ms", "ms per env", "torch ms", "NumPy/SciPy ms", "x compiled", "x torch"),
    *("tuned NumPy ms", "x compiled", "MONAI ms", "x compiled", "SAM-Med3D ms", "x compiled"),
    *("GB/s", "copy GB/s", "share of copy"),
)
_FORMATS = (
    *("d", ".2f", ".3f", ".2f", ".2f", ".1f", ".1f"),
    *(".2f", ".1f", ".2f", ".1f", ".2f", ".1f"),
    *(".2f", ".1f", ".1%"),
)


def main() -> None:
    """Read the options, measure, print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step", description="Time the env step.")
    parser.add_argument("--repeats", type=_positive, default=8, help="timed episodes, of four timed steps each")
    parser.add_argument("--batches", type=_positive, nargs="+", default=[1, 8, 32], help="numbers of episodes, B")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every time there")
    options = parser.parse_args()
    # Read by the numerical libraries when they are loaded, so before `suite` is.
    for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR"):
        os.environ[f"{name}_NUM_THREADS"] = "1"
    from benchmarks.suite import run

    results = run(options.batches, options.repeats)
    print(report(results))
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def report(results: dict[str, Any]) -> str:
    """The table and what belongs to it, from `benchmarks.suite.run`."""
    from mecca_agents.tables import columns  # late: it loads the numerical libraries

    about = results["machine"]
    versions = ", ".join(f"{name} {about[name]}" for name in ("torch", "numpy", "scipy", "monai", "python"))
    rows = [
        [format(value, form) for value, form in zip(row.values(), _FORMATS, strict=True)] for row in results["table"]
    ]
    lines = [
        f"env step, 55x55x30, 5 clicks; one process, {about['threads']} thread; "
        f"medians of {results['repeats']} steps, contenders interleaved",
        f"{about['cpu']}; {versions}",
        "",
        columns(_HEADINGS, rows, gap=" | "),
        "",
        "GB/s: 22 bytes a voxel for the step, read and written for the copy, of 256 MiB",
        "MONAI: five Deepgrow clicks and one guidance map, nothing else of the step, in a loop over the cases",
        "SAM-Med3D: five random voxels of the error region, nothing else of the step",
    ]
    parts = dict(results["parts_ms_per_episode"])
    phantom = parts.pop("phantom")
    for batch, part in parts.items():
        lines.append(
            f"B = {batch}, ms per episode: our clicks {part['click']:.3f}, our hint {part['hint']:.3f}; "
            f"Deepgrow, one click {part['deepgrow_click']:.2f}; DeepEdit, one round {part['deepedit']:.2f}; "
            f"reset without drawing a phantom {part['reset']:.1f}"
        )
    return "\n".join([*lines, f"drawing a phantom: {phantom:.0f} ms"])


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected an integer of at least 1, got {text}")
    return value


if __name__ == "__main__":
    main()
