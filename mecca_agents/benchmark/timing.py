"""Time that each method takes for one iteration, all of them in one run and taking turns (Table 6)."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mecca_agents.agent import Agent
from mecca_agents.benchmark.cells import Cell
from mecca_agents.benchmark.plan import Plan, settle
from mecca_agents.evaluation.play import play
from mecca_agents.evaluation.runner import evaluation_envs
from mecca_agents.runs.errors import RunError
from mecca_agents.runs.loading import load_agent
from mecca_agents.runtime.devices import find_device
from mecca_env.atomic import os_errors_as, write_text

CASES = 10
"""Cases that every method plays."""


def time_methods(plan: Plan, cells: Sequence[Cell], cases: int = CASES) -> Path:
    """Measure the cells that are done: the agent's time, the environment's (the user's clicks among it), and both.

    Case after case, every method plays it once, so that whatever else the machine does disturbs all alike; each plays
    one case before the clock starts. Time nothing while something else runs.

    Args:
        plan: The benchmark they belong to.
        cells: One for each method.
        cases: How many cases each plays, all of the test at most.

    Returns:
        `timing.json` in the plan's folder: milliseconds an iteration, medians and quartiles.

    Raises:
        mecca_agents.runs.RunError: None of the cells is done, they were made with other settings, a run is gone, or
            the file cannot be written.
        mecca_env.data.base.DataError: The data set cannot be used.
    """
    done = [cell for cell in cells if plan.status(cell) == "done"]
    if not done:
        raise RunError(f"{plan.folder}: expected finished cells to time, found none of the {len(cells)} asked for")
    settle(plan)
    device = find_device(plan.device)
    players = {}
    for cell in done:
        agent, config = load_agent(plan.run(cell), device)
        envs = evaluation_envs(
            plan.testing(config),
            split=plan.test_split,
            cases=plan.test_cases,
            skip_bad=plan.skip_bad,
            device=device,
        )
        players[cell.method] = (_Timed(agent), envs)
    measured: dict[str, list[tuple[float, float]]] = {method: [] for method in players}
    cases = min(cases, *(len(envs.cases) for _, envs in players.values()))
    for number in range(-1, cases):
        for method, (timed, envs) in players.items():
            case = int(envs.cases.indices[max(number, 0)])
            for played in play(timed.agent, envs, case, seed=0):
                if number >= 0:
                    measured[method].append((1e3 * timed.seconds, 1e3 * played.seconds))
    rows = {method: _row(np.array(values)) for method, values in measured.items()}
    about = {
        "rows": rows,
        "device": device.type,
        "threads": torch.get_num_threads(),
        "grid": list(plan.preset.shape),
        "cases": cases,
    }
    for _, envs in players.values():
        envs.close()
    path = plan.folder / "timing.json"
    with os_errors_as(lambda reason: RunError(f"{path}: cannot be written: {reason}")):
        write_text(path, json.dumps(about, indent=2) + "\n")
    return path


def _row(milliseconds: Any) -> dict[str, Any]:
    agent, whole = milliseconds.T

    def rounded(value: Any) -> float:
        return float(f"{float(value):.3g}")

    return {
        "agent_ms": rounded(np.median(agent)),
        "step_ms": rounded(np.median(whole - agent)),
        "total_ms": rounded(np.median(whole)),
        "interquartile_ms": [rounded(q) for q in np.quantile(whole, (0.25, 0.75))],
    }


class _Timed:
    """Notes how long an agent's last `act` took, until the device was done."""

    def __init__(self, agent: Agent) -> None:
        self.agent, self.seconds = agent, 0.0
        act = agent.act

        def timed(observation: Any) -> Any:
            start = time.perf_counter()
            action = act(observation)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.seconds = time.perf_counter() - start
            return action

        agent.act = timed  # type: ignore[method-assign]
