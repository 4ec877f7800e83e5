"""Measure everything that docs/performance.md reports, and write its tables and plots.

    python -m benchmarks.performance                    # about fifteen minutes; time nothing else meanwhile
    python -m benchmarks.performance --device cuda      # what there is to measure on a GPU
    python -m benchmarks.performance --only step scaling
    python -m benchmarks.performance --only             # nothing: tables and plots from what was measured before
    python -m benchmarks.performance --device cuda --folder runs/gpu --only cuda_step    # elsewhere; writes no page

Every part is a process of its own with one thread. What it found lies in `docs/performance/PART.json`, so a part can be
measured again, or on another machine, without the others.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.document import DOCS, write_document
from benchmarks.gpu import step as gpu_step
from benchmarks.gpu import updates as gpu_updates
from benchmarks.timing import device_there, median, milliseconds
from mecca_agents.benchmark.cells import make_cells
from mecca_agents.tables import grid
from mecca_env.atomic import atomically

DOCUMENT, FOLDER, IMAGES = DOCS / "performance.md", DOCS / "performance", DOCS / "images"
MARKS = ("<!-- tables, written by benchmarks.performance -->", "<!-- end of tables -->")
DICE = 0.7
"""The Dice on training cases whose time is reported."""

_table = partial(grid, padded=False)


def by_module(module: str, flags: str, path: Path) -> None:
    """A part that is a benchmark of its own."""
    _run([sys.executable, "-m", f"benchmarks.{module}", *flags.split(), "--json", str(path)])


def startup(path: Path) -> None:
    """Time that Python takes to import torch, mecca_env besides, and to make an env besides; medians, in seconds."""
    programs = {
        "torch": "import torch",
        "mecca_env": "import torch, mecca_env",
        "gym.make": "import torch, mecca_env, gymnasium; gymnasium.make('MECCA-Phantom-v0')",
    }
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(8):
        for name, program in programs.items():
            times[name].append(milliseconds(partial(_run, [sys.executable, "-c", program])) / 1e3)
    found = {name: median(values) for name, values in times.items()}
    path.write_text(json.dumps(found, indent=1) + "\n")


def processes(path: Path) -> None:
    """Seconds for an update of four episodes, in one process and in two with two episodes each."""
    found = {}
    for count in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
            flags = ["--env", "MECCA-Phantom-v0", "--preset", "fast", "--num-envs", "4", "--updates", "12"]
            flags += ["--out", str(run)]
            _run([sys.executable, *torchrun, "-m", "mecca_agents.cli", "train", "mecca", *flags, "--device", "cpu"])
            with (run / "metrics.csv").open(newline="") as file:
                seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
        found[str(count)] = median([b - a for a, b in zip(seconds[1:], seconds[2:], strict=False)])
    path.write_text(json.dumps(found, indent=1) + "\n")


PARTS: dict[str, dict[str, Callable[[Path], None]]] = {
    "cpu": {
        "step": partial(by_module, "step", ""),
        "reset": partial(by_module, "reset", ""),
        "scaling": partial(by_module, "scaling", ""),
        "learner": partial(by_module, "learner", ""),
        # The paper's grid, one episode at a time to save memory.
        "learner_paper": partial(
            by_module, "learner", "--shape 55 55 30 --dilations 1 2 3 4 5 --num-envs 1 --repeats 3"
        ),
        "startup": startup,
        "processes": processes,
    },
    "cuda": {
        "cuda_step": partial(by_module, "gpu.step", "--device cuda"),
        "cuda_updates": partial(by_module, "gpu.updates", "--device cuda"),
        "cuda_compiled": partial(by_module, "gpu.updates", "--device cuda --compiled"),
        "cuda_scaling": partial(by_module, "scaling", "--device cuda --batches 1 8 64 256 512"),
        # Two episodes: the plain network holds every activation in float32, and again behind each rectifier.
        "cuda_learner": partial(by_module, "learner", "--device cuda --preset paper --num-envs 2"),
        "cuda_reset": partial(by_module, "reset", "--device cuda"),
    },
}
"""Parts that are measured on each kind of device, those that matter most first."""

EVERY = {name: part for parts in PARTS.values() for name, part in parts.items()}
"""All of them by name."""


def tables(found: dict[str, Any]) -> str:
    """Everything that was measured, as Markdown."""
    parts = [table_of(name, found[name]) for name in _TABLES if name in found]
    return "\n\n".join([*parts, _time_to_dice()])


def table_of(name: str, found: dict[str, Any]) -> str:
    """What one part found, as Markdown."""
    return _TABLES[name](found)


def _step(found: dict[str, Any]) -> str:
    rows = [
        [
            f"{row['batch']:.0f}",
            f"{row['ours_ms_per_env']:.3f}",
            f"{row['torch_ms'] / row['batch']:.3f}",
            f"{row['formula_ms'] / row['batch']:.2f}",
            f"{row['formula_ratio']:.0f}",
            f"{row['formula_torch_ratio']:.1f}",
            f"{row['tuned_ms'] / row['batch']:.2f}",
            f"{row['tuned_ratio']:.1f}",
            f"{row['monai_ms'] / row['batch']:.1f}",
            f"{row['monai_ratio']:.0f}",
            f"{row['error_clicks_ms'] / row['batch']:.2f}",
            f"{row['error_clicks_ratio']:.1f}",
            f"{row['copy_gb_per_s']:.1f}",
            f"{row['copy_share']:.0%}",
        ]
        for row in found["table"]
    ]
    head = [
        *("episodes", "compiled", "torch", "NumPy by the formulas", "x compiled", "x torch"),
        *("NumPy tuned", "x compiled", "MONAI's clicks alone", "x compiled"),
        *("SAM-Med3D's clicks alone", "x compiled", "copy, GB/s", "share of it"),
    ]
    about = found["machine"]
    return (
        f"### Env step\n\nMilliseconds for each episode at 55 x 55 x 30 with five clicks; {about['cpu']}, "
        f"{about['threads']} thread.\n\n{_table(head, rows)}"
    )


def _reset(found: dict[str, Any]) -> str:
    makers = ("reset compiled", "reset torch", "compiled", "torch", "SciPy", "grid_sample", "MONAI")
    grids = [[" x ".join(map(str, row["grid"])), *(f"{row[name]:.2f}" for name in makers)] for row in found["grids"]]
    head = ["grid", "reset, compiled", "torch", "resampling alone, compiled", "torch", "SciPy", "grid_sample", "MONAI"]
    streams = [
        [row["cases"], row["learner"], *(f"{row[f'{way} reset']:.1f}" for way in ("kept", "read", "ahead"))]
        for row in found["streams"]
    ]
    return (
        f"### Reset, {_where(found)}\n\nMilliseconds for each episode.\n\n{_table(head, grids)}"
        "\n\nThe same, of a reset among episodes of a learner that takes 50 ms for each, by where the case comes from: "
        "files of the disk cache, or phantoms, which are drawn.\n\n"
        + _table(["cases", "the learner is", "kept on the device", "read when needed", "fetched ahead"], streams)
    )


def _scaling(found: dict[str, Any]) -> str:
    batches = [
        [
            str(row["batch"]),
            f"{row['ms'] / row['batch']:.3f}",
            f"{row['bytes'] / 1e6:.2f}",
            f"{row['copy_share']:.0%}",
        ]
        for row in found["batches"]
    ]
    sides = [
        [f"{row['side']}^3", f"{row['ms']:.3f}", f"{row['ms'] * 1e6 / row['voxels']:.2f}"] for row in found["sides"]
    ]
    cases = [[str(row["cases"]), f"{row['ms']:.3f}"] for row in found["cases"]]
    return "\n\n".join(
        [
            f"### How the cost of a step grows, {_where(found)}",
            f"![Time of a step against episodes, voxels and cases](images/{_plot_of(found)})",
            _table(["episodes", "ms each", "MB each on the device", "share of copy bandwidth"], batches),
            _table(["grid", "ms", "ns a voxel"], sides),
            _table(["cases", "ms each"], cases),
        ]
    )


def _learner(found: dict[str, Any]) -> str:
    rows = [
        [
            method,
            precision,
            f"{row['two_passes_ms']:.0f}",
            f"{row['one_pass_ms']:.0f}",
            f"{ours['ms']:.0f}",
            f"{ours['two_passes_ratio']:.2f}",
            f"{ours['one_pass_ratio']:.2f}",
            f"{ours['gflop_per_s']:.0f}",
            f"{ours['peak_share']:.0%}",
            f"{row['plain_answer_ms']:.1f}",
            f"{ours['answer_ms']:.1f}",
            f"{ours['answer_ratio']:.2f}",
        ]
        for method, row in found["methods"].items()
        for precision, ours in row["ours"].items()
    ]
    head = [
        *("method", "precision", "update, plain, two passes ms", "one pass ms", "ours ms", "ratio", "ratio"),
        *("GFLOP/s", "share of the quickest convolution", "an answer, plain ms", "ours ms", "ratio"),
    ]
    return (
        f"### Learner, {' x '.join(map(str, found['shape']))} voxels, {_where(found)}\n\nAn update of "
        f"{found['num_envs']} episode(s) of five steps, {found['channels']} channels, dilations "
        f"{' '.join(map(str, found['dilations']))}; plain is float32; an answer is that to one volume.\n\n"
        f"{_table(head, rows)}"
    )


def _where(found: dict[str, Any]) -> str:
    """The processor or GPU that computed."""
    about = found["machine"]
    return about.get("gpu") or f"{about['threads']} thread of a CPU"


def _startup(found: dict[str, Any]) -> str:
    return (
        f"### Start\n\n`import torch` takes {found['torch']:.2f} s, `import mecca_env` "
        f"{max(found['mecca_env'] - found['torch'], 0.0):.2f} s more, `gymnasium.make` of the phantom "
        f"{found['gym.make'] - found['mecca_env']:.2f} s more."
    )


def _processes(found: dict[str, Any]) -> str:
    one, two = found["1"], found["2"]
    return (
        f"### Processes\n\nAn update of MECCA, preset `fast` with four episodes: {one:.2f} s in one process with one "
        f"thread, {two:.2f} s in two with half of the episodes each: {one / two:.2f} times as fast."
    )


def _plot_of(found: dict[str, Any]) -> str:
    """Name of the file."""
    return "scaling_cuda.png" if "gpu" in found["machine"] else "scaling.png"


_TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "step": _step,
    "reset": _reset,
    "scaling": _scaling,
    "learner": _learner,
    "learner_paper": _learner,
    "startup": _startup,
    "processes": _processes,
    "cuda_step": gpu_step.table,
    "cuda_updates": gpu_updates.table,
    "cuda_compiled": gpu_updates.table,
    "cuda_scaling": _scaling,
    "cuda_learner": _learner,
    "cuda_reset": _reset,
}


def _time_to_dice() -> str:
    """From the curves of the results."""
    lines = []
    for cell in make_cells(("mecca", "iter-mrl"), seeds=range(3)):
        about = DOCS / "results" / "Hippocampus" / "results" / f"{cell.name}.json"
        if about.exists():
            found = json.loads(about.read_text())
            curve = found["curve"]["dice"]
            tenth = next((i for i, dice in enumerate(curve, 1) if dice >= DICE), None)
            reached = "not reached" if tenth is None else f"{found['minutes'] * tenth / len(curve):.1f}"
            lines.append([cell.method, str(cell.seed), reached, f"{found['minutes']:.1f}"])
    head = ["method", "seed", f"minutes to a Dice of {100 * DICE:.0f} %", "minutes in all"]
    return (
        "### Time to a Dice\n\nTask04_Hippocampus, preset `brief`, one thread, beside other trainings; Dice "
        f"after step 5 on training cases, averaged over a tenth of the training.\n\n{_table(head, lines)}"
    )


def plot(found: dict[str, Any], path: Path) -> None:
    """Time of a step against episodes, voxels and cases."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.2), layout="constrained")
    panels: list[tuple[str, str, Sequence[float], Sequence[float]]] = [
        ("episodes", "ms for each", *_pairs(found["batches"], "batch", lambda r: r["ms"] / r["batch"])),
        ("voxels", "ms", *_pairs(found["sides"], "voxels", lambda r: r["ms"])),
        ("cases in the data set", "ms for each", *_pairs(found["cases"], "cases", lambda r: r["ms"])),
    ]
    for axes, (name, unit, x, y) in zip(figure.subplots(1, 3), panels, strict=True):
        axes.plot(x, y, "o-", color="#0072B2")
        axes.set_xscale("log", base=2)
        axes.set_xlabel(name)
        axes.set_ylabel(unit)
        if name == "voxels":
            axes.set_yscale("log", base=2)
            axes.plot(x, [y[0] * v / x[0] for v in x], "--", color="0.5", label="linear")
            axes.legend(frameon=False)
        else:
            axes.set_ylim(0, 2 * max(y))
        axes.spines[["top", "right"]].set_visible(False)
    atomically(path, lambda temporary: figure.savefig(temporary, dpi=110, format="png"))


