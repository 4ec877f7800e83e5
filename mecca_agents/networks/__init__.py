"""The networks."""

from mecca_agents.networks.pnet import PNet

__all__ = ["PNet"]
