"""Your own method as a row of the benchmark: a class with `logits`, and one function call. A minute on a laptop.

    python examples/own_method.py

The same from the command line, on any data set, in the folder of this file:

    mecca benchmark --methods own_method:Shallow mecca --env MECCA-Spleen-v0 --root /data/Task09_Spleen --out out
    mecca report out
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from mecca_agents import PRESETS, Observation, Preset, TaskSpec
from mecca_agents.benchmark import benchmark
from mecca_agents.benchmark.cells import make_cells
from mecca_agents.benchmark.plan import Plan
from mecca_agents.learning.mask_predictor import MaskPredictor
from mecca_agents.learning.rollout import stack_observation
from mecca_agents.report import report


class ThreeLayers(nn.Module):
    """Three plain convolutions; (B, C, D, H, W) to a dict of maps, as every network here."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        first, second = nn.Conv3d(in_channels, channels, 3, padding=1), nn.Conv3d(channels, channels, 3, padding=1)
        self.layers = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Conv3d(channels, 1, 3, padding=1))

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        """The logits of foreground, "mask"."""
        return {"mask": self.layers(inputs)}


class Shallow(MaskPredictor):
    """Predicts the mask anew at each step, from scan, present probability and clicks, by cross-entropy."""

    name = "shallow"

    def __init__(self, preset: Preset, task: TaskSpec, *, device: torch.device, seed: int) -> None:
        super().__init__(preset, task, device=device, seed=seed)
        self.add_network("layers", lambda: ThreeLayers(task.modalities + 2, preset.network.channels))

    def logits(self, observation: Observation) -> Tensor:
        """Of foreground, (B, D, H, W)."""
        return self.outputs("layers", stack_observation(observation))["mask"].squeeze(1)


if __name__ == "__main__":
    preset = PRESETS["demo"].replace(updates=40)
    plan = Plan(Path("runs/own_method"), "MECCA-Phantom-v0", preset, "demo", cases=24, test_cases=10)
    print(benchmark(plan, make_cells(["random", "own_method:Shallow", "intercnn"])).text())
    print(report(plan.out).read_text(encoding="utf-8"))
