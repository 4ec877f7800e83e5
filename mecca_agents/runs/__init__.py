"""A run's folder: its settings, its checkpoints, and how an agent is loaded from them."""

from mecca_agents.runs.config import RunConfig, is_run, read_config
from mecca_agents.runs.errors import RunError
from mecca_agents.runs.loading import load_agent

__all__ = ["RunConfig", "RunError", "is_run", "load_agent", "read_config"]
