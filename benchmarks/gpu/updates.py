"""Updates of a learner on a GPU, setting by setting, and a profile of one: what limits it.

    python -m benchmarks.gpu.updates --device cuda
    python -m benchmarks.gpu.updates --device cuda --compiled            # no profile; compiling takes minutes
    python -m benchmarks.gpu.updates --device cpu --shape 12 11 10 --channels 4 --num-envs 1 2 --methods mecca

The reference is the quickest single convolution of the same precision that is found on the machine
(`benchmarks.learner.convolution_peak`). What fails, such as for want of memory, is a line of the table that says why.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Iterator
from itertools import islice, product
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.step import Watch
from benchmarks.learner import Contender, convolution_peak
from benchmarks.timing import benchmark_parser, machine, measure_and_report, median, milliseconds
from mecca_agents import PRESETS
from mecca_agents.presets import Preset
from mecca_agents.tables import grid

TYPES = {"float32": torch.float32, "bf16": torch.bfloat16}
LINES = 12
"""Operations and kernels of a profile that are kept, the longest first."""
LONGEST_NAME = 100
"""Characters of a kernel's name that are kept."""


def settings_of(options: argparse.Namespace, device: torch.device) -> Iterator[Preset]:
    """Every combination of precision and batch; of compiled networks, which take minutes, only the largest in bf16."""
    base = PRESETS["paper"].replace(shape=tuple(options.shape), channels=options.channels)
    if options.compiled:
        yield base.replace(num_envs=options.num_envs[-1], precision="bf16", compile=True)
        return
    for precision, count in product(("bf16", "float32") if device.type == "cuda" else ("float32",), options.num_envs):
        yield base.replace(num_envs=count, precision=precision)