def _pairs(
    rows: Sequence[dict[str, Any]], key: str, value: Callable[[dict[str, Any]], float]
) -> tuple[list[float], list[float]]:
    return [row[key] for row in rows], [value(row) for row in rows]


def _run(command: Sequence[str]) -> None:
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")}
    subprocess.run(command, check=True, env={**os.environ, **threads}, stdout=subprocess.DEVNULL)


def write_page() -> None:
    """Put tables and plots of all that was measured, here or elsewhere, into the page."""
    found = {name: json.loads(path.read_text()) for name in EVERY if (path := FOLDER / f"{name}.json").exists()}
    for name in ("scaling", "cuda_scaling"):
        if name in found:
            plot(found[name], IMAGES / _plot_of(found[name]))
    write_document(tables(found), DOCUMENT, MARKS)


def main() -> None:
    """Measure the parts asked for, then write tables and plots of all that there are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", type=device_there, default="cpu", help="what to measure: cpu or cuda")
    parser.add_argument("--only", nargs="*", choices=list(EVERY), help="measure these parts only")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for what is found; another one writes no page")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in PARTS[options.device.type] if options.only is None else options.only:
        print(f"measuring {name}", file=sys.stderr, flush=True)
        EVERY[name](options.folder / f"{name}.json")
    if options.folder == FOLDER:
        write_page()


if __name__ == "__main__":
    main()
