"""The annotation page: a trained agent and a person, in a browser (`mecca annotate`)."""

from mecca_agents.app.server import Settings, make_app, new_token, serve

__all__ = ["Settings", "make_app", "new_token", "serve"]