def measure(method: str, preset: Preset, device: torch.device, repeats: int, gflops: float) -> dict[str, Any]:
    """Median of `repeats` updates, after two that warm up, and the most memory that was held.

    Args:
        method: Its name.
        preset: Its settings.
        device: Where.
        repeats: Timed updates.
        gflops: Of an update of one episode.
    """
    about = {"precision": preset.network.precision, "compile": preset.network.compile, "num_envs": preset.num_envs}
    on_gpu = device.type == "cuda"
    try:
        if on_gpu:
            torch.cuda.reset_peak_memory_stats(device)
        learner = Contender(method, preset, device)
        watch = Watch(learner.envs)
        for _ in range(2):
            learner.update()
        watch.milliseconds()
        times = [milliseconds(learner.update) for _ in range(repeats)]
    except Exception as error:  # one setting that cannot run does not keep the others from being measured
        return {**about, "failed": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"}
    ms = median(times)
    return {
        **about,
        "ms": ms,
        "steps_ms": watch.milliseconds() / repeats,
        "episodes_per_s": preset.num_envs / ms * 1e3,
        "gflop_per_s": gflops * preset.num_envs / ms * 1e3,
        "peak_gb": torch.cuda.max_memory_allocated(device) / 1e9 if on_gpu else None,
    }


def profiled(method: str, preset: Preset, device: torch.device) -> dict[str, Any]:
    """One update in torch's profiler.

    Returns:
        Milliseconds of the update, how much of it the device was at work, and the longest operations and kernels.
    """
    on_gpu = device.type == "cuda"
    learner = Contender(method, preset, device)
    for _ in range(2):
        learner.update()
    plain = milliseconds(learner.update)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as profiler:
        taken = milliseconds(learner.update)
    averages = profiler.key_averages()
    own = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    host = [event for event in averages if str(event.device_type).endswith("CPU")]
    kernels = [event for event in averages if not str(event.device_type).endswith("CPU")]
    busy = sum(getattr(event, own) for event in (kernels or host)) / 1e3
    return {
        "method": method,
        "precision": preset.network.precision,
        "num_envs": preset.num_envs,
        "ms": plain,
        "profiled_ms": taken,
        "busy_ms": busy,
        "operations": _longest(host, own),
        "kernels": _longest(kernels, own),
    }


def _longest(events: list[Any], own: str) -> list[dict[str, Any]]:
    order = sorted(events, key=lambda event: getattr(event, own), reverse=True)
    return [
        {"name": event.key[:LONGEST_NAME], "calls": event.count, "ms": getattr(event, own) / 1e3}
        for event in islice(order, LINES)
        if getattr(event, own) > 0
    ]


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Every method under every setting, and a profile of the first."""
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    methods: dict[str, dict[str, Any]] = {}
    for method in options.methods:
        base = PRESETS["paper"].replace(shape=tuple(options.shape), channels=options.channels, num_envs=1)
        gflops = Contender(method, base, device, plain=True).flops() / 1e9
        rows = []
        for preset in settings_of(options, device):
            _forget(device)
            rows.append(measure(method, preset, device, options.repeats, gflops))
        _forget(device)
        methods[method] = {"gflops": gflops, "rows": rows}
        if not options.compiled:
            first = next(settings_of(options, device))
            methods[method]["profile"] = profiled(method, first, device)
    _forget(device)
    peaks = {
        name: convolution_peak(options.shape, device, kind) / 1e9
        for name, kind in TYPES.items()
        if device.type == "cuda" or name == "float32"
    }
    about = {"shape": list(options.shape), "channels": options.channels, "repeats": options.repeats}
    return {"machine": machine(device), "device": str(device), **about, "peaks_gflop_per_s": peaks, "methods": methods}


def _forget(device: torch.device) -> None:
    """Give back what earlier settings held, or it would count as the next one's."""
    gc.collect()
    if device.type == "cuda":
        torch.compiler.reset()
        torch.cuda.empty_cache()


def table(found: dict[str, Any]) -> str:
    """What was found, as Markdown."""
    rows = []
    for method, about in found["methods"].items():
        for row in about["rows"]:
            head = [method, row["precision"], "yes" if row["compile"] else "no", str(row["num_envs"])]
            if "failed" in row:
                rows.append([*head, row["failed"], *[""] * 5])
                continue
            peak = found["peaks_gflop_per_s"][row["precision"]]
            times = [f"{row['ms']:.1f}", f"{row['steps_ms']:.1f}", f"{row['episodes_per_s']:.2f}"]
            held = "" if row["peak_gb"] is None else f"{row['peak_gb']:.1f}"
            rows.append([*head, *times, f"{row['gflop_per_s'] / 1e3:.1f}", f"{row['gflop_per_s'] / peak:.0%}", held])
    names = ["method", "precision", "compiled", "episodes", "an update ms", "env steps of it ms", "episodes a second"]
    names += ["TFLOP/s", "share of the quickest convolution", "GB held"]
    peaks = ", ".join(f"{value / 1e3:.1f} TFLOP/s in {name}" for name, value in found["peaks_gflop_per_s"].items())
    where = found["machine"].get("gpu") or found["machine"]["cpu"]
    parts = [
        f"### Learner, {found['channels']} channels, {where}\n\nUpdates of five steps at "
        f"{' x '.join(map(str, found['shape']))}, all dilations of the paper. float32 on a GPU is "
        f"TF32 in convolutions, as is torch's default. The quickest convolution: {peaks}.\n\n"
        f"{grid(names, rows, padded=False)}"
    ]
    profiles = [_profile_table(about["profile"]) for about in found["methods"].values() if "profile" in about]
    return "\n\n".join([*parts, *profiles])


def _profile_table(found: dict[str, Any]) -> str:
    listed = found["kernels"] or found["operations"]
    rows = [
        [f"`{row['name']}`".replace("|", "/"), str(row["calls"]), f"{row['ms']:.2f}", f"{row['ms'] / found['ms']:.0%}"]
        for row in listed
    ]
    kind = "kernels" if found["kernels"] else "operations"
    return (
        f"An update of {found['method']}, {found['precision']}, {found['num_envs']} episode(s): {found['ms']:.1f} ms, "
        f"of which the device is at work {found['busy_ms'] / found['ms']:.0%}. Its longest {kind}:\n\n"
        f"{grid([kind, 'calls', 'ms', 'share'], rows, padded=False)}"
    )


def main() -> None:
    """Read the options, measure, print."""
    parser = benchmark_parser(__doc__)
    parser.add_argument("--methods", nargs="+", default=["iter-mrl", "mecca"])
    parser.add_argument("--shape", type=int, nargs=3, default=[55, 55, 30])
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--num-envs", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--compiled", action="store_true", help="compiled networks in place of the others")
    parser.add_argument("--repeats", type=int, default=5)
    measure_and_report(parser, run, table)


if __name__ == "__main__":
    main()
