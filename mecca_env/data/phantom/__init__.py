"""The built-in data set: endless phantoms of brains with tumours."""

from mecca_env.data.phantom.source import PhantomSource, phantom_scan
from mecca_env.data.procedural.source import CASES

__all__ = ["CASES", "PhantomSource", "phantom_scan"]
