"""Trained agents for the viewers that people have: napari, 3D Slicer, MITK and ITK-SNAP (`mecca serve`)."""

from mecca_agents.serve.server import make_app, serve
from mecca_agents.serve.settings import Settings

__all__ = ["Settings", "make_app", "serve"]
