"""Test a trained run with several ways to choose a voxel's action.

    python -m experiments.acting runs/results/hippocampus-mecca-seed0 runs/results/hippocampus-iter-mrl-seed0

Of a policy, the adjustment nearest to the expected one is what `act` takes; the others are the most probable action and
a sample. A mask predictor goes to its probability; the other way is to round each move to the nearest adjustment.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from mecca_agents import evaluate_agent, load_agent
from mecca_agents.agent import Agent, Observation
from mecca_agents.evaluation import dice_by_step
from mecca_agents.learning.actor_critic import ActorCritic
from mecca_agents.learning.distributions import VoxelCategorical
from mecca_agents.learning.mask_predictor import MaskPredictor


def ways(agent: Agent, seed: int) -> dict[str, Callable[[], None]]:
    """Other ways for an agent to act, by name: functions that make it do so."""
    if isinstance(agent, ActorCritic):
        generator = torch.Generator().manual_seed(seed)
        choices: dict[str, Callable[[VoxelCategorical], Tensor]] = {
            "nearest to mean": agent.choose,
            "most probable": VoxelCategorical.mode,
            "sample": lambda policy: policy.sample(generator),
        }
        return {name: partial(setattr, agent, "choose", choice) for name, choice in choices.items()}
    assert isinstance(agent, MaskPredictor)
    adjustments, predict = torch.tensor(agent.task.adjustments), agent.act

    def rounded(observation: Observation) -> Tensor:
        return adjustments[(predict(observation).unsqueeze(-1) - adjustments).abs().argmin(-1)]

    return {name: partial(setattr, agent, "act", way) for name, way in (("predicted", predict), ("rounded", rounded))}


def main() -> None:
    """Print a line for each run and way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{'run':<32} {'action':<16} Dice % after steps 1 to 5")
    for run in options.runs:
        agent, config = load_agent(run)
        for name, set_way in ways(agent, config.seed).items():
            set_way()
            dice = dice_by_step(evaluate_agent(agent, config))
            print(f"{run.name:<32} {name:<16} {'  '.join(f'{value:5.1f}' for value in dice)}", flush=True)


if __name__ == "__main__":
    main()
