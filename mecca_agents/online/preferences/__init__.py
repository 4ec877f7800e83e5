"""Learning from choices between two proposals: a reward model, and the policy that goes on under it."""

from mecca_agents.online.preferences.learning import ChoiceLearning, learn_from_choices
from mecca_agents.online.preferences.verdicts import ChoiceVerdict, Share

__all__ = ["ChoiceLearning", "ChoiceVerdict", "Share", "learn_from_choices"]
