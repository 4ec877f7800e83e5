"""Agents for interactive segmentation: MECCA and the methods it is compared with.

from mecca_agents import PRESETS, evaluate, train

train("mecca", "MECCA-Phantom-v0", "runs/first", preset=PRESETS["brief"])
results = evaluate("runs/first")
"""

from mecca_agents.agent import METHODS, Agent, Learned, Observation, TaskSpec, make_agent, methods
from mecca_agents.evaluation.reliability import Reliability
from mecca_agents.evaluation.runner import Result, evaluate, evaluate_agent
from mecca_agents.presets import PRESETS, Preset
from mecca_agents.runs.config import RunConfig, RunError
from mecca_agents.runs.loading import load_agent
from mecca_agents.training.loop import resume, train

__all__ = [
    "METHODS",
    "PRESETS",
    "Agent",
    "Learned",
    "Observation",
    "Preset",
    "Reliability",
    "Result",
    "RunConfig",
    "RunError",
    "TaskSpec",
    "evaluate",
    "evaluate_agent",
    "load_agent",
    "make_agent",
    "methods",
    "resume",
    "train",
]
