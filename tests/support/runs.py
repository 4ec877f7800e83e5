"""Runs of a tiny method, and what makes two of them the same."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from mecca_agents.presets import Preset
from mecca_agents.runs import read_config
from mecca_agents.runs.checkpoints import checkpoint_folder
from mecca_agents.training import train
from tests.support.agents import ENV, PRESET


def train_tiny(
    out: Path, scans: Path, method: str = "tests.support.agents:Tiny", preset: Preset = PRESET, **more: Any
) -> None:
    """Train a tiny method on small scans, a checkpoint every second update."""
    keywords = {"root": scans, "checkpoint_every": 2, "device": "cpu", "stream": io.StringIO(), **more}
    train(method, ENV, out, preset=preset, **keywords)


def log_of(run: Path) -> list[dict[str, str]]:
    """The rows of a run's log, times apart."""
    with (run / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def assert_same_run(run: Path, other: Path) -> None:
    """Two runs are the same bit for bit: logs, weights, states of training."""
    assert log_of(run) == log_of(other)
    assert [row["update"] for row in log_of(run)] == [str(i) for i in range(read_config(run).preset.updates)]
    for name, files in (("last", ("model", "training")), ("best", ("model",))):
        for file in files:
            mine, theirs = (load_file(checkpoint_folder(r, name) / f"{file}.safetensors") for r in (run, other))
            assert mine.keys() == theirs.keys()
            assert all(torch.equal(value, theirs[key]) for key, value in mine.items())
        one, two = (json.loads((checkpoint_folder(r, name) / "state.json").read_text()) for r in (run, other))
        one.pop("seconds"), two.pop("seconds")
        assert one == two
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["best", "last"]
