"""Offline: record an expert, learn from the recorded episodes alone, compare the clone with the expert on new phantoms.

    pip install -e ".[offline]"
    python examples/behaviour_cloning.py                              # a minute or two on one core
    CLONE_DATASET=mecca/look-v0 python examples/behaviour_cloning.py --cases 4 --updates 10 --out runs/look   # seconds

Its mean Dice on 12 phantoms that it has not seen was 87 % after the first step and after the last, that of random
actions 17 %.

The episodes become a Minari data set, under $MINARI_DATASETS_PATH or ~/.minari/datasets, as `mecca record` writes them:

    mecca record oracle --env MECCA-Phantom-v0 --shape 24 24 16 --cases 64 --dataset mecca/phantom-oracle-v0

The expert sees the label, so it is right at the first step and never has to correct anything. The clone learns to
segment from that, but not to correct itself: where it was wrong at first it finds no example of what to do. Record a
trained agent (`mecca record RUN`) or a person to have such examples.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import minari
import torch
import tyro
from torch import Tensor

from mecca_agents import PRESETS, Learned, Observation, Preset, TaskSpec, make_agent
from mecca_agents.benchmark import benchmark
from mecca_agents.benchmark.cells import make_cells
from mecca_agents.benchmark.plan import Plan
from mecca_agents.learning.distributions import VoxelCategorical
from mecca_agents.learning.network_agent import NetworkAgent
from mecca_agents.learning.rollout import stack_observation
from mecca_agents.offline.record import record
from mecca_agents.report import report
from mecca_agents.runs.envs import make_envs
from mecca_agents.runs.loading import make_task
from mecca_env.vector_env import MeccaVectorEnv

ENV = "MECCA-Phantom-v0"
DATASET = os.environ.get("CLONE_DATASET", "mecca/phantom-oracle-v0")


class Clone(NetworkAgent):
    """Takes what was done for right: maximises log pi of the recorded actions, each voxel's by itself."""

    name = "clone"
    dataset: minari.MinariDataset | None = None

    def __init__(self, preset: Preset, task: TaskSpec, *, device: torch.device, seed: int) -> None:
        super().__init__(preset, task, device=device, seed=seed)
        self.add_cnn("policy", task.modalities + 2, {"logits": len(task.adjustments)})

    def check_task(self, task: TaskSpec) -> None:
        """Refuse an environment whose actions are none of those recorded."""
        if task.action != "discrete" or task.guide:
            raise ValueError(f"clone: expected discrete actions and no guide, got {task}")

    def policy(self, observation: Observation) -> VoxelCategorical:
        """One distribution for each voxel."""
        return VoxelCategorical(self.outputs("policy", stack_observation(observation))["logits"])

    @torch.no_grad()
    def act(self, observation: Observation) -> Tensor:
        """The most probable actions: an expert does not hesitate."""
        return self.policy(observation).mode()

    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        """One optimiser step on recorded steps; the environment is not touched."""
        seen, action = self.draw(self.preset.num_envs)
        policy = self.policy(seen)
        loss = -policy.log_prob(action).mean()
        self.backward(loss)
        norm = self.descend(progress)["policy"]
        agreement = float((policy.mode() == action).float().mean())
        return Learned(observation, {"loss": float(loss.detach()), "agreement": agreement, "gradient_norm": norm})

    def draw(self, count: int) -> tuple[Observation, Tensor]:
        """So many steps of episodes drawn anew: observations and what was done."""
        if self.dataset is None:
            self.dataset = minari.load_dataset(DATASET)
        chosen = torch.randint(self.dataset.total_episodes, (count,), generator=self.generator, device=self.device)
        seen: dict[str, list[Tensor]] = {}
        actions = []
        for episode in self.dataset.iterate_episodes(chosen.tolist()):
            step = int(torch.randint(len(episode), (), generator=self.generator, device=self.device))
            for key, values in episode.observations.items():
                seen.setdefault(key, []).append(torch.from_numpy(values[step]))
            actions.append(torch.from_numpy(episode.actions[step]))
        observation = {key: torch.stack(values).to(self.device) for key, values in seen.items()}
        return observation, torch.stack(actions).to(self.device, torch.int64)


@dataclass(frozen=True)
class Options:
    """Clone the oracle.

    Attributes:
        out: Folder for the benchmark.
        cases: Phantoms that are recorded, an episode of each.
        updates: Optimiser steps.
        test_cases: Phantoms that are tested on.
    """

    out: Path = Path("runs/behaviour_cloning")
    cases: int = 64
    updates: int = 600
    test_cases: int = 12


def main(options: Options) -> None:
    """Record what is not there yet, train, print a table."""
    preset = PRESETS["demo"].replace(updates=options.updates)
    if DATASET not in minari.list_local_datasets():
        envs = make_envs(ENV, 1, shape=preset.shape, cases=options.cases, autoreset_mode="Disabled")
        oracle = make_agent("oracle", preset, make_task(envs.config, 1), device=torch.device("cpu"), seed=0)
        record(oracle, envs, DATASET, episodes=options.cases, algorithm="oracle")
    if (found := minari.load_dataset(DATASET).total_episodes) != options.cases:
        raise SystemExit(f"{DATASET}: expected {options.cases} episodes, found {found}; name another in $CLONE_DATASET")
    plan = Plan(options.out, ENV, preset, "demo", cases=options.cases, test_cases=options.test_cases, device="cpu")
    print(benchmark(plan, make_cells(["random", "oracle", "behaviour_cloning:Clone"])).text())
    print(report(plan.out).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main(tyro.cli(Options))
