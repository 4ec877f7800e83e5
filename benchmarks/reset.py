"""Time a reset against SciPy, torch and MONAI doing the resampling alone, and cases that come from the disk.

    python -m benchmarks.reset
    python -m benchmarks.reset --device cuda --json reset.json

Contenders take turns in random order; medians. Time nothing while something else runs. All cases are prepared before;
drawing a phantom is timed in `benchmarks.step`.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch

from benchmarks.rivals.placements import CONTENDERS, Place, Placed, agreement
from benchmarks.timing import benchmark_parser, machine, measure_and_report, median, milliseconds
from mecca_agents.tables import columns
from mecca_env.data.base import PreparedCase
from mecca_env.data.grid.placement import Placement, draw_placement
from mecca_env.data.grid.sampling import resample_cases
from mecca_env.data.phantom import PhantomSource
from mecca_env.kernels.backend import plain_torch
from mecca_env.process.config import EnvConfig
from mecca_env.vector_env import MeccaVectorEnv

GRIDS = (((96, 96, 64), (55, 55, 30)), ((192, 192, 128), (96, 96, 64)))
"""Voxels of the phantom's scan, and of the episode's grid."""

ENVS, STREAMS = 8, 2
BLOCK = 4  # episodes that a contender plays in a row, where one goes on while the next case is fetched
FILES = 16
LEARNER_SECONDS = 0.05

Times = dict[str, list[float]]


def resets(scan: tuple[int, int, int], shape: tuple[int, int, int], repeats: int, device: torch.device) -> Times:
    """Milliseconds an episode of every contender."""
    config = EnvConfig(shape=shape)
    source = PhantomSource(size=scan)
    cases = [source.case(i) for i in range(ENVS)]
    if device.type == "cuda":
        cases = [replace(case, image=case.image.to(device), label=case.label.to(device)) for case in cases]
    makers = {"reset compiled": nullcontext, "reset torch": plain_torch}
    envs = {
        name: MeccaVectorEnv(ENVS, source, cases=ENVS, shape=shape, device=device, device_cache_bytes=1 << 30)
        for name in makers
    }
    for one in envs.values():
        for index in range(ENVS):
            one.reset(seed=0, options={"cases": [index] * ENVS})
        one.reset(seed=0)
    rng, order, times = np.random.default_rng(0), random.Random(0), defaultdict(list)
    for number in range(repeats + 1):
        placements = [
            draw_placement(case, shape, rng, extension=config.extension, rotation=config.rotation) for case in cases
        ]
        work: dict[str, Callable[[], Any]] = {
            **{name: partial(_within, around, envs[name].reset) for name, around in makers.items()},
            "compiled": partial(resample_cases, cases, placements, config.intensity_clip, device),
            "torch": partial(_within, plain_torch, resample_cases, cases, placements, config.intensity_clip, device),
            **{name: partial(_one_by_one, each, cases, placements, config) for name, each in CONTENDERS.items()},
        }
        if number == 0:
            _check(work)
            continue
        for name in order.sample(list(work), len(work)):
            times[name].append(milliseconds(partial(_finished, work[name], device)) / ENVS)
    for one in envs.values():
        one.close()
    return times


def streams(repeats: int, device: torch.device) -> list[dict[str, Any]]:
    """Milliseconds an episode: a reset and a learner of 50 ms, and of these the reset, for cases that are not kept."""
    rows = []
    learners = {"waiting": partial(time.sleep, STREAMS * LEARNER_SECONDS), "computing": _computing_learner()}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MECCA_CACHE"] = str(Path(folder) / "cache")
        root = _write_files(Path(folder))
        for kind, chosen in (("files", {"dataset": "Volumes", "root": root, "split": "all"}), ("phantoms", {})):
            made = {
                "kept": MeccaVectorEnv(STREAMS, **chosen, cases=FILES, device=device),
                "read": MeccaVectorEnv(STREAMS, **chosen, device=device, device_cache_bytes=0, prefetch=False),
                "ahead": MeccaVectorEnv(STREAMS, **chosen, device=device, device_cache_bytes=0, prefetch=True),
            }
            for index in made["kept"].cases.indices:
                made["kept"].reset(seed=0, options={"cases": [int(index)] * STREAMS})
            for name_of_learner, learner in learners.items():
                times: Times = defaultdict(list)
                for _ in range(max(repeats // BLOCK, 2)):
                    for name, envs in made.items():
                        envs.reset()
                        learner()
                        for _ in range(BLOCK):
                            reset = milliseconds(partial(_finished, envs.reset, device))
                            times[f"{name} reset"].append(reset / STREAMS)
                            times[name].append((reset + milliseconds(learner)) / STREAMS)
                        time.sleep(1)  # what is still being fetched is not to slow the next contender
                row = {name: median(each) for name, each in times.items()}
                rows.append({"cases": kind, "learner": name_of_learner, **row})
            for envs in made.values():
                envs.close()
    return rows


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Everything, as plain numbers."""
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    grids = []
    for scan, shape in GRIDS:
        times = resets(scan, shape, options.repeats, device)
        grids.append({"scan": scan, "grid": shape, **{name: median(each) for name, each in times.items()}})
    return {
        "machine": machine(device),
        "device": str(device),
        "repeats": options.repeats,
        "grids": grids,
        "streams": streams(options.repeats, device),
    }


