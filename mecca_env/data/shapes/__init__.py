"""The built-in data set for agents that are to be of use on what they never saw: endless random shapes."""

from mecca_env.data.shapes.source import ShapesSource, shapes_scan

__all__ = ["ShapesSource", "shapes_scan"]
