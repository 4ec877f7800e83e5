"""The card, its driver and the software that the numbers were found with.

python -m experiments.gpu.surroundings --device cuda --json surroundings.json
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
from pathlib import Path
from typing import Any

import torch

from benchmarks.timing import device_there, machine
from mecca_agents.runs.provenance import commit


def surroundings(device: torch.device, code: str | None = None) -> dict[str, Any]:
    """The machine as `benchmarks.timing.machine` describes it, and what belongs to its GPU.

    Args:
        device: Where everything is computed.
        code: The commit, where the code is no clone of the repository.
    """
    found = {**machine(device), "device": str(device), "commit": code or commit()}
    if device.type != "cuda":
        return found
    properties = torch.cuda.get_device_properties(device)
    return {
        **found,
        "driver": _driver(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "triton": _version("triton"),
        "multiprocessors": properties.multi_processor_count,
        "memory_gb": round(properties.total_memory / 1e9, 1),
        "capability": list(torch.cuda.get_device_capability(device)),
        "float32_convolutions_in_tf32": torch.backends.cudnn.allow_tf32,
    }


def described(found: dict[str, Any]) -> str:
    """In one line, for tables."""
    code = (found["commit"] or "unknown")[:10]
    if "gpu" not in found:
        return f"{found['cpu']}, torch {found['torch']}, commit {code}"
    return (
        f"{found['gpu']}, driver {found['driver']}, torch {found['torch']}, CUDA {found['cuda']}, "
        f"Triton {found['triton']}, commit {code}"
    )


def _driver() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


def _version(module: str) -> str | None:
    try:
        return str(importlib.import_module(module).__version__)
    except ModuleNotFoundError:
        return None


def main() -> None:
    """Read the options, write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", type=device_there, default="cuda")
    parser.add_argument("--commit", help="of the code, where it is no clone of the repository")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    options = parser.parse_args()
    found = surroundings(options.device, options.commit)
    options.json.write_text(json.dumps(found, indent=1) + "\n")
    print(described(found))


if __name__ == "__main__":
    main()
