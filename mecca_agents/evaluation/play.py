"""One episode of a trained agent, step by step, for all who want to watch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import torch
from torch import Tensor

from mecca_agents.agent import Agent, Observation
from mecca_agents.evaluation.adapting import Adaptation
from mecca_agents.evaluation.protocols.cvpr25 import ScanScores
from mecca_agents.evaluation.protocols.on_scan import CaseOnScan
from mecca_env.data.base import Triple
from mecca_env.process.config import EnvConfig
from mecca_env.process.dynamics import ContinuousDynamics, DiscreteDynamics
from mecca_env.state import State
from mecca_env.tensors.exact import shown
from mecca_env.vector_env import MeccaVectorEnv


@dataclass(frozen=True, eq=False)
class PlayedStep:
    """One step of one episode, after it was taken.

    Attributes:
        agent: Who acted.
        envs: The environment, of one episode, as the step has left it.
        observation: What the agent saw.
        action: What it answered.
        before: The state that it saw.
        after: The state that it reached.
        misunderstanding: Share of voxels that moved the wrong way (Definition 1).
        over: Whether this was the episode's last step.
        seconds: What agent and environment took for it.
        on_scan: The case's label on its scan's own grid.
    """

    agent: Agent
    envs: MeccaVectorEnv
    observation: Observation
    action: Any
    before: State
    after: State
    misunderstanding: float
    over: bool
    seconds: float
    on_scan: CaseOnScan

    @property
    def step(self) -> int:
        """Number of the step, from 1."""
        return int(self.after.step[0])

    @property
    def case(self) -> str:
        """The case's name."""
        return self.envs.case_name(0)

    @cached_property
    def scan_scores(self) -> ScanScores:
        """What the mask that was reached scores on the scan's own grid; to be asked for before the next step."""
        return self.on_scan.scores(self.envs.paste_back(0)[0])

    @cached_property
    def adjustment(self) -> Tensor:
        """The action of each voxel, (D, H, W): an index into the adjustments, or a number in [-1, 1]."""
        action = self.action["adjustment"] if isinstance(self.action, Mapping) else self.action
        return torch.as_tensor(action, device=self.envs.device)[0]

    @cached_property
    def change(self) -> Tensor:
        """Change of each voxel's probability that the action asks for, (D, H, W) float32; its sign is its direction."""
        return change_of(self.adjustment, self.envs.config)

    def mask_with(self, turned: Tensor) -> Tensor:
        """The mask that the step would have led to with the actions of some voxels turned round, (D, H, W) bool.

        Args:
            turned: Where, (D, H, W) bool; nowhere: it is the mask that the step has led to.
        """
        config, before = self.envs.config, self.before.probability[0]
        if config.action == "continuous":
            return ContinuousDynamics()(before, torch.where(turned, -self.change, self.change)) > 0.5
        both = (*config.adjustments, *(-a for a in config.adjustments))
        move = DiscreteDynamics(both, config.lattice, before.device)
        return move(before, self.adjustment.long() + len(config.adjustments) * turned) > 0.5

    @cached_property
    def confidence(self) -> Tensor | None:
        """The agent's confidence in the direction of each voxel's action, (D, H, W) float32, where it has one.

        Raises:
            ValueError: What the agent returned has another shape or values outside [0, 1], NaN included.
        """
        return checked_confidence(self.agent, self.observation, self.action, self.after.shape)


def change_of(adjustment: Tensor, config: EnvConfig) -> Tensor:
    """Changes of the probabilities that actions of any shape ask for, float32."""
    if config.action == "continuous":
        return adjustment.float()
    return torch.tensor(config.adjustments, dtype=torch.float32, device=adjustment.device)[adjustment.long()]


def checked_confidence(agent: Agent, observation: Observation, action: Any, shape: Triple) -> Tensor | None:
    """`Agent.confidence` for one episode, (D, H, W) float32, where the agent has one.

    Raises:
        ValueError: What the agent returned has another shape or values outside [0, 1], NaN included.
    """
    values = agent.confidence(observation, action)
    if values is None:
        return None
    name, expected = f"confidence of {type(agent).__name__}", (1, *shape)
    if tuple(values.shape) != expected:
        raise ValueError(f"{name}: expected shape {expected}, got {tuple(values.shape)}")
    low, high = (float(v) for v in values.aminmax())
    if not (low >= 0 and high <= 1):  # also where they are NaN
        raise ValueError(f"{name}: expected values from 0 to 1, got values from {shown(low)} to {shown(high)}")
    return values[0].float()


Observer: TypeAlias = Callable[[PlayedStep], None]
"""A function that is shown every step of an evaluation, case after case."""


def play(
    agent: Agent, envs: MeccaVectorEnv, case: int, seed: int, adaptation: Adaptation | None = None
) -> Iterator[PlayedStep]:
    """Play one case to its end.

    Args:
        agent: Who acts.
        envs: An environment of one episode that is never reset by itself.
        case: Index of the case.
        seed: Seed of the simulated user.
        adaptation: How the agent is led to take prompts that it was not trained for; None: it was.

    Yields:
        Every step, once it was taken.
    """
    led = adaptation or Adaptation({})
    on_scan = CaseOnScan(envs.dataset, case)
    observation, _ = envs.reset(seed=seed, options={"cases": [case]})
    agent.enter(envs)
    over = False
    while not over:
        before, start = envs.state, time.perf_counter()
        seen = led.observation(observation)
        action = led.action(agent.act(seen))
        following, _, terminated, truncated, info = envs.step(action)
        over = bool(terminated[0] | truncated[0])  # waits for the device, so that the time is that of the whole step
        yield PlayedStep(
            agent=agent,
            envs=envs,
            observation=seen,
            action=action,
            before=before,
            after=envs.state,
            misunderstanding=float(info["misunderstanding"][0]),
            over=over,
            seconds=time.perf_counter() - start,
            on_scan=on_scan,
        )
        observation = following
