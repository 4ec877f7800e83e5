"""What is told of an agent that meets a stream of cases and learns on the way: regret, forgetting, prompts to a target.

Every case is played when it comes, before it is learned from. Dice in [0, 1], as `info["dice"]` has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from mecca_agents.agent import Agent
from mecca_agents.report.click_tables import clicks_to_reach
from mecca_agents.report.comparison import Array
from mecca_env.vector_env import MeccaVectorEnv, Observation


@dataclass(frozen=True)
class Met:
    """A case, as an agent played it.

    Attributes:
        dice: After each step.
        clicks: All made before it.
    """

    dice: tuple[float, ...]
    clicks: tuple[int, ...]


def meet(agent: Agent, envs: MeccaVectorEnv, observation: Observation) -> Met:
    """Play an episode that has just begun to its end.

    Args:
        agent: Who acts.
        envs: Of one episode that is never reset by itself (`autoreset_mode="Disabled"`).
        observation: What the reset returned.
    """
    dice, clicks, over = list[float](), list[int](), False
    agent.enter(envs)
    with torch.no_grad():
        while not over:
            clicks.append(int(envs.state.n_clicks[0]))
            observation, _, terminated, truncated, info = envs.step(agent.act(observation))
            dice.append(float(info["dice"][0]))
            over = bool(terminated[0] | truncated[0])
    return Met(tuple(dice), tuple(clicks))


def regret(dice: ArrayLike, best: ArrayLike = 1.0) -> Array:
    """What an agent has lost so far to somebody else who played the same stream, in cases of Dice 1.

    Args:
        dice: (N,), of each case when it came.
        best: (N,), or one number: the other's Dice; 1 is what nobody can surpass.

    Returns:
        (N,), summed over the cases up to each.
    """
    return np.cumsum(np.asarray(best, np.float64) - np.asarray(dice, np.float64))


def forgetting(table: ArrayLike) -> Array:
    """How much worse each segment is at the end than at its best before (Chaudhry et al., 2018); below 0: it is better.

    Args:
        table: (S, S): row i has the mean Dice on cases of each segment, not learned from, once segment i was learned.

    Returns:
        (S - 1,), of every segment but the last.

    Raises:
        ValueError: It is not such a table, or has fewer than two segments.
    """
    values = np.asarray(table, np.float64)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or len(values) < 2:
        raise ValueError(f"table: expected (S, S) with two segments at least, got {values.shape}")
    return np.asarray(values[:-1, :-1].max(axis=0) - values[-1, :-1])


def prompts_to(met: Sequence[Met], target: float) -> tuple[float, float]:
    """Mean number of prompts until a target was reached, and the share of the cases that never got there.

    Those count with all prompts that they were given, as in `mecca_agents.report.click_tables.clicks_to_reach`.

    Args:
        met: Cases, of as many steps each.
        target: Dice in [0, 1].
    """
    dice, clicks = (np.array([getattr(case, name) for case in met], np.float64) for name in ("dice", "clicks"))
    needed, failed = clicks_to_reach(dice, clicks, target)
    return float(needed.mean()), float(failed.mean())
