"""Training any method on any environment id, and going on where it stopped."""

from mecca_agents.training.loop import resume, train

__all__ = ["resume", "train"]
