"""Parts that methods are built of: agents with networks, rollouts, losses, the state of an optimiser."""

from mecca_agents.learning.actor_critic import ActorCritic
from mecca_agents.learning.mask_predictor import MaskPredictor
from mecca_agents.learning.network_agent import NetworkAgent
from mecca_agents.learning.untrained import Untrained

__all__ = ["ActorCritic", "MaskPredictor", "NetworkAgent", "Untrained"]
