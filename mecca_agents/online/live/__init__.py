"""Learning beside the work: a process of its own, the runs that it leaves, and which weights the next scan gets."""

from mecca_agents.online.live.learner import LearnSettings, ProjectLearner, Status

__all__ = ["LearnSettings", "ProjectLearner", "Status"]
