"""An agent that goes on learning from what people have accepted, on the machine where they work."""

from mecca_agents.online.gate import Verdict
from mecca_agents.online.learning import Learning, learn
from mecca_agents.online.project import AcceptedCase, ProjectError, read_project

__all__ = ["AcceptedCase", "Learning", "ProjectError", "Verdict", "learn", "read_project"]