def report(results: dict[str, Any]) -> str:
    """Two tables."""
    about = results["machine"]
    lines = [
        f"ms an episode, {results['device']}, {about['cpu']}, {about['threads']} thread, "
        f"medians of {results['repeats']}",
        "",
    ]
    names = ["reset compiled", "reset torch", "compiled", "torch", *CONTENDERS]
    grids = [["x".join(map(str, row["grid"])), *(f"{row[name]:.2f}" for name in names)] for row in results["grids"]]
    lines.append(columns(["grid", *names], grids, left=1))
    lines += ["", f"a learner of {LEARNER_SECONDS * 1e3:.0f} ms an episode and the reset; in brackets the reset alone"]
    streams = []
    for row in results["streams"]:
        times = (f"{row[name]:.1f} ({row[f'{name} reset']:.1f})" for name in ("kept", "read", "ahead"))
        streams.append([row["cases"], row["learner"], *times])
    head = ["cases", "learner", "kept on device", "read when needed", "fetched ahead"]
    lines.append(columns(head, streams, left=2))
    return "\n".join(lines)


def _check(work: dict[str, Callable[[], Any]]) -> None:
    """Ours are the same bits; the others place the same label, but for what their interpolation does to its edge."""
    (volume, label, _), (other_volume, other_label, _) = work["compiled"](), work["torch"]()
    assert torch.equal(volume, other_volume) and torch.equal(label, other_label)
    for name, least in (("SciPy", 0.99), ("grid_sample", 0.99), ("MONAI", 0.9)):
        for ours, (_, theirs) in zip(label, work[name](), strict=True):
            assert agreement(ours.cpu(), theirs.cpu()) > least, (name, agreement(ours.cpu(), theirs.cpu()))


def _write_files(folder: Path) -> Path:
    source = PhantomSource(size=GRIDS[1][0])
    for index in range(FILES):
        scan = source.scan(index)
        for kind, array in (
            ("images", np.round(scan.image[0]).astype(np.int16)),
            ("labels", scan.label.astype(np.uint8)),
        ):
            (folder / kind).mkdir(exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(array, scan.affine), folder / kind / f"{scan.name}.nii")
    return folder


def _finished(work: Callable[[], Any], device: torch.device) -> None:
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _within(around: Callable[[], AbstractContextManager[None]], work: Callable[..., Any], *arguments: Any) -> Any:
    with around():
        return work(*arguments)


def _one_by_one(
    place: Place, cases: Sequence[PreparedCase], placements: Sequence[Placement], config: EnvConfig
) -> list[Placed]:
    return [place(case, placement, config.intensity_clip) for case, placement in zip(cases, placements, strict=True)]


def _computing_learner() -> Callable[[], None]:
    """The same work every time, as much as fits into the learner's time when nothing else runs."""
    matrix = torch.ones(256, 256)
    each = median([milliseconds(lambda: matrix @ matrix) for _ in range(50)])
    products = round(STREAMS * LEARNER_SECONDS * 1e3 / each)

    def learn() -> None:
        for _ in range(products):
            matrix @ matrix

    return learn


def main() -> None:
    """Read the options, measure, print."""
    parser = benchmark_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    measure_and_report(parser, run, report)


if __name__ == "__main__":
    main()
