"""Growth of an env's cost with episodes in a batch, with voxels, with cases; time, and memory on the device.

python -m benchmarks.scaling
python -m benchmarks.scaling --device cuda --batches 1 8 64 256 512
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

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
from mecca_env.data.base import PreparedCase, Scan
from mecca_env.data.grid.cutting import prepare
from mecca_env.process.config import EnvConfig
from mecca_env.state import State
from mecca_env.vector_env import MeccaVectorEnv

SHAPE = (55, 55, 30)
SIDES = (32, 48, 64, 96, 128)
CASES = (4, 16, 64, 256)
STEPS = 12


class Balls:
    """Cases that cost nothing to make: a ball in noise, on a scan a little larger than the grid asked for.

    Args:
        count: How many.
        shape: The grid, (D, H, W).
    """

    name, modalities = "balls", 1

    def __init__(self, count: int, shape: Sequence[int]) -> None:
        self._count = count
        axes = [np.linspace(-1.2, 1.2, n, dtype=np.float32) for n in shape]
        distance = sum(np.square(axis) for axis in np.meshgrid(*axes, indexing="ij", sparse=True))
        label = np.asarray(distance < 0.5)
        noise = np.random.default_rng(0).normal(size=label.shape)
        config = EnvConfig()
        self._case = prepare(
            Scan("ball", (label + noise)[None].astype(np.float32), label, np.eye(4)),
            extension=config.extension,
            rotation=config.rotation,
            evaluation_extension=config.evaluation_extension,
        )

    def __len__(self) -> int:
        return self._count

    def case_name(self, index: int) -> str:
        """See `VolumeSource`."""
        return f"ball_{index}"

    def case(self, index: int) -> PreparedCase:
        """See `VolumeSource`."""
        return replace(self._case, name=self.case_name(index))


def step_ms(envs: MeccaVectorEnv, copy: Copy | None = None) -> tuple[float, float]:
    """Median time of a step in the middle of an episode, and the bandwidth of a copy that takes turns with it, GB/s."""
    action = torch.randint(6, (envs.num_envs, *envs.config.shape), dtype=torch.uint8).to(envs.device)

    def once() -> None:
        envs.step(action)
        wait_for(envs.device)

    envs.reset(seed=0)
    once()
    steps, copies = [], []
    for _ in range(STEPS):
        steps.append(milliseconds(once))
        if copy is not None:
            copies.append(milliseconds(copy))
    return median(steps), 0.0 if copy is None else copy.gb_per_s(copies)


def make(count: int, shape: Sequence[int], device: torch.device, cases: int | None = None) -> MeccaVectorEnv:
    """Envs whose episodes are longer than what is timed."""
    horizon = STEPS + 2
    clicks = (25, *[5] * (horizon - 1))
    settings: dict[str, Any] = {"shape": tuple(shape), "horizon": horizon, "clicks": clicks}
    return MeccaVectorEnv(count, Balls(cases or count, shape), split="all", device=device, **settings)


def state_bytes(state: State) -> int:
    """Of all tensors of a state, each counted once."""
    storages = {
        value.untyped_storage().data_ptr(): value.untyped_storage().nbytes()
        for value in vars(state).values()
        if isinstance(value, Tensor)
    }
    return sum(storages.values())


def run(options: argparse.Namespace) -> dict[str, Any]:
    """All three, as plain numbers."""
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    copy = Copy(device)
    batches, sides, cases = [], [], []
    for count in options.batches:
        envs = make(count, SHAPE, device)
        ms, bandwidth = step_ms(envs, copy)
        share = BYTES_PER_VOXEL * count * np.prod(SHAPE) / ms / 1e6 / bandwidth
        size = state_bytes(envs.state) / count
        batches.append({"batch": count, "ms": ms, "bytes": size, "copy_gb_per_s": bandwidth, "copy_share": share})
        envs.close()
    for side in options.sides:
        envs = make(2, (side,) * 3, device)
        sides.append({"side": side, "voxels": side**3, "ms": step_ms(envs)[0] / 2})
        envs.close()
    for count in options.cases:
        envs = make(8, SHAPE, device, cases=count)
        cases.append({"cases": count, "ms": step_ms(envs)[0] / 8})
        envs.close()
    return {
        "machine": machine(device),
        "device": str(device),
        "shape": SHAPE,
        "batches": batches,
        "sides": sides,
        "cases": cases,
    }


def report(results: dict[str, Any]) -> str:
    """Three tables."""
    about = f"env step, {results['device']}, {results['machine']['threads']} thread"
    lines = [about, "", "episodes  ms  ms each  MB each  copy GB/s  share of copy"]
    for row in results["batches"]:
        each = f"{row['ms']:.2f}  {row['ms'] / row['batch']:.3f}  {row['bytes'] / 1e6:.2f}"
        lines.append(f"{row['batch']:8}  {each}  {row['copy_gb_per_s']:.1f}  {row['copy_share']:.1%}")
    lines += ["", "side  voxels  ms each  ns a voxel"]
    for row in results["sides"]:
        lines.append(f"{row['side']:4}  {row['voxels']}  {row['ms']:.3f}  {row['ms'] * 1e6 / row['voxels']:.2f}")
    lines += ["", "cases  ms each"]
    lines += [f"{row['cases']:5}  {row['ms']:.3f}" for row in results["cases"]]
    return "\n".join(lines)


def main() -> None:
    """Read the options, measure, print."""
    parser = benchmark_parser(__doc__)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 8, 32, 128, 512])
    parser.add_argument("--sides", type=int, nargs="+", default=list(SIDES))
    parser.add_argument("--cases", type=int, nargs="+", default=list(CASES))
    measure_and_report(parser, run, report)


if __name__ == "__main__":
    main()
